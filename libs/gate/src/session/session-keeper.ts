import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { LinkNode, type Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import type { Credentials } from '@nestgate/worker';
import { assertMoment, assertName } from '@nestgate/worker/internal';
import { Revocations, type ShownCredentials } from '../auth/revocations.js';
import { Revoker } from '../auth/revoker.js';
import { AUTH_EXPIRED, SessionExpiry } from '../auth/session-expiry.js';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { BoundedStorage } from '../storage/bounded-storage.js';
import { type SettingsChange, StorageHandler } from '../storage/storage-handler.js';
import { StorageHeartbeat } from '../storage/storage-heartbeat.js';
import { BorrowedKeys } from './borrowed-keys.js';
import { assertHere, ClientTurns } from './client-turns.js';
import { deepMerged } from './deep-merge.js';
import { Login } from './login.js';
import { LoginRules } from './login-rules.js';
import { joined, type SessionState, settingsFromStored, sizeOf } from './session-state.js';

/** The credentials by which a client is to be bound. */
export interface BindCredentials extends Credentials {
  /** Since when they have been looked at, as `performance.now()`. @defaultValue now */
  readonly since?: number;
  /**
   * Binds also when the connection's settings and those of the user together are over the limit: the session has all of them, and
   * its own are not stored. For logins by a handshake, whose settings cannot be reduced. @defaultValue false
   */
  readonly mayExceed?: boolean;
}

/** What is known of a session beside its state. */
export interface SessionBelongings {
  /** When the login was, by the clock of the cluster. */
  readonly clock?: number | undefined;
  readonly issuedAt?: number | undefined;
  readonly expiresInMs?: number | undefined;
  /** Keys of the settings that come from the storage of the user. */
  readonly borrowed: readonly string[];
}

/**
 * Changes sessions and stores the changes. Changes of one session are serialized, so that the last one wins; different sessions
 * do not wait for each other.
 */
@Injectable()
export class SessionKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly storage: BoundedStorage;
  private readonly heartbeat: StorageHeartbeat;
  /** Changes of sessions that are not done yet. */
  readonly turns = new ClientTurns();
  private readonly borrowed = new BorrowedKeys();

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
   * Binds a client to a uid: loads the stored session, merges it (keys of the connection win), stores the result, and then makes the
   * client reachable by its uid.
   * @throws {GateError} `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses a second client, `UNAUTHORIZED` for
   * credentials that have expired or were revoked, `LIMIT_EXCEEDED` when the connection's settings and those of the user together are
   * too large, `SESSION_NOT_FOUND` when the client has disconnected meanwhile. The session is then unchanged.
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
    return this.turns.run(agent, async () => {
      this.revocations.check(userId, shown);
      if (agent.sessionState.userId !== userId) {
        const mayExceed = credentials.mayExceed === true;
        await this.logins.admit(login, deadline, until => this.bindNow(login, shown, until, mayExceed));
      }
      this.revoker.note(agent, issuedAt);
      if (expiresAt !== undefined) this.expiry.set(agent, expiresAt);
    });
  }

  /** Unbinds a client from its uid, or only from the given one. Stored settings stay. */
  unbind(agent: ClientAgent, userId: string | undefined): Promise<void> {
    return this.turns.run(agent, () => {
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
      this.borrowed.own(agent, Object.keys(set));
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
      this.borrowed.forget(agent);
      return { set: settings, deleted: 'all' };
    });
  }

  /** Removes a setting. @throws {GateError} as {@link replace} does. */
  delete(agent: ClientAgent, key: string): Promise<void> {
    return this.change(agent, state => {
      state.delete(key);
      this.borrowed.own(agent, [key]);
      return { set: {}, deleted: [key] };
    });
  }

  /** What is known of a session beside its state, for the gate that it moves to. */
  belongings(agent: ClientAgent): SessionBelongings {
    return {
      clock: this.logins.clockOf(agent),
      issuedAt: this.revoker.issuedAt(agent),
      expiresInMs: this.expiry.leftMs(agent),
      borrowed: this.borrowed.of(agent),
    };
  }

  /** A session has come from another gate, with its state. Its client becomes reachable by its uid. */
  adopt(agent: ClientAgent, { clock, issuedAt, expiresInMs, borrowed }: SessionBelongings): void {
    const { userId } = agent.sessionState;
    if (expiresInMs !== undefined) this.expiry.adopt(agent, expiresInMs);
    this.borrowed.set(agent, borrowed);
    if (userId === '') return;
    if (clock !== undefined) this.logins.adopt(agent, clock);
    this.revoker.note(agent, issuedAt);
    this.hub.uids.add(userId, agent);
  }

  /** The client has disconnected. */
  forget(agent: ClientAgent): void {
    this.logins.forget(agent);
    this.revoker.forget(agent);
    this.expiry.forget(agent);
    this.borrowed.forget(agent);
  }

  /** Deletes the stored settings of a user; sessions do not change. @throws {GateError} `STORAGE_UNAVAILABLE`. */
  async forgetUser(userId: string): Promise<void> {
    assertName('uid', userId);
    await this.storage.delete(userId, this.storage.newDeadline());
  }

  private change(agent: ClientAgent, apply: (state: SessionState) => SettingsChange): Promise<void> {
    const deadline = this.storage.newDeadline();
    return this.turns.run(agent, async () => {
      const { sessionState: state } = agent;
      if (state.userId === '') {
        this.countingExcess(() => apply(state));
        return;
      }
      // Applied to a draft: the stored settings of other clients of the user may leave no room for the change.
      const borrowed = this.borrowed.of(agent);
      const draft = state.draft();
      const change = this.countingExcess(() => apply(draft));
      let failure: unknown;
      try {
        await this.storage.storage(draft.snapshot(), change, this.options.maxSettingsBytes, deadline);
      } catch (error) {
        if (isExcess(error)) {
          if (!agent.isClosed) this.borrowed.set(agent, borrowed);
          this.counters.add('limits_exceeded', 'settings');
          throw error;
        }
        failure = error;
      }
      if (draft.version !== state.version) state.adopt(draft.snapshot().settings);
      if (failure === undefined) return;
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
    const own = this.borrowed.without(agent, agent.sessionState.snapshot().settings);
    const settings = await this.exchange(agent, userId, own, deadline, mayExceed);
    // Synchronous from here on: all checks run before the first change.
    assertHere(agent);
    this.revocations.check(userId, shown);
    this.logins.decide(login);
    this.leave(agent);
    agent.sessionState.adopt(settings);
    this.borrowed.set(
      agent,
      Object.keys(settings).filter(key => !Object.hasOwn(own, key)),
    );
    agent.sessionState.setUserId(userId);
    this.logins.note(login);
    this.hub.uids.add(userId, agent);
    // The bind is complete: its caller may rely on pushes to the uid.
    await this.hub.uidInterest.whenHeard(userId);
  }

  /**
   * Merges the stored settings of a user with those of the connection, stores the result, and returns it. A stored value never keeps
   * a client out: an unusable one is ignored.
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
    // The client has disconnected: there is nothing to store.
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
      const merged = { ...agent.sessionState.snapshot(), settings, userId };
      await this.storage.storage(merged, { set: own, deleted: [] }, maxBytes, deadline);
    } catch (error) {
      if (!isExcess(error)) throw error;
      this.counters.add('limits_exceeded', 'settings');
      if (!mayExceed) throw error;
    }
    return settings;
  }

  private leave(agent: ClientAgent): void {
    const { userId } = agent.sessionState;
    if (userId !== '') this.hub.uids.remove(userId, agent);
    this.logins.forget(agent);
    this.revoker.forget(agent);
  }
}

function isExcess(error: unknown): boolean {
  return error instanceof GateError && error.code === 'LIMIT_EXCEEDED';
}
