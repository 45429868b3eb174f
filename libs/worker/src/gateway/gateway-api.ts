import { Injectable } from '@nestjs/common';
import {
  type Caller,
  type ClientId,
  createCaller,
  LinkNode,
  sessionContract,
  type SessionContract,
} from '@nestgate/link';
import type { Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { orFalse } from '../session/session.js';
import { assertName, assertSettings, encodeMessage, nameList } from './message.js';

/** Options of a push. */
export interface SendOptions {
  /** Wait for the gates and resolve with what happened. Without it a push is sent and not waited for. */
  readonly confirm?: boolean;
  /** How long to wait for the gates, in milliseconds. @defaultValue 5000 */
  readonly deadlineMs?: number;
}

/** A push whose outcome the caller wants to know. */
export type Confirm = SendOptions & { readonly confirm: true };

/** What became of a confirmed push: for how many clients it was queued. */
export interface Delivery {
  readonly delivered: number;
}

/**
 * Talks to the clients of the whole cluster, from wherever there is a link: handlers, gate apps, HTTP services.
 *
 * Pushes are ordered and not waited for; the promise they return is settled already unless the link is congested, so
 * that awaiting it is the backpressure. Writes (`bindUid`, `joinGroup`, …) resolve when the gate has done them. Questions
 * ask all gates at once and reject with `PARTIAL_RESULT` (details `{result, missing}`) when one does not answer.
 *
 * All methods throw `BAD_ARGUMENT` for names, topics and bodies that cannot be used, before anything is sent.
 */
@Injectable()
export class GatewayApi {
  private readonly gates: Caller<SessionContract>;

  constructor(node: LinkNode) {
    this.gates = createCaller(node, sessionContract);
  }

  /**
   * Sends to one client or several. An id that is unknown or closed is skipped; with `confirm`, one id resolves with
   * whether it was there, a list with the count.
   */
  sendToClient(clientId: ClientId, topic: string, body: unknown, options: Confirm): Promise<boolean>;
  sendToClient(clientIds: readonly ClientId[], topic: string, body: unknown, options: Confirm): Promise<Delivery>;
  sendToClient(
    clientIds: ClientId | readonly ClientId[],
    topic: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<void>;
  async sendToClient(
    clientId: ClientId | readonly ClientId[],
    topic: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<boolean | Delivery | void> {
    const single = typeof clientId === 'string';
    const args = { clientIds: single ? [clientId] : clientId, ...encodeMessage(topic, body) };
    if (!options?.confirm) return this.gates.send.cast(args);
    const delivered = await this.gates.send.call(args, options);
    return single ? delivered > 0 : { delivered };
  }

  /**
   * Sends to every client, or to those of `clientIds` (an empty list is nobody), without those of `excludeIds`.
   */
  sendToAll(
    topic: string,
    body: unknown,
    clientIds: readonly ClientId[] | undefined,
    excludeIds: readonly ClientId[] | undefined,
    options: Confirm,
  ): Promise<Delivery>;
  sendToAll(
    topic: string,
    body?: unknown,
    clientIds?: readonly ClientId[],
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<void>;
  async sendToAll(
    topic: string,
    body?: unknown,
    clientIds?: readonly ClientId[],
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<Delivery | void> {
    const args = { ...encodeMessage(topic, body), clientIds, except: excludeIds };
    if (!options?.confirm) return this.gates.broadcast.cast(args);
    return { delivered: await this.gates.broadcast.call(args, options) };
  }

  /** Sends to every client of each uid, to each client once. */
  sendToUid(uids: string | readonly string[], topic: string, body: unknown, options: Confirm): Promise<Delivery>;
  sendToUid(uids: string | readonly string[], topic: string, body?: unknown, options?: SendOptions): Promise<void>;
  async sendToUid(
    uids: string | readonly string[],
    topic: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<Delivery | void> {
    const args = { uids: nameList('uid', uids), ...encodeMessage(topic, body) };
    if (!options?.confirm) return this.gates.sendToUid.cast(args);
    return { delivered: await this.gates.sendToUid.call(args, options) };
  }

  /** Sends to every member of the groups, to each client once however many of them it is in, without `excludeIds`. */
  sendToGroup(
    groups: string | readonly string[],
    topic: string,
    body: unknown,
    excludeIds: readonly ClientId[] | undefined,
    options: Confirm,
  ): Promise<Delivery>;
  sendToGroup(
    groups: string | readonly string[],
    topic: string,
    body?: unknown,
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<void>;
  async sendToGroup(
    groups: string | readonly string[],
    topic: string,
    body?: unknown,
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<Delivery | void> {
    const args = { groups: nameList('group', groups), ...encodeMessage(topic, body), except: excludeIds };
    if (!options?.confirm) return this.gates.sendToGroup.cast(args);
    return { delivered: await this.gates.sendToGroup.call(args, options) };
  }

  /**
   * Binds a client to a uid. A uid may have many clients, a client has one uid: the last one wins.
   * @throws {GateError} `SESSION_NOT_FOUND`, `STORAGE_UNAVAILABLE`.
   */
  async bindUid(clientId: ClientId, uid: string): Promise<void> {
    assertName('uid', uid);
    await this.gates.bind.call({ clientId, userId: uid });
  }

  /** Releases a client from this uid; does nothing when it is bound to another one. */
  async unbindUid(clientId: ClientId, uid: string): Promise<void> {
    assertName('uid', uid);
    await this.gates.unbind.call({ clientId, userId: uid });
  }

  /**
   * Adds a client to a group. Doing it again changes nothing; membership ends with the connection.
   * @throws {GateError} `SESSION_NOT_FOUND`, `LIMIT_EXCEEDED` when the client is in too many groups.
   */
  async joinGroup(clientId: ClientId, group: string): Promise<void> {
    assertName('group', group);
    await this.gates.joinGroup.call({ clientId, group });
  }

  /** Takes a client out of a group. */
  async leaveGroup(clientId: ClientId, group: string): Promise<void> {
    assertName('group', group);
    await this.gates.leaveGroup.call({ clientId, group });
  }

  /** Takes everybody out of a group, and closes nobody. Resolves with how many clients that were. */
  async ungroup(group: string): Promise<number> {
    assertName('group', group);
    return this.gates.ungroup.call({ group });
  }

  /** Replaces the settings of a client's session. */
  async setSession(clientId: ClientId, settings: Settings): Promise<void> {
    assertSettings(Object.entries(settings));
    await this.gates.replace.call({ clientId, settings });
  }

  /** Merges settings into a client's session, key by key. */
  async updateSession(clientId: ClientId, settings: Settings): Promise<void> {
    assertSettings(Object.entries(settings));
    await this.gates.push.call({ clientId, settings });
  }

  /** The settings of a client's session: `{}` when nothing is set, `null` when the client is not online. */
  async getSession(clientId: ClientId): Promise<Settings | null> {
    const snapshot = await orNull(this.gates.load.call({ clientId }));
    return snapshot && snapshot.settings;
  }

  /**
   * Closes a client, after what is queued for it, and a last message if there is one, has been sent. Resolves with
   * whether it was there.
   */
  async closeClient(clientId: ClientId, topic?: string, body?: unknown): Promise<boolean> {
    const message = topic === undefined ? undefined : encodeMessage(topic, body);
    return orFalse(this.gates.close.call({ clientId, message }));
  }

  /** Closes a client at once; what is queued for it is dropped. Resolves with whether it was there. */
  async destroyClient(clientId: ClientId): Promise<boolean> {
    return orFalse(this.gates.destroy.call({ clientId }));
  }

  /** Whether this client is connected. */
  async isOnline(clientId: ClientId): Promise<boolean> {
    return orFalse(this.gates.connected.call({ clientId }));
  }

  /** Whether any client of this uid is connected. */
  async isUidOnline(uid: string): Promise<boolean> {
    assertName('uid', uid);
    return this.gates.isUidOnline.call({ userId: uid });
  }

  /** How many clients are connected. */
  async getAllClientCount(): Promise<number> {
    return this.gates.clientCount.call({});
  }

  /** How many clients are in a group. */
  async getClientCountByGroup(group: string): Promise<number> {
    assertName('group', group);
    return this.gates.clientCount.call({ group });
  }

  /** How many clients each group has. */
  async getAllGroupClientIdCount(): Promise<Record<string, number>> {
    return this.gates.groupClientCounts.call();
  }

  /** The ids of all clients. */
  async getAllClientIdList(): Promise<readonly ClientId[]> {
    return this.gates.clientIds.call({});
  }

  /** The ids of the clients in a group. */
  async getClientIdListByGroup(group: string): Promise<readonly ClientId[]> {
    assertName('group', group);
    return this.gates.clientIds.call({ group });
  }

  /** The ids of the clients bound to a uid. */
  async getClientIdByUid(uid: string): Promise<readonly ClientId[]> {
    const byUid = await this.getClientIdByUids([uid]);
    return byUid[uid] ?? [];
  }

  /** The ids of the clients bound to each of the uids; a uid without clients has an empty list. */
  async getClientIdByUids(uids: readonly string[]): Promise<Record<string, readonly ClientId[]>> {
    return this.gates.clientIdsOfUids.call({ uids: nameList('uid', uids) });
  }

  /** The uids that are online, each once. */
  async getAllUidList(): Promise<readonly string[]> {
    return this.gates.uids.call({});
  }

  /** The uids that have a client in the group, each once. */
  async getUidListByGroup(group: string): Promise<readonly string[]> {
    assertName('group', group);
    return this.gates.uids.call({ group });
  }

  /** How many uids are online. */
  async getAllUidCount(): Promise<number> {
    return (await this.getAllUidList()).length;
  }

  /** How many uids have a client in the group. */
  async getUidCountByGroup(group: string): Promise<number> {
    return (await this.getUidListByGroup(group)).length;
  }

  /** The uid a client is bound to; `null` when it is bound to none or not online. */
  async getUidByClientId(clientId: ClientId): Promise<string | null> {
    const snapshot = await orNull(this.gates.load.call({ clientId }));
    return snapshot?.userId ? snapshot.userId : null;
  }

  /** The groups that have members. */
  async getAllGroupIdList(): Promise<readonly string[]> {
    return this.gates.groups.call();
  }
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof GateError && error.code === 'SESSION_NOT_FOUND') return null;
    throw error;
  }
}
