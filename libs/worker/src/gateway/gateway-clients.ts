import type { ClientId, Settings } from '@nestgate/link';
import { orFalse, orNull } from './absence.js';
import { GatewayPushes } from './gateway-pushes.js';
import { assertName, assertSettings, encodeMessage, idList, nameList } from './message.js';
import type { AnyEvents, PushArgs, TopicOf } from './options.js';

/** How settings are merged into a session. */
export interface MergeOptions {
  /** Merge objects within the settings too, instead of replacing them. @defaultValue false */
  readonly deep?: boolean;
}

/** What {@link GatewayApi} does with single clients: uids, groups, sessions, and their end. */
export abstract class GatewayClients<E extends object = AnyEvents> extends GatewayPushes<E> {
  /**
   * Binds clients to a uid. A uid may have many clients, a client has one uid: the last one wins.
   * @throws {GateError} `SESSION_NOT_FOUND`, `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses it.
   */
  async bindUid(clientIds: ClientId | readonly ClientId[], uid: string): Promise<void> {
    assertName('uid', uid);
    await each(idList(clientIds), clientId => this.gates.bind.call({ clientId, userId: uid }));
  }

  /** Releases clients from this uid; does nothing for those that are bound to another one. */
  async unbindUid(clientIds: ClientId | readonly ClientId[], uid: string): Promise<void> {
    assertName('uid', uid);
    await each(idList(clientIds), clientId => this.gates.unbind.call({ clientId, userId: uid }));
  }

  /**
   * Adds clients to groups. Doing it again changes nothing; membership ends with the connection.
   * @throws {GateError} `SESSION_NOT_FOUND`, `LIMIT_EXCEEDED` when a client is in too many groups.
   */
  async joinGroup(clientIds: ClientId | readonly ClientId[], groups: string | readonly string[]): Promise<void> {
    const names = nameList('group', groups);
    await each(idList(clientIds), clientId => each(names, group => this.gates.joinGroup.call({ clientId, group })));
  }

  /** Takes clients out of groups. */
  async leaveGroup(clientIds: ClientId | readonly ClientId[], groups: string | readonly string[]): Promise<void> {
    const names = nameList('group', groups);
    await each(idList(clientIds), clientId => each(names, group => this.gates.leaveGroup.call({ clientId, group })));
  }

  /** Takes everybody out of the groups, and closes nobody. Resolves with how many memberships that were. */
  async ungroup(groups: string | readonly string[]): Promise<number> {
    const counts = await each(nameList('group', groups), group => this.gates.ungroup.call({ group }));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Replaces the settings of a client's session. @throws {GateError} `SESSION_NOT_FOUND`, `LIMIT_EXCEEDED`, `STORAGE_UNAVAILABLE`. */
  async setSession(clientId: ClientId, settings: Settings): Promise<void> {
    assertSettings(Object.entries(settings));
    await this.gates.replace.call({ clientId, settings });
  }

  /** Merges settings into a client's session, key by key. @throws {GateError} as {@link setSession} does. */
  async updateSession(clientId: ClientId, settings: Settings, { deep = false }: MergeOptions = {}): Promise<void> {
    assertSettings(Object.entries(settings));
    await this.gates.push.call({ clientId, settings, deep });
  }

  /** The settings of a client's session: `{}` when nothing is set, `null` when the client is not online. */
  async getSession(clientId: ClientId): Promise<Settings | null> {
    const snapshot = await orNull(this.gates.load.call({ clientId }));
    return snapshot && snapshot.settings;
  }

  /** The uid a client is bound to; `null` when it is bound to none or not online. */
  async getUidByClientId(clientId: ClientId): Promise<string | null> {
    const snapshot = await orNull(this.gates.load.call({ clientId }));
    return snapshot?.userId ? snapshot.userId : null;
  }

  /** Whether this client is connected. @throws {GateError} `LINK_UNAVAILABLE` when its gate is out of reach. */
  async isOnline(clientId: ClientId): Promise<boolean> {
    return orFalse(this.gates.connected.call({ clientId }));
  }

  /**
   * Closes clients, after what is queued for them, and a last message if there is one, has been sent (5 s at most). Resolves
   * with whether the client was there; for a list, with how many were.
   */
  closeClient<T extends TopicOf<E>>(clientId: ClientId, topic?: T, ...args: PushArgs<E[T], []>): Promise<boolean>;
  closeClient<T extends TopicOf<E>>(
    clientIds: readonly ClientId[],
    topic?: T,
    ...args: PushArgs<E[T], []>
  ): Promise<number>;
  async closeClient(
    clientIds: ClientId | readonly ClientId[],
    topic?: string,
    body?: unknown,
  ): Promise<boolean | number> {
    const message = topic === undefined ? undefined : encodeMessage(topic, body);
    return one(
      clientIds,
      each(idList(clientIds), clientId => orFalse(this.gates.close.call({ clientId, message }))),
    );
  }

  /** Closes the client whose frame is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  async closeCurrentClient<T extends TopicOf<E>>(topic?: T, ...[body]: PushArgs<E[T], []>): Promise<boolean> {
    return this.closeClient(this.currentClientId, topic, ...([body] as PushArgs<E[T], []>));
  }

  /**
   * Closes clients at once; what is queued for them is dropped. Resolves with whether the client was there; for a list, with
   * how many were.
   */
  destroyClient(clientId: ClientId): Promise<boolean>;
  destroyClient(clientIds: readonly ClientId[]): Promise<number>;
  async destroyClient(clientIds: ClientId | readonly ClientId[]): Promise<boolean | number> {
    return one(
      clientIds,
      each(idList(clientIds), clientId => orFalse(this.gates.destroy.call({ clientId }))),
    );
  }

  /** Cuts off the client whose frame is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  async destroyCurrentClient(): Promise<boolean> {
    return this.destroyClient(this.currentClientId);
  }
}

function each<T, R>(items: readonly T[], call: (item: T) => Promise<R>): Promise<R[]> {
  return Promise.all(items.map(call));
}

/** The answer for one client, or, when there was a list, how many answers are yes. */
async function one(asked: string | readonly string[], answers: Promise<boolean[]>): Promise<boolean | number> {
  const known = await answers;
  return typeof asked === 'string' ? known[0] === true : known.filter(Boolean).length;
}
