import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  type JsonInput,
  type JsonValue,
  LinkNode,
  type SessionSnapshot,
  type Settings,
  type SettingsInput,
} from '@nestgate/link';
import {
  type Handlers,
  present,
  type pushContract,
  type ReceiptContract,
  type SessionContract,
} from '@nestgate/link/internal';
import { type Body, CLOSE, GateError } from '@nestgate/protocol';
import { type Credentials, type MergeOptions, Session } from '@nestgate/worker';
import { assertName, encodeMessage } from '@nestgate/worker/internal';
import { Revoker } from './auth/revoker.js';
import { SessionExpiry } from './auth/session-expiry.js';
import { copyOfSettings } from './body-value.js';
import type { ClientAgent } from './client/client-agent.js';
import { GateCounters } from './gate-counters.js';
import type { ResolvedGateOptions } from './gate-options.js';
import { RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { Hub } from './hub/hub.js';
import { Standstill } from './hub/standstill.js';
import { Pusher } from './hub/pusher.js';
import { byName, idsOf, settingsOf, sizeOf, uidsOf } from './hub/answers.js';
import { pageOf } from './hub/page.js';
import { MovingSessions } from './resume/move/moving-sessions.js';
import { PushReceipts } from './receipts/push-receipts.js';
import { TopicRouter } from './routing/topic-router.js';
import { SessionKeeper } from './session/session-keeper.js';

/** What all pushes for receipts say. */
interface ReceiptArgs {
  readonly topic: string;
  readonly body: Body;
  readonly waitMs: number;
  readonly except?: readonly string[] | undefined;
}

/**
 * Does on this gate what workers and other nodes ask for, and what the gate's own app asks for: everything that changes a
 * session passes here, from the application or another node. Its methods are about clients of this gate only; `GatewayApi` finds a client wherever
 * it is.
 *
 * Each method that takes a session id rejects with `SESSION_NOT_FOUND` when the client is not here, except
 * {@link connected}. Sessions they resolve with are as the gate knew them at that moment.
 */
@Injectable()
export class Delegater implements OnModuleInit {
  constructor(
    private readonly node: LinkNode,
    private readonly moving: MovingSessions,
    private readonly hub: Hub,
    private readonly router: TopicRouter,
    private readonly keeper: SessionKeeper,
    private readonly pusher: Pusher,
    private readonly revoker: Revoker,
    private readonly expiry: SessionExpiry,
    private readonly standstill: Standstill,
    private readonly counters: GateCounters,
    private readonly receipts: PushReceipts,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
  ) {}

  onModuleInit(): void {
    const pushes: Handlers<typeof pushContract> = {
      one: ({ serial, topic, body }) => {
        const agent = this.hub.withSerial(serial);
        if (agent) this.pusher.pushOne(agent, topic, body);
        else this.moving.forward(this.hub.clientId(serial), topic, body);
      },
    };
    this.moving.serve({ sessions: this.handlers(), pushes, receipts: this.receiptHandlers() });
  }

  /** The agent of a client of this gate. @throws {GateError} `SESSION_NOT_FOUND`. */
  getAgent(sessionId: string): ClientAgent {
    return this.hub.get(sessionId);
  }

  /** How many clients this gate has. */
  getAgentNum(): number {
    return this.hub.size;
  }

  /** The clients of this gate. */
  sessions(): IterableIterator<ClientAgent> {
    return this.hub.all();
  }

  /** The session of a client, as it is now. */
  async load(sessionId: string): Promise<Session> {
    return this.sessionOf(this.hub.get(sessionId));
  }

  /**
   * Binds a client to a uid: what is stored of the user is merged into the session, whose own keys win.
   * @throws {GateError} `BAD_ARGUMENT`, `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses it, `UNAUTHORIZED` for
   * credentials that have expired or were revoked. The session is then as it was before.
   */
  bind(sessionId: string, userId: string, credentials?: Credentials): Promise<Session> {
    return this.change(sessionId, agent => this.keeper.bind(agent, userId, credentials));
  }

  /** Closes a client with 1008 at this moment, in ms since the epoch, unless told otherwise before; `null`: never. */
  async expireAt(sessionId: string, moment: number | null): Promise<boolean> {
    this.expiry.set(this.hub.get(sessionId), moment ?? undefined);
    return true;
  }

  /** Releases a client from its uid, or, when one is given, only from that one. What is stored stays. */
  unbind(sessionId: string, userId?: string): Promise<Session> {
    return this.change(sessionId, agent => this.keeper.unbind(agent, userId));
  }

  /**
   * Merges settings into a session, key by key; with `deep`, objects within them too.
   * @throws {GateError} `BAD_ARGUMENT` or `LIMIT_EXCEEDED`, and nothing has changed; `STORAGE_UNAVAILABLE`, and the session has
   * changed but could not be stored.
   */
  push<T extends object>(
    sessionId: string,
    settings: Settings | (T & SettingsInput<T>),
    { deep = false }: MergeOptions = {},
  ): Promise<Session> {
    return this.change(sessionId, agent => this.keeper.merge(agent, copyOfSettings(settings), deep));
  }

  /** Sets one value of a session. @throws {GateError} as {@link push} does. */
  set<T>(sessionId: string, key: string, value: JsonValue | (T & JsonInput<T>)): Promise<Session> {
    return value === undefined
      ? Promise.reject(new GateError('BAD_ARGUMENT', 'A session value must be JSON'))
      : this.push(sessionId, Object.fromEntries([[key, value as JsonValue]]));
  }

  /** Removes a value of a session. @throws {GateError} as {@link push} does. */
  del(sessionId: string, key: string): Promise<Session> {
    return this.change(sessionId, agent => this.keeper.delete(agent, key));
  }

  /** Sends to a client. False when the message was not queued: a hook has refused it, or the client reads too slowly. */
  async send(sessionId: string, topic: string, body?: unknown): Promise<boolean> {
    const message = encodeMessage(topic, body);
    return this.pusher.push([this.hub.get(sessionId)], message.topic, message.body) > 0;
  }

  /** Sends to all clients of this gate. Resolves with for how many the message was queued. */
  async broadcast(topic: string, body?: unknown): Promise<number> {
    const message = encodeMessage(topic, body);
    return this.pusher.push(this.hub.all(), message.topic, message.body);
  }

  /** Whether a client is connected; false, not an error, when it is not here. */
  async connected(sessionId: string): Promise<boolean> {
    return this.hub.find(sessionId) !== undefined;
  }

  /** Closes a client after what is queued for it has been sent. */
  async close(sessionId: string): Promise<boolean> {
    this.hub.get(sessionId).close(CLOSE.kicked.code, CLOSE.kicked.reason);
    return true;
  }

  /**
   * Forgets what is stored of a user. Sessions that are bound to the uid stay as they are.
   * @throws {GateError} `BAD_ARGUMENT`, `STORAGE_UNAVAILABLE`.
   */
  async forgetUser(userId: string): Promise<void> {
    await this.keeper.forgetUser(userId);
  }

  /** Closes all clients with 1012: they should reconnect, to another gate. */
  onDestroy(): void {
    const { code, reason } = CLOSE.restarting;
    for (const agent of this.hub.all()) agent.close(code, reason);
  }

  private handlers(): Handlers<SessionContract> {
    const { hub, keeper, pusher } = this;
    const { uids, groups } = hub;
    const presentIn = (ids: readonly string[] | undefined) => ids && hub.present(ids);
    const clientsIn = (names: readonly string[] | undefined) => (names ? hub.union(groups, names) : hub.all());
    return {
      load: args => snapshotOf(this.load(args.clientId)),
      bind: args => snapshotOf(this.bind(args.clientId, args.userId)),
      authenticate: args => snapshotOf(this.bind(args.clientId, args.userId, args)),
      expireAt: args => this.expireAt(args.clientId, args.expiresAt ?? null),
      unbind: args => snapshotOf(this.unbind(args.clientId, args.userId)),
      push: args => snapshotOf(this.push(args.clientId, args.settings, args)),
      set: args => snapshotOf(this.set(args.clientId, args.key, args.value)),
      del: args => snapshotOf(this.del(args.clientId, args.key)),
      replace: args =>
        snapshotOf(this.change(args.clientId, agent => keeper.replace(agent, copyOfSettings(args.settings)))),
      connected: args => this.connected(args.clientId),
      isAway: ({ clientId }) => hub.get(clientId).isAway,
      close: ({ clientId, message }) => {
        if (message) pusher.push([hub.get(clientId)], message.topic, message.body);
        return this.close(clientId);
      },
      destroy: ({ clientId }) => {
        hub.get(clientId).destroy(CLOSE.kicked.code, CLOSE.kicked.reason);
        return true;
      },
      joinGroup: ({ clientId, group }) => this.join(hub.get(clientId), group),
      leaveGroup: ({ clientId, group }) => void groups.remove(group, hub.get(clientId)),

      send: ({ clientIds, topic, body }) => {
        if (clientIds.length > 1) {
          const absent = this.node.holders.size > 0 ? clientIds.filter(id => !hub.find(id)) : [];
          const forwarded = absent.filter(id => this.moving.forward(id, topic, body)).length;
          return pusher.push(hub.present(clientIds), topic, body) + forwarded;
        }
        if (clientIds.length === 0) return 0;
        const id = present(clientIds[0]);
        const agent = hub.find(id);
        return (agent ? pusher.pushOne(agent, topic, body) : this.moving.forward(id, topic, body)) ? 1 : 0;
      },
      broadcast: ({ topic, body, clientIds, except }) =>
        pusher.push(clientIds ? hub.present(clientIds) : hub.all(), topic, body, presentIn(except)),
      sendToUid: args => pusher.push(hub.union(uids, args.uids), args.topic, args.body, presentIn(args.except)),
      sendToGroup: args => pusher.push(hub.union(groups, args.groups), args.topic, args.body, presentIn(args.except)),
      sync: () => undefined,
      ungroup: ({ group }) => this.standstill.ungroup(group),
      revoke: args => this.revoker.revoke(args),

      clientCount: args => (args.groups ? sizeOf(clientsIn(args.groups)) : hub.size),
      clientIds: args => idsOf(clientsIn(args.groups)),
      clientIdsOfUids: args => Object.fromEntries(args.uids.map(uid => [uid, idsOf(uids.members(uid))])),
      uids: args => (args.groups ? uidsOf(clientsIn(args.groups)) : [...uids.names()]),
      isUidOnline: ({ userId }) => uids.members(userId).size > 0,
      groups: () => [...groups.names()],
      groupClientCounts: () => byName(groups, members => members.size),
      groupClientIds: () => byName(groups, idsOf),
      groupUids: () => byName(groups, uidsOf),
      sessions: args => settingsOf(clientsIn(args.groups)),

      clientIdPage: args => pageOf(idsOf(clientsIn(args.groups)), args.after, args.limit),
      uidPage: args => pageOf(args.groups ? uidsOf(clientsIn(args.groups)) : uids.names(), args.after, args.limit),
      groupPage: args => pageOf(groups.names(), args.after, args.limit),
      sessionsOf: args => settingsOf(hub.present(args.clientIds)),
    };
  }

  /** The pushes whose sender waits until the clients have acknowledged them. */
  private receiptHandlers(): Handlers<ReceiptContract> {
    const { hub, moving, pusher, receipts } = this;
    const { uids, groups } = hub;
    const push = (
      targets: Iterable<ClientAgent>,
      { topic, body, waitMs, except }: ReceiptArgs,
      forwarded: readonly string[] = [],
    ) =>
      receipts.collect(waitMs, wait => {
        const excluded = except && hub.present(except);
        pusher.pushEach(targets, topic, body, agent => wait.add(agent.connection.session), excluded);
        for (const clientId of forwarded) {
          const elsewhere = moving.forwardForReceipt(clientId, topic, body, waitMs);
          if (elsewhere) wait.follow(elsewhere);
        }
      });
    return {
      send: args => {
        const absent = this.node.holders.size > 0 ? args.clientIds.filter(id => !hub.find(id)) : [];
        return push(hub.present(args.clientIds), args, absent);
      },
      broadcast: args => push(hub.all(), args),
      sendToUid: args => push(hub.union(uids, args.uids), args),
      sendToGroup: args => push(hub.union(groups, args.groups), args),
    };
  }

  private async change(sessionId: string, apply: (agent: ClientAgent) => Promise<void>): Promise<Session> {
    const agent = this.hub.get(sessionId);
    // Its state has gone to another gate already.
    if (agent.connection.session?.isHandedOver) throw this.hub.absence(sessionId);
    try {
      await apply(agent);
    } finally {
      // Also when it could not be stored: the session has changed all the same.
      this.router.tell(agent);
    }
    return this.sessionOf(agent);
  }

  private sessionOf(agent: ClientAgent): Session {
    return agent.session;
  }

  /** Resolves when pushes to the group reach this gate, from wherever they come. */
  private join(agent: ClientAgent, group: string): Promise<void> | void {
    assertName('group', group);
    const { groups } = this.hub;
    const joined = groups.namesOf(agent);
    if (joined.size >= this.options.maxGroups && !joined.has(group)) {
      this.counters.add('limits_exceeded', 'groups');
      throw new GateError('LIMIT_EXCEEDED', `A client may be in ${this.options.maxGroups} groups`);
    }
    groups.add(group, agent);
    return this.hub.groupInterest.whenHeard(group);
  }
}

async function snapshotOf(session: Promise<Session>): Promise<SessionSnapshot> {
  return (await session).toJSON();
}
