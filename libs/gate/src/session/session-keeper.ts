import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { SessionSnapshot, Settings } from '@nestgate/link';
import { CLOSE, GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';
import type { ClientAgent } from '../connection/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { type SettingsChange, StorageHandler } from '../storage/storage-handler.js';

/** How long the storage may take for one call, in milliseconds. */
const STORAGE_MS = 500;
/** Sessions named in one heartbeat. */
const HEARTBEAT_BATCH = 1_000;

/**
 * Changes sessions, and keeps the storage in step. Changes of one session happen one after another, so that the last one
 * wins; those of different sessions do not wait for each other.
 */
@Injectable()
export class SessionKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(SessionKeeper.name);
  /** The last change of a session that is not done yet. */
  private readonly queues = new Map<ClientAgent, Promise<unknown>>();
  /** Which bind of a uid is the newest: an older one that ends later must not win. */
  private readonly bindOf = new Map<ClientAgent, number>();
  private lastBind = 0;
  private heartbeatTimer: NodeJS.Timeout | undefined;
  private heartbeatRuns = false;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly hub: Hub,
    private readonly storage: StorageHandler,
    private readonly counters: GateCounters,
  ) {}

  onApplicationBootstrap(): void {
    this.heartbeatTimer = setInterval(() => void this.heartbeat(), this.options.storageHeartbeat).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.heartbeatTimer);
  }

  /**
   * Binds a client to a uid: asks the storage, merges what it has (the connection's own keys win), stores, and only then
   * lets the client be found by its uid.
   * @throws {GateError} `STORAGE_UNAVAILABLE`, `FORBIDDEN` when the login rule refuses a second client, `SESSION_NOT_FOUND`
   * when the client has gone meanwhile. The session is then as it was before.
   */
  bind(agent: ClientAgent, userId: string): Promise<void> {
    assertName('uid', userId);
    return this.inTurn(agent, async () => {
      if (agent.session.userId === userId) return;
      const bind = ++this.lastBind;
      this.checkLogin(agent, userId);
      this.bindOf.set(agent, bind);
      try {
        await this.adopt(agent, userId);
        this.checkLogin(agent, userId);
        this.replaceOthers(agent, userId, bind);
      } catch (error) {
        this.bindOf.delete(agent);
        throw error;
      }
      this.leave(agent);
      this.bindOf.set(agent, bind);
      agent.session.setUserId(userId);
      this.hub.uids.add(userId, agent);
    });
  }

  /** Releases a client from its uid, or only from this one. What is stored stays. */
  unbind(agent: ClientAgent, userId: string | undefined): Promise<void> {
    return this.inTurn(agent, () => {
      if (agent.session.userId !== '' && (userId ?? agent.session.userId) === agent.session.userId) {
        this.leave(agent);
        agent.session.setUserId('');
      }
    });
  }

  /** Merges settings, key by key. @throws {GateError} as {@link replace} does. */
  merge(agent: ClientAgent, settings: Settings): Promise<void> {
    return this.change(agent, { set: settings, deleted: [] }, () => agent.session.merge(settings));
  }

  /**
   * Replaces all settings.
   * @throws {GateError} `BAD_ARGUMENT` or `LIMIT_EXCEEDED`, and nothing has changed; `STORAGE_UNAVAILABLE`, and the change is
   * made on this gate but not stored.
   */
  replace(agent: ClientAgent, settings: Settings): Promise<void> {
    return this.change(agent, { set: settings, deleted: 'all' }, () => agent.session.replace(settings));
  }

  /** Removes a setting. @throws {GateError} as {@link replace} does. */
  delete(agent: ClientAgent, key: string): Promise<void> {
    return this.change(agent, { set: {}, deleted: [key] }, () => agent.session.delete(key));
  }

  /** The client is gone. */
  forget(agent: ClientAgent): void {
    this.bindOf.delete(agent);
  }

  private change(agent: ClientAgent, change: SettingsChange, apply: () => void): Promise<void> {
    return this.inTurn(agent, async () => {
      apply();
      if (agent.session.userId === '') return;
      try {
        await this.bounded(this.storage.storage(agent.session.snapshot(), change));
      } catch (error) {
        this.noteFailure(error);
        throw new GateError('STORAGE_UNAVAILABLE', 'The session has changed on the gate, but could not be stored');
      }
    });
  }

  /** Merges what is stored of a user into a session, and stores the result. Nothing is changed when that fails. */
  private async adopt(agent: ClientAgent, userId: string): Promise<void> {
    const { session } = agent;
    const own = session.snapshot().settings;
    try {
      const stored: unknown = await this.bounded(this.storage.query(userId));
      const merged = session.withStored(stored);
      await this.bounded(this.storage.storage({ ...merged, userId }, { set: own, deleted: [] }));
      if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
      session.adopt(merged.settings);
    } catch (error) {
      if (error instanceof GateError && error.code === 'SESSION_NOT_FOUND') throw error;
      this.noteFailure(error);
      throw new GateError('STORAGE_UNAVAILABLE');
    }
  }

  private checkLogin(agent: ClientAgent, userId: string): void {
    if (this.options.login !== 'refuse') return;
    for (const other of this.hub.uids.members(userId)) {
      if (other !== agent) throw new GateError('FORBIDDEN', 'This user is connected already');
    }
  }

  private replaceOthers(agent: ClientAgent, userId: string, bind: number): void {
    if (this.options.login !== 'replace') return;
    const { code, reason } = CLOSE.replaced;
    for (const other of this.hub.uids.members(userId)) {
      if (other === agent) continue;
      if ((this.bindOf.get(other) ?? 0) > bind) {
        agent.close(code, reason);
        throw new GateError('SESSION_NOT_FOUND', 'Replaced by a newer login');
      }
      other.close(code, reason);
    }
  }

  private leave(agent: ClientAgent): void {
    const { userId } = agent.session;
    if (userId !== '') this.hub.uids.remove(userId, agent);
    this.bindOf.delete(agent);
  }

  private inTurn(agent: ClientAgent, task: () => void | Promise<void>): Promise<void> {
    const before = this.queues.get(agent);
    const run = before ? before.then(task, task) : new Promise<void>(resolve => resolve(task()));
    this.queues.set(agent, run);
    return run.finally(() => {
      if (this.queues.get(agent) === run) this.queues.delete(agent);
    });
  }

  /** A storage may hang, whatever it promises. */
  private async bounded<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new GateError('STORAGE_UNAVAILABLE')), STORAGE_MS);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private noteFailure(error: unknown): void {
    this.counters.add('storage_failures', error instanceof GateError ? error.code : 'error');
    if (!(error instanceof GateError)) this.logger.error(error);
  }

  private async heartbeat(): Promise<void> {
    // A slow storage gets the next heartbeat after this one, not beside it.
    if (this.heartbeatRuns) return;
    this.heartbeatRuns = true;
    try {
      let batch: SessionSnapshot[] = [];
      for (const agent of this.hub.all()) {
        if (agent.session.userId === '') continue;
        batch.push(agent.session.snapshot());
        if (batch.length < HEARTBEAT_BATCH) continue;
        await this.bounded(this.storage.heartbeat(batch));
        batch = [];
      }
      if (batch.length > 0) await this.bounded(this.storage.heartbeat(batch));
    } catch (error) {
      this.noteFailure(error);
    } finally {
      this.heartbeatRuns = false;
    }
  }
}
