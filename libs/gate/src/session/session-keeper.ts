import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { LinkNode, type SessionSnapshot, type Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { assertMoment, assertName, type Credentials } from '@nestgate/worker';
import { Revocations, type ShownCredentials } from '../auth/revocations.js';
import { Revoker } from '../auth/revoker.js';
import { AUTH_EXPIRED, SessionExpiry } from '../auth/session-expiry.js';
import type { ClientAgent } from '../connection/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { BoundedStorage } from '../storage/bounded-storage.js';
import { type SettingsChange, StorageHandler } from '../storage/storage-handler.js';
import { StorageHeartbeat } from '../storage/storage-heartbeat.js';
import { deepMerged } from './deep-merge.js';
import { Login, LoginRules } from './login-rules.js';
import { joined, type SessionState, settingsFromStored, sizeOf } from './session-state.js';

/** The credentials by which a client is to be bound. */
export interface BindCredentials extends Credentials {
  /** Since when they have been looked at, as `performance.now()`. @defaultValue now */
  readonly since?: number;
  /**
   * Binds also when the connection's settings and those of the user together are over the limit: the session has all of them, and
   * its own are not stored. For logins whose settings nobody could make smaller. @defaultValue false
   */
  readonly mayExceed?: boolean;
}

/**
 * Changes sessions, and keeps the storage in step. Changes of one session happen one after another, so that the last one
 * wins; those of different sessions do not wait for each other.
 */
@Injectable()
export class SessionKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly storage: BoundedStorage;
  private readonly heartbeat: StorageHeartbeat;
  /** The last change of a session that is not done yet. */
  private readonly queues = new Map<ClientAgent, Promise<unknown>>();
  /**
   * Keys that a session has of its user's storage, and not of its connection: they must not follow the connection to
   * another user, nor undo, when it is bound again, what another gate has stored since.
   */
  private readonly borrowed = new Map<ClientAgent, Set<string>>();

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly hub: Hub,
    private readonly logins: LoginRules,
    private readonly revocations: Revocations,
    private readonly revoker: Revoker,
    private readonly expiry: SessionExpiry,
    storage: StorageHandler,
    private readonly counters: GateCounters,
    node: LinkNode,
  ) {
    this.storage = new BoundedStorage(storage, counters);
    this.heartbeat = new StorageHeartbeat(this.storage, hub, error => node.reportDefect(error, 'storage.heartbeat'));
  }

  onApplicationBootstrap(): void {
    this.heartbeat.start(this.options.storageHeartbeat);
  }

  onModuleDestroy(): void {
    this.heartbeat.stop();
  }

  /**
   * Binds a client to a uid: asks the storage, merges what it has (the connection's own keys win), stores, and only then
   * lets the client be found by its uid.
   * @throws {GateError} `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses a second client, `UNAUTHORIZED` for
   * credentials that have expired or were revoked, `LIMIT_EXCEEDED` when the connection's settings and those of the user together are
   * too large, `SESSION_NOT_FOUND` when the client has gone meanwhile. The session is then
   * as it was before.
   */
  bind(agent: ClientAgent, userId: string, credentials: BindCredentials = {}): Promise<void> {
    assertName('uid', userId);
    const { issuedAt, expiresAt } = credentials;
    assertMoment(issuedAt);
    assertMoment(expiresAt);
    if (expiresAt !== undefined && !(expiresAt > Date.now())) throw new GateError('UNAUTHORIZED', AUTH_EXPIRED);
    const shown = { issuedAt, since: credentials.since ?? performance.now() };
    const login = new Login(agent, userId, this.logins.now());
    const deadline = this.storage.newDeadline();
    return this.inTurn(agent, async () => {
      this.revocations.check(userId, shown);
      if (agent.sessionState.userId !== userId) {
        const mayExceed = credentials.mayExceed === true;
        await this.logins.admit(login, deadline, until => this.bindNow(login, shown, until, mayExceed));
      }
      this.revoker.note(agent, issuedAt);
      if (expiresAt !== undefined) this.expiry.set(agent, expiresAt);
    });
  }

  /** Releases a client from its uid, or only from this one. What is stored stays. */
  unbind(agent: ClientAgent, userId: string | undefined): Promise<void> {
    return this.inTurn(agent, () => {
      if (agent.sessionState.userId !== '' && (userId ?? agent.sessionState.userId) === agent.sessionState.userId) {
        this.leave(agent);
        agent.sessionState.setUserId('');
      }
    });
  }

  /** Merges settings, key by key; with `deep`, objects within them too. @throws {GateError} as {@link replace} does. */
  merge(agent: ClientAgent, settings: Settings, deep = false): Promise<void> {
    return this.change(agent, state => {
      const set = deep ? deepMerged(state.snapshot().settings, settings) : settings;
      state.merge(set);
      this.own(agent, Object.keys(set));
      return { set, deleted: [] };
    });
  }

  /**
   * Replaces all settings.
   * @throws {GateError} `BAD_ARGUMENT` or `LIMIT_EXCEEDED`, and nothing has changed; `STORAGE_UNAVAILABLE`, and the change is
   * made on this gate but not stored.
   */
  replace(agent: ClientAgent, settings: Settings): Promise<void> {
    return this.change(agent, state => {
      state.replace(settings);
      this.borrowed.delete(agent);
      return { set: settings, deleted: 'all' };
    });
  }

  /** Removes a setting. @throws {GateError} as {@link replace} does. */
  delete(agent: ClientAgent, key: string): Promise<void> {
    return this.change(agent, state => {
      state.delete(key);
      this.own(agent, [key]);
      return { set: {}, deleted: [key] };
    });
  }

  /** The client is gone. */
  forget(agent: ClientAgent): void {
    this.logins.forget(agent);
    this.revoker.forget(agent);
    this.expiry.forget(agent);
    this.borrowed.delete(agent);
  }

  /** Forgets what is stored of a user; sessions stay as they are. @throws {GateError} `STORAGE_UNAVAILABLE`. */
  async forgetUser(userId: string): Promise<void> {
    assertName('uid', userId);
    await this.storage.delete(userId, this.storage.newDeadline());
  }

  private change(agent: ClientAgent, apply: (state: SessionState) => SettingsChange): Promise<void> {
    const deadline = this.storage.newDeadline();
    return this.inTurn(agent, async () => {
      const { sessionState: state } = agent;
      if (state.userId === '') {
        this.countingExcess(() => apply(state));
        return;
      }
      // On a draft: other clients of the user may have stored so much that there is no room for the change.
      const borrowed = this.borrowed.get(agent);
      const kept = borrowed && new Set(borrowed);
      const draft = state.draft();
      const change = this.countingExcess(() => apply(draft));
      let failure: unknown;
      try {
        await this.storage.storage(draft.snapshot(), change, this.options.maxSettingsBytes, deadline);
      } catch (error) {
        if (isExcess(error)) {
          if (kept && !agent.isClosed) this.borrowed.set(agent, kept);
          this.counters.add('limits_exceeded', 'settings');
          throw error;
        }
        failure = error;
      }
      if (draft.version !== state.version) state.adopt(draft.snapshot().settings);
      if (failure !== undefined)
        throw new GateError('STORAGE_UNAVAILABLE', 'The session has changed on the gate, but could not be stored');
    });
  }

  private countingExcess<T>(task: () => T): T {
    try {
      return task();
    } catch (error) {
      if (isExcess(error)) this.counters.add('limits_exceeded', 'settings');
      throw error;
    }
  }

  private async bindNow(login: Login, shown: ShownCredentials, deadline: number, mayExceed: boolean): Promise<void> {
    const { agent, userId } = login;
    const own = this.ownSettings(agent);
    const settings = await this.exchange(agent, userId, own, deadline, mayExceed);
    // From here on nothing waits: whatever refuses the client refuses it before anything has changed.
    assertHere(agent);
    this.revocations.check(userId, shown);
    this.logins.decide(login);
    this.leave(agent);
    agent.sessionState.adopt(settings);
    const borrowed = Object.keys(settings).filter(key => !Object.hasOwn(own, key));
    if (borrowed.length > 0) this.borrowed.set(agent, new Set(borrowed));
    else this.borrowed.delete(agent);
    agent.sessionState.setUserId(userId);
    this.logins.note(login);
    this.hub.uids.add(userId, agent);
    // The bind is done; whoever waits for it may rely on pushes to the uid.
    await this.hub.uidInterest.whenHeard(userId);
  }

  /**
   * Merges what is stored of a user with the connection's own settings, stores the result, and returns it. What is stored never
   * keeps a client out by itself: where it cannot be used, the user starts again without it.
   */
  private async exchange(
    agent: ClientAgent,
    userId: string,
    own: Settings,
    deadline: number,
    mayExceed: boolean,
  ): Promise<Settings> {
    const { maxSettingsBytes: maxBytes } = this.options;
    const answer = await this.storage.query(userId, maxBytes, deadline);
    // Nobody is left to store for.
    assertHere(agent);
    let stored: Settings = {};
    try {
      stored = settingsFromStored(answer, maxBytes);
    } catch (error) {
      this.storage.noteUnusable(userId, error);
    }
    const settings = joined(stored, own);
    try {
      if (sizeOf(settings) > maxBytes)
        throw new GateError('LIMIT_EXCEEDED', 'The settings of client and user are too large');
      const merged: SessionSnapshot = { ...agent.sessionState.snapshot(), settings, userId };
      await this.storage.storage(merged, { set: own, deleted: [] }, maxBytes, deadline);
    } catch (error) {
      if (!isExcess(error)) throw error;
      this.counters.add('limits_exceeded', 'settings');
      if (!mayExceed) throw error;
    }
    return settings;
  }

  private ownSettings(agent: ClientAgent): Settings {
    const { settings } = agent.sessionState.snapshot();
    const borrowed = this.borrowed.get(agent);
    return borrowed ? Object.fromEntries(Object.entries(settings).filter(([key]) => !borrowed.has(key))) : settings;
  }

  /** The connection has decided on these keys itself. */
  private own(agent: ClientAgent, keys: readonly string[]): void {
    const borrowed = this.borrowed.get(agent);
    if (borrowed) for (const key of keys) borrowed.delete(key);
  }

  private leave(agent: ClientAgent): void {
    const { userId } = agent.sessionState;
    if (userId !== '') this.hub.uids.remove(userId, agent);
    this.logins.forget(agent);
    this.revoker.forget(agent);
  }

  private inTurn(agent: ClientAgent, task: () => void | Promise<void>): Promise<void> {
    const turn = (): void | Promise<void> => {
      assertHere(agent);
      return task();
    };
    const before = this.queues.get(agent);
    const run = before ? before.then(turn, turn) : new Promise<void>(resolve => resolve(turn()));
    this.queues.set(agent, run);
    return run.finally(() => {
      if (this.queues.get(agent) === run) this.queues.delete(agent);
    });
  }
}

function isExcess(error: unknown): boolean {
  return error instanceof GateError && error.code === 'LIMIT_EXCEEDED';
}

/** Changes of a client that has gone while they waited are not made. */
function assertHere(agent: ClientAgent): void {
  if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
}
