import { Injectable, Optional } from '@nestjs/common';
import { type ClientId, LinkNode, type Settings } from '@nestgate/link';
import { DEFAULT_CALL_DEADLINE_MS, type Gathered } from '@nestgate/link/internal';
import { noteCopy } from '../node/one-copy.js';
import { CurrentClient } from '../topics/run/current-client.js';
import { nameList } from './arguments.js';
import { allPages, ask, nextPage, pageRequest, type PageRequest, type PagesOptions } from './queries.js';
import { GatewayCalls } from './gateway-calls.js';
import { assertName } from '../message/message.js';
import type { AnyEvents, Answer, EventMap, NoOptions, Page, PageOptions, QueryOptions } from './options.js';

type Groups = string | readonly string[];

/**
 * Talks to the clients of the whole cluster, from wherever there is a link: handlers, gate apps, HTTP services.
 *
 * Pushes are ordered and not waited for; the promise they return is settled already unless the link is congested, so
 * that awaiting it is the backpressure. It rejects with `LINK_UNAVAILABLE` while the link as a whole is down. Writes
 * (`bindUid`, `joinGroup`, …) resolve when the gate has done them. Questions ask all gates at once and reject with
 * `PARTIAL_RESULT` (details `{result, missing}`) when one does not answer, unless `partial: 'allow'`.
 *
 * All methods reject with `BAD_ARGUMENT` for names, topics and bodies that cannot be used, before anything is sent. Ids and
 * groups may be one or a list.
 *
 * With declared events the topics and bodies of pushes are checked by the compiler:
 *
 * ```ts
 * interface ChatEvents { 'chat/said': { from: string; text: string } }
 * constructor(private readonly gateway: GatewayApi<ChatEvents>) {}
 * ```
 */
@Injectable()
export class GatewayApi<E extends EventMap = AnyEvents> extends GatewayCalls<E> {
  static {
    // Here, since a second copy of this class is what Nest cannot inject.
    noteCopy(import.meta.url);
  }

  constructor(node: LinkNode, @Optional() current?: CurrentClient) {
    super(node, current);
  }

  /** Whether any client of this uid is connected. */
  async isUidOnline<O extends QueryOptions | undefined = NoOptions>(
    uid: string,
    options?: O,
  ): Promise<Answer<boolean, O>> {
    assertName('uid', uid);
    return ask(this.gates.isUidOnline, { userId: uid }, options, same);
  }

  /** How many clients are connected. */
  async getAllClientCount<O extends QueryOptions | undefined = NoOptions>(options?: O): Promise<Answer<number, O>> {
    return ask(this.gates.clientCount, {}, options, same);
  }

  /** How many clients are in the group, or in any of the groups. */
  async getClientCountByGroup<O extends QueryOptions | undefined = NoOptions>(
    groups: Groups,
    options?: O,
  ): Promise<Answer<number, O>> {
    return ask(this.gates.clientCount, { groups: nameList('group', groups) }, options, same);
  }

  /** How many uids have a client in the group, or in any of the groups. */
  async getUidCountByGroup<O extends QueryOptions | undefined = NoOptions>(
    groups: Groups,
    options?: O,
  ): Promise<Answer<number, O>> {
    return ask(this.gates.uids, { groups: nameList('group', groups) }, options, uids => uids.length);
  }

  /** How many uids are online. A uid with clients on several gates counts once. */
  async getAllUidCount<O extends QueryOptions | undefined = NoOptions>(options?: O): Promise<Answer<number, O>> {
    return ask(this.gates.uids, {}, options, uids => uids.length);
  }

  /** How many clients each group has. */
  async getAllGroupClientIdCount<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Record<string, number>, O>> {
    return ask(this.gates.groupClientCounts, undefined, options, same);
  }

  /** How many uids each group has. */
  async getAllGroupUidCount<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Record<string, number>, O>> {
    return ask(this.gates.groupUids, undefined, options, groups =>
      Object.fromEntries(Object.entries(groups).map(([group, uids]) => [group, uids.length])),
    );
  }

  /** The session settings of all clients, or of those in the group, by client id. */
  async getAllClientSessions<O extends QueryOptions | undefined = NoOptions>(
    groups?: Groups,
    options?: O,
  ): Promise<Answer<Record<ClientId, Settings>, O>> {
    return ask(
      this.gates.sessions,
      { groups: groups === undefined ? undefined : nameList('group', groups) },
      options,
      same,
    );
  }

  /** The session settings of the clients in the group, or in any of the groups, by client id. */
  async getClientSessionsByGroup<O extends QueryOptions | undefined = NoOptions>(
    groups: Groups,
    options?: O,
  ): Promise<Answer<Record<ClientId, Settings>, O>> {
    return ask(this.gates.sessions, { groups: nameList('group', groups) }, options, same);
  }

  /** The ids of all clients. */
  async getAllClientIdList<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<readonly ClientId[], O>> {
    return ask(this.gates.clientIds, {}, options, same);
  }

  /** The ids of the clients in the group, or in any of the groups. */
  async getClientIdListByGroup<O extends QueryOptions | undefined = NoOptions>(
    groups: Groups,
    options?: O,
  ): Promise<Answer<readonly ClientId[], O>> {
    return ask(this.gates.clientIds, { groups: nameList('group', groups) }, options, same);
  }

  /** The ids of the clients bound to a uid. */
  async getClientIdByUid<O extends QueryOptions | undefined = NoOptions>(
    uid: string,
    options?: O,
  ): Promise<Answer<readonly ClientId[], O>> {
    return ask(this.gates.clientIdsOfUids, { uids: nameList('uid', [uid]) }, options, ids => valueOf(ids, uid));
  }

  /** The ids of the clients bound to each of the uids; a uid without clients has an empty list. */
  async getClientIdByUids<O extends QueryOptions | undefined = NoOptions>(
    uids: readonly string[],
    options?: O,
  ): Promise<Answer<Record<string, readonly ClientId[]>, O>> {
    const asked = nameList('uid', uids);
    return ask(this.gates.clientIdsOfUids, { uids: asked }, options, ids =>
      Object.fromEntries(asked.map(uid => [uid, valueOf(ids, uid)])),
    );
  }

  /** The uids that are online, each once. */
  async getAllUidList<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<readonly string[], O>> {
    return ask(this.gates.uids, {}, options, same);
  }

  /** The uids that have a client in the group, or in any of the groups, each once. */
  async getUidListByGroup<O extends QueryOptions | undefined = NoOptions>(
    groups: Groups,
    options?: O,
  ): Promise<Answer<readonly string[], O>> {
    return ask(this.gates.uids, { groups: nameList('group', groups) }, options, same);
  }

  /** The groups that have members. */
  async getAllGroupIdList<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<readonly string[], O>> {
    return ask(this.gates.groups, undefined, options, same);
  }

  /** The uids in each group. */
  async getAllGroupUidList<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Record<string, readonly string[]>, O>> {
    return ask(this.gates.groupUids, undefined, options, same);
  }

  /** The client ids in each group. */
  async getAllGroupClientIdList<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Record<string, readonly ClientId[]>, O>> {
    return ask(this.gates.groupClientIds, undefined, options, same);
  }

  // The same for clusters too large for one answer.

  /** A page of the client ids, all or those in `groups`. */
  async getClientIdPage<O extends (PagesOptions & PageOptions) | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<readonly ClientId[]>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.clientIdPage, request, options, ids => nextPage(ids, request.limit));
  }

  /** A page of the uids that are online, all or those in `groups`. */
  async getUidPage<O extends (PagesOptions & PageOptions) | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<readonly string[]>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.uidPage, request, options, uids => nextPage(uids, request.limit));
  }

  /** A page of the groups that have members. */
  async getGroupIdPage<O extends PageOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<readonly string[]>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.groupPage, request, options, groups => nextPage(groups, request.limit));
  }

  /** A page of session settings by client id, all or those in `groups`. A client that leaves meanwhile is left out. */
  async getClientSessionPage<O extends (PagesOptions & PageOptions) | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<Record<ClientId, Settings>>, O>> {
    return ask({ gather: this.gatherSessions }, pageRequest(options), options, same);
  }

  /** All client ids, or those in `groups`, page by page: `for await (const id of gateway.clientIds()) …`. */
  clientIds(options: PagesOptions = {}): AsyncIterableIterator<ClientId> {
    return allPages(options, page => this.getClientIdPage(page), same);
  }

  /** All uids that are online, or those in `groups`, page by page. */
  uids(options: PagesOptions = {}): AsyncIterableIterator<string> {
    return allPages(options, page => this.getUidPage(page), same);
  }

  /** All groups that have members, page by page. */
  groupIds(options: Omit<PagesOptions, 'groups'> = {}): AsyncIterableIterator<string> {
    return allPages(options, page => this.getGroupIdPage(page), same);
  }

  /** Client ids with their session settings, of all clients or those in `groups`, page by page. */
  clientSessions(options: PagesOptions = {}): AsyncIterableIterator<[ClientId, Settings]> {
    return allPages(options, page => this.getClientSessionPage(page), Object.entries);
  }

  /** First the ids, then the sessions of these; each in half the time of one question, since a gate that is silent uses up the first half. */
  private readonly gatherSessions = async (
    request: PageRequest,
    options?: QueryOptions,
  ): Promise<Gathered<Page<Record<ClientId, Settings>>>> => {
    const half = { deadlineMs: (options?.deadlineMs ?? DEFAULT_CALL_DEADLINE_MS) / 2 };
    const ids = await this.gates.clientIdPage.gather(request, half);
    const { items: clientIds, cursor } = nextPage(ids.result, request.limit);
    const { result: items, missing } = await this.gates.sessionsOf.gather({ clientIds }, half);
    return { result: { items, cursor }, missing: [...new Set([...ids.missing, ...missing])] };
  };
}

function same<T>(value: T): T {
  return value;
}

/** The list under a key that is free text. */
function valueOf(lists: Record<string, readonly string[]>, key: string): readonly string[] {
  return (Object.hasOwn(lists, key) ? lists[key] : undefined) ?? [];
}
