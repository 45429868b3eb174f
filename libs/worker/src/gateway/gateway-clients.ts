import type { ClientId, Settings, SettingsInput } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { orFalse, orNull } from './queries.js';
import { assertClientId, assertCount, assertWait, checkedSettings, counted, idList, nameList } from './arguments.js';
import { assertSnapshotOf } from '../session/session.js';
import { bindCall, type Credentials } from './credentials.js';
import { GatewayPushes } from './gateway-pushes.js';
import { assertName, encodeMessage } from '../message/message.js';
import type { AnyEvents, ClientState, EventMap, PushArgs, TopicOf, WaitOptions } from './options.js';

type ClientIds = ClientId | readonly ClientId[];
type Groups = string | readonly string[];

/** How settings are merged into a session. */
export interface MergeOptions {
  /** Merge objects within the settings too, instead of replacing them. @defaultValue false */
  readonly deep?: boolean | undefined;
}

/**
 * What {@link GatewayApi} does with single clients: uids, groups, sessions, and their end. Changes of several clients are
 * made side by side; when some fail the others are made all the same, and the call rejects when all are done.
 */
export abstract class GatewayClients<E extends EventMap = AnyEvents> extends GatewayPushes<E> {
  /**
   * Binds clients to a uid. A uid may have many clients, a client has one uid: the last one wins.
   * @throws {GateError} `SESSION_NOT_FOUND`, `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses it, `UNAUTHORIZED`
   * for credentials that have expired or were revoked.
   */
  bindUid(clientIds: ClientIds, uid: string, credentials?: Credentials): Promise<void> {
    return this.change(async () => {
      assertName('uid', uid);
      await each(idList(clientIds), clientId => bindCall(this.gates, clientId, uid, credentials));
    });
  }

  /** Releases clients from this uid; does nothing for those that are bound to another one. */
  unbindUid(clientIds: ClientIds, uid: string): Promise<void> {
    return this.change(async () => {
      assertName('uid', uid);
      await each(idList(clientIds), clientId => this.gates.unbind.call({ clientId, userId: uid }));
    });
  }

  /**
   * Adds clients to groups. Doing it again changes nothing; membership ends with the connection.
   * @throws {GateError} `SESSION_NOT_FOUND`, `LIMIT_EXCEEDED` when a client is in too many groups.
   */
  joinGroup(clientIds: ClientIds, groups: Groups): Promise<void> {
    return this.change(async () => {
      await each(pairs(clientIds, groups), membership => this.gates.joinGroup.call(membership));
    });
  }

  /** Takes clients out of groups. */
  leaveGroup(clientIds: ClientIds, groups: Groups): Promise<void> {
    return this.change(async () => {
      await each(pairs(clientIds, groups), membership => this.gates.leaveGroup.call(membership));
    });
  }

  /** Takes everybody out of the groups, and closes nobody. Resolves with how many memberships that were. */
  ungroup(groups: Groups): Promise<number> {
    return this.change(async () => {
      const counts = await each(nameList('group', groups), group => this.gates.ungroup.call({ group }));
      return counts.reduce((sum, count) => sum + count, 0);
    });
  }

  /**
   * Replaces the settings of a client's session: anything that JSON can carry, an interface too. A key that is `undefined` is left out.
   * @throws {GateError} `SESSION_NOT_FOUND`, `LIMIT_EXCEEDED`, `STORAGE_UNAVAILABLE`.
   */
  setSession<T extends object>(clientId: ClientId, settings: Settings | (T & SettingsInput<T>)): Promise<void> {
    return this.change(async () => {
      assertClientId(clientId);
      await this.gates.replace.call({ clientId, settings: checkedSettings(settings) });
    });
  }

  /** Merges settings into a client's session, key by key. @throws {GateError} as {@link setSession} does. */
  updateSession<T extends object>(
    clientId: ClientId,
    settings: Settings | (T & SettingsInput<T>),
    options?: MergeOptions,
  ): Promise<void> {
    return this.change(async () => {
      assertClientId(clientId);
      const deep = options?.deep === true;
      await this.gates.push.call({ clientId, settings: checkedSettings(settings), deep });
    });
  }

  /**
   * The settings of a client's session: `{}` when nothing is set, `null` when the client is not online. A type other than `Settings` is
   * the caller's claim; nothing checks it.
   */
  async getSession<T extends object = Settings>(clientId: ClientId, options?: WaitOptions): Promise<T | null> {
    const snapshot = await this.load(clientId, options);
    return snapshot && (snapshot.settings as T);
  }

  /** The uid a client is bound to; `null` when it is bound to none or not online. */
  async getUidByClientId(clientId: ClientId, options?: WaitOptions): Promise<string | null> {
    const snapshot = await this.load(clientId, options);
    return snapshot?.userId ? snapshot.userId : null;
  }

  /** Whether this client is connected. @throws {GateError} `LINK_UNAVAILABLE` when its gate is out of reach. */
  async isOnline(clientId: ClientId, options?: WaitOptions): Promise<boolean> {
    assertClientId(clientId);
    assertWait(options);
    return orFalse(this.gates.connected.call({ clientId }, options));
  }

  /**
   * Whether a client is connected (`online`), has lost its connection while its session is kept (`away`), or is neither (`gone`).
   * @throws {GateError} as {@link isOnline} does.
   */
  async getClientState(clientId: ClientId, options?: WaitOptions): Promise<ClientState> {
    assertClientId(clientId);
    assertWait(options);
    const state = this.gates.isAway.call({ clientId }, options).then(isAway => (isAway ? 'away' : 'online'));
    return (await orNull<ClientState>(state)) ?? 'gone';
  }

  /**
   * Closes clients, after what is queued for them, and a last message if there is one, has been sent (5 s at most). Resolves
   * with whether the client was there; for a list, with how many were.
   */
  closeClient(clientId: ClientId, topic?: undefined): Promise<boolean>;
  closeClient(clientIds: readonly ClientId[], topic?: undefined): Promise<number>;
  closeClient<T extends TopicOf<E>>(clientId: ClientId, topic: T, ...args: PushArgs<E[T], []>): Promise<boolean>;
  closeClient<T extends TopicOf<E>>(
    clientIds: readonly ClientId[],
    topic: T,
    ...args: PushArgs<E[T], []>
  ): Promise<number>;
  closeClient(clientIds: ClientIds, topic?: string, body?: unknown): Promise<boolean | number> {
    return this.change(async () => this.closeAll(clientIds, topic, body));
  }

  /** Closes the client whose frame is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  closeCurrentClient(topic?: undefined): Promise<boolean>;
  closeCurrentClient<T extends TopicOf<E>>(topic: T, ...args: PushArgs<E[T], []>): Promise<boolean>;
  closeCurrentClient(topic?: string, body?: unknown): Promise<boolean | number> {
    return this.change(async () => this.closeAll(this.currentClientId, topic, body));
  }

  /**
   * Closes clients at once; what is queued for them is dropped. Resolves with whether the client was there; for a list, with
   * how many were.
   */
  destroyClient(clientId: ClientId): Promise<boolean>;
  destroyClient(clientIds: readonly ClientId[]): Promise<number>;
  destroyClient(clientIds: ClientIds): Promise<boolean | number> {
    return this.change(async () => {
      const found = await each(idList(clientIds), clientId => orFalse(this.gates.destroy.call({ clientId })));
      return counted(clientIds, found);
    });
  }

  /** Cuts off the client whose frame is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  destroyCurrentClient(): Promise<boolean> {
    return this.change(async () => this.destroyClient(this.currentClientId));
  }

  private async closeAll(clientIds: ClientIds, topic: string | undefined, body: unknown): Promise<boolean | number> {
    if (topic === undefined && body !== undefined) {
      throw new GateError('BAD_ARGUMENT', 'A last message needs a topic');
    }
    const message = topic === undefined ? undefined : encodeMessage(topic, body);
    const ids = idList(clientIds);
    return counted(clientIds, await each(ids, clientId => orFalse(this.gates.close.call({ clientId, message }))));
  }

  private async load(clientId: ClientId, options: WaitOptions | undefined) {
    assertClientId(clientId);
    assertWait(options);
    const snapshot = await orNull(this.gates.load.call({ clientId }, options));
    if (snapshot) assertSnapshotOf(snapshot, clientId);
    return snapshot;
  }

  private change<T>(make: () => Promise<T>): Promise<T> {
    return this.watched(make());
  }
}

/** Every client with every group. @throws {GateError} `BAD_ARGUMENT`. */
function pairs(clientIds: ClientIds, groups: Groups): { readonly clientId: ClientId; readonly group: string }[] {
  const names = nameList('group', groups);
  const ids = idList(clientIds);
  assertCount(ids.length * names.length);
  return ids.flatMap(clientId => names.map(group => ({ clientId, group })));
}

/** All outcomes, in order. Rejects as the first one that failed does, when all are known: nothing is under way any more. */
export async function each<T, R>(items: readonly T[], call: (item: T) => Promise<R>): Promise<R[]> {
  const outcomes = await Promise.allSettled(items.map(call));
  return outcomes.map(outcome => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}
