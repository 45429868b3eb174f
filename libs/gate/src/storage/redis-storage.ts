import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { assertKnownOptions, kindOf, optionKeys, parseJson, messageOf } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { BoundedLog } from '@nestgate/worker/internal';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { Breaker } from './breaker.js';
import { MOVE_ASIDE_SCRIPT, STORE_SCRIPT } from './redis-scripts.js';
import {
  checkNumbers,
  DEFAULT_CALL_MS,
  MAX_CALL_MS,
  type StorageLimits,
  type SettingsChange,
  sizeOfTexts,
  StorageHandler,
  tooLargeToStore,
} from './storage-handler.js';

/** How a {@link RedisStorage} works. */
export interface RedisStorageOptions {
  /**
   * A `redis://` or `rediss://` URL, or a client of your own (a `Cluster`, for example), whose `error` events you listen
   * to and which you close yourself.
   */
  readonly client: string | Redis | Cluster;
  /** What all keys start with; without braces, which choose slots. @defaultValue 'nestgate:user:' */
  readonly prefix?: string | undefined;
  /** How long a user is kept after the last sign of life, in milliseconds. @defaultValue 86400000, a day */
  readonly ttlMs?: number | undefined;
  /**
   * How long a command may take, in milliseconds, 4000 at most. What the gate waits for this storage follows it, where it is more than
   * 500. @defaultValue 500
   */
  readonly commandTimeoutMs?: number | undefined;
}

const KEYS = optionKeys<RedisStorageOptions>({ client: true, prefix: true, ttlMs: true, commandTimeoutMs: true });
/** The field that says whose data a hash is. No session key is empty. */
const OWNER_FIELD = '';
/** Lines about what is found in Redis, one per user at most. */
const LINES_PER_SECOND = 100;
/** Lines for commands that fail: an outage fails thousands of them. */
const FAILURES_PER_SECOND = 1;
const MAX_RETRY_MS = 2_000;

/** What makes stored data unusable: the field that shows it, with its bytes, and why. */
class Defect {
  constructor(
    readonly field: string,
    readonly bytes: Buffer | undefined,
    readonly why: string,
    /** The size that is allowed, when there is too much. */
    readonly maxBytes?: number,
  ) {}
}

/**
 * Keeps users in Redis: one hash per user, a field per key, with a time to live. Every command touches one slot, so a
 * cluster will do. An unreadable value is renamed (`…:corrupt`) and logged; the session of the user then starts empty.
 */
export class RedisStorage extends StorageHandler implements OnModuleInit, OnApplicationShutdown {
  private readonly log = new BoundedLog(RedisStorage.name, LINES_PER_SECOND);
  private readonly failures = new BoundedLog(RedisStorage.name, FAILURES_PER_SECOND);
  private readonly client: Redis | Cluster;
  private readonly ownsClient: boolean;
  private readonly prefix: string;
  private readonly ttlMs: number;
  private readonly timeoutMs: number;
  private readonly breaker: Breaker;
  private readonly onReady = (): void => this.noteUp();
  private downLogged = false;

  /** @throws {GateError} `BAD_ARGUMENT` for an option that cannot be used. */
  constructor(options: RedisStorageOptions) {
    super();
    assertKnownOptions('RedisStorage', options, KEYS);
    const { client, prefix = 'nestgate:user:', ttlMs = 86_400_000, commandTimeoutMs = DEFAULT_CALL_MS } = options;
    checkNumbers({ ttlMs });
    checkNumbers({ commandTimeoutMs }, MAX_CALL_MS);
    if (typeof prefix !== 'string') throw new GateError('BAD_ARGUMENT', 'Option prefix: allowed is a string');
    if (/[{}]/.test(prefix)) throw new GateError('BAD_ARGUMENT', 'Option prefix: braces are not allowed');
    if (typeof client === 'string' ? !/^rediss?:\/\//.test(client) : !isClient(client)) {
      // Of the URL nothing is shown: it may hold a password.
      const given = typeof client === 'string' ? 'this URL' : kindOf(client);
      throw new GateError(
        'BAD_ARGUMENT',
        `Option client: ${given} is not allowed; allowed: a redis:// or rediss:// URL, or a client of ioredis`,
      );
    }
    this.prefix = prefix;
    this.ttlMs = ttlMs;
    this.timeoutMs = commandTimeoutMs;
    this.breaker = new Breaker(commandTimeoutMs, error => this.failures.error(error.message));
    this.ownsClient = typeof client === 'string';
    this.client = typeof client === 'string' ? new Redis(client, clientOptions(commandTimeoutMs)) : client;
    // Without a listener ioredis prints every failed attempt.
    if (this.ownsClient) this.client.on('error', (error: Error) => this.noteDown(error));
    this.client.on('ready', this.onReady);
  }

  /** Waits for the connection, as long as a command may take: the first bind should not fail for having come early. */
  async onModuleInit(): Promise<void> {
    if (!this.ownsClient || this.client.status === 'ready') return;
    // Redis being away must not stop the start: those who bind are told.
    await once(this.client, 'ready', { signal: AbortSignal.timeout(this.timeoutMs) }).catch(() => undefined);
  }

  override get callTimeoutMs(): number {
    // A shorter time is kept by the command itself, of which a call may need several.
    return Math.max(super.callTimeoutMs, this.timeoutMs);
  }

  /** False while there is no connection, or commands get no answer. A client that connects with its first command counts as there. */
  override get isAvailable(): boolean {
    const { status } = this.client;
    return (status === 'ready' || status === 'wait') && !this.breaker.isOpen;
  }

  override async query(userId: string, limits?: StorageLimits): Promise<Settings | undefined> {
    const found = await this.read(userId, limits);
    if (!(found instanceof Defect)) return found;
    if (await this.moveAside(userId, found)) {
      limits?.onQuarantine(found.why);
      return undefined;
    }
    // Another gate was first, and may have stored something good already.
    const again = await this.read(userId, limits);
    if (!(again instanceof Defect)) return again;
    if (!limits) throw new GateError('STORAGE_UNAVAILABLE', `What is stored of this user cannot be used: ${again.why}`);
    // It stays where it is: the login goes on without it.
    limits.onQuarantine(again.why);
    return undefined;
  }

  override async storage(
    { userId }: SessionSnapshot,
    { set, deleted }: SettingsChange,
    limits?: StorageLimits,
  ): Promise<void> {
    const pairs: string[] = [];
    for (const [key, value] of Object.entries(set)) {
      // What JSON leaves out of an object is no setting.
      const text = JSON.stringify(value) as string | undefined;
      if (text !== undefined) pairs.push(key, text);
    }
    const clear = deleted === 'all';
    const args = [
      this.ttlMs,
      userId,
      clear ? 1 : 0,
      limits?.maxBytes ?? 0,
      pairs.length,
      ...pairs,
      ...(clear ? [] : deleted),
    ];
    const moved = await this.run(() => this.client.eval(STORE_SCRIPT, 2, ...this.keysOf(userId), ...args));
    if (Number(moved) < 0) throw tooLargeToStore(-Number(moved), limits?.maxBytes ?? 0);
    if (Number(moved) !== 1) return;
    this.tellMoved(userId, 'it is not a hash of this user');
    limits?.onQuarantine('it is not a hash of this user');
  }

  override async delete(userId: string): Promise<void> {
    await this.run(() => this.client.del(...this.keysOf(userId)));
  }

  override async heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    const keys = new Set(sessions.map(({ userId }) => this.keysOf(userId)[0]));
    await this.run(() => Promise.all(Array.from(keys, key => this.client.pexpire(key, this.ttlMs))));
  }

  /** Closes the connection, when this storage has made it. */
  onApplicationShutdown(): void {
    this.client.off('ready', this.onReady);
    if (this.ownsClient) this.client.disconnect();
  }

  /**
   * The key of a user, and where its data goes when it cannot be used. The braces choose the cluster slot: a hash of the
   * uid, so that braces in the uid itself choose nothing, and both keys are on the same slot.
   */
  private keysOf(userId: string): [key: string, aside: string] {
    const key = `${this.prefix}{${createHash('sha1').update(userId).digest('hex').slice(0, 12)}}${userId}`;
    return [key, `${key}:corrupt`];
  }

  private async read(userId: string, limits: StorageLimits | undefined): Promise<Settings | undefined | Defect> {
    const [key] = this.keysOf(userId);
    let fields: Record<string, Buffer> | null;
    try {
      // Bytes, because text hides broken UTF-8.
      fields = await this.breaker.run(() => this.client.hgetallBuffer(key));
    } catch (error) {
      // A key of another type is none of ours: the server works, its content does not.
      if (isWrongType(error)) return new Defect(OWNER_FIELD, undefined, 'it is not a hash');
      throw this.unavailable(error);
    }
    // A text would be a buffer: an object too, with an entry for each byte.
    if (typeof fields !== 'object' || fields === null || Buffer.isBuffer(fields)) {
      throw this.unavailable(new Error('HGETALL gave no hash'));
    }
    const entries = Object.entries(fields);
    if (entries.length === 0) return undefined;
    const owner = fields[OWNER_FIELD];
    if (owner?.toString() !== userId) return new Defect(OWNER_FIELD, owner, 'it is not of this user');
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const settings: [string, JsonValue][] = [];
    const texts: [string, string][] = [];
    for (const [field, bytes] of entries) {
      if (field === OWNER_FIELD) continue;
      try {
        const text = decoder.decode(bytes);
        settings.push([field, parseJson<JsonValue>(text)]);
        texts.push([field, text]);
      } catch {
        return new Defect(field, bytes, `${JSON.stringify(field)} is not JSON`);
      }
    }
    if (limits) {
      const size = sizeOfTexts(texts);
      if (size > limits.maxBytes)
        return new Defect('', undefined, `it has ${size} bytes, over the limit`, limits.maxBytes);
    }
    return Object.fromEntries(settings);
  }

  /** Moves a user's data aside, unless it has changed since it was read. */
  private async moveAside(userId: string, { field, bytes, why, maxBytes }: Defect): Promise<boolean> {
    const args = maxBytes === undefined ? [field, bytes === undefined ? 0 : 1, bytes ?? ''] : ['', 2, maxBytes];
    const moved = await this.run(() => this.client.eval(MOVE_ASIDE_SCRIPT, 2, ...this.keysOf(userId), ...args));
    if (Number(moved) === 1) this.tellMoved(userId, why);
    return Number(moved) === 1;
  }

  private tellMoved(userId: string, why: string): void {
    const [key, aside] = this.keysOf(userId).map(name => JSON.stringify(name));
    this.log.warn(`What was stored under ${key} cannot be used: ${why}. It was moved to ${aside}`);
  }

  private async run<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await this.breaker.run(command);
    } catch (error) {
      throw this.unavailable(error);
    }
  }

  private unavailable(error: unknown): GateError {
    if (error instanceof GateError) return error;
    // That it is down has been said.
    if (!this.downLogged) this.failures.error(`Redis has refused a command: ${messageOf(error)}`);
    const failure = new GateError('STORAGE_UNAVAILABLE');
    failure.cause = error;
    return failure;
  }

  private noteDown(error: Error): void {
    if (this.downLogged) return;
    this.downLogged = true;
    this.log.error(`Redis is not reachable: ${error.message}`);
  }

  private noteUp(): void {
    if (this.downLogged) this.log.log('Redis is reachable again');
    this.downLogged = false;
    this.breaker.reset();
  }
}

/** A client that fails fast, queues nothing, and never gives up coming back. */
function clientOptions(commandTimeoutMs: number): RedisOptions {
  return {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: commandTimeoutMs,
    // A server that accepts connections and does not answer: disconnect and try again.
    socketTimeout: 4 * commandTimeoutMs,
    // After a failover the address leads to the new primary, but an open connection stays with the old one.
    reconnectOnError: error => error.message.includes('READONLY'),
    retryStrategy: attempt => Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
  };
}

/** Whether it has what is used of a client: it may come from another copy of the package. */
function isClient(client: unknown): boolean {
  const { hgetallBuffer, on } = (client ?? {}) as Partial<Record<'hgetallBuffer' | 'on', unknown>>;
  return typeof hgetallBuffer === 'function' && typeof on === 'function';
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('WRONGTYPE');
}
