import { createHash } from 'node:crypto';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { type SettingsChange, StorageHandler } from './storage-handler.js';

/** How a {@link RedisStorage} works. */
export interface RedisStorageOptions {
  /** A `redis://` or `rediss://` URL, or a client of your own (a `Cluster`, for example), which you close yourself. */
  readonly client: string | Redis | Cluster;
  /** What all keys start with. @defaultValue 'nestgate:user:' */
  readonly prefix?: string;
  /** How long a user is kept after the last sign of life, in milliseconds. @defaultValue 86400000, a day */
  readonly ttlMs?: number;
  /** How long a command may take, in milliseconds. @defaultValue 500 */
  readonly commandTimeoutMs?: number;
}

/** The field that says whose data a hash is. No session key is empty. */
const OWNER_FIELD = '';
/** How long commands are refused at once after one has timed out, in milliseconds: a hung server gets no queue. */
const BREAK_MS = 1_000;
const MAX_RETRY_MS = 2_000;

/**
 * Writes what has changed, and extends the life, in one step: two gates that store for one user lose nothing of each other.
 * KEYS: the user. ARGV: ttl, owner, 1 to clear first, number of pairs, pairs…, keys to delete…
 */
const STORE_SCRIPT = `
if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) end
local last = 4 + 2 * tonumber(ARGV[4])
redis.call('HSET', KEYS[1], '', ARGV[2], unpack(ARGV, 5, last))
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])`;

/**
 * Keeps users in Redis: one hash per user, a field per key, with a time to live. Every command touches one key, so a
 * cluster will do. What cannot be read is moved aside (`…:corrupt`) and logged; the user starts anew then.
 */
export class RedisStorage extends StorageHandler implements OnApplicationShutdown {
  private readonly logger = new Logger(RedisStorage.name);
  private readonly client: Redis | Cluster;
  private readonly ownsClient: boolean;
  private readonly prefix: string;
  private readonly ttlMs: number;
  private readonly timeoutMs: number;
  private brokenUntil = 0;
  private downLogged = false;

  constructor({ client, prefix = 'nestgate:user:', ttlMs = 86_400_000, commandTimeoutMs = 500 }: RedisStorageOptions) {
    super();
    this.prefix = prefix;
    this.ttlMs = ttlMs;
    this.timeoutMs = commandTimeoutMs;
    this.ownsClient = typeof client === 'string';
    this.client = typeof client === 'string' ? new Redis(client, clientOptions(commandTimeoutMs)) : client;
    // Without a listener ioredis prints every failed attempt.
    if (this.ownsClient) this.client.on('error', (error: Error) => this.noteDown(error));
    this.client.on('ready', () => this.noteUp());
  }

  override async query(userId: string): Promise<Settings | undefined> {
    const key = this.keyOf(userId);
    let fields: Record<string, string>;
    try {
      fields = await this.run(() => this.client.hgetall(key));
    } catch (error) {
      // A key of another type is none of ours: the server works, its content does not.
      if (!isWrongType(error)) throw error;
      await this.quarantine(key, 'it is not a hash');
      return undefined;
    }
    const entries = Object.entries(fields);
    if (entries.length === 0) return undefined;
    if (fields[OWNER_FIELD] !== userId) {
      await this.quarantine(key, 'it belongs to another user');
      return undefined;
    }
    try {
      const stored = entries.filter(([field]) => field !== OWNER_FIELD);
      return Object.fromEntries(stored.map(([field, text]) => [field, JSON.parse(text) as JsonValue]));
    } catch {
      await this.quarantine(key, 'a value is not JSON');
      return undefined;
    }
  }

  override async storage({ userId }: SessionSnapshot, { set, deleted }: SettingsChange): Promise<void> {
    const pairs = Object.entries(set).flatMap(([key, value]) => [key, JSON.stringify(value)]);
    const clear = deleted === 'all';
    const gone = clear ? [] : deleted;
    const args = [this.ttlMs, userId, clear ? 1 : 0, pairs.length / 2, ...pairs, ...gone];
    await this.run(() => this.client.eval(STORE_SCRIPT, 1, this.keyOf(userId), ...args));
  }

  override async delete(userId: string): Promise<void> {
    await this.run(() => this.client.del(this.keyOf(userId)));
  }

  override async heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    const keys = new Set(sessions.map(({ userId }) => this.keyOf(userId)));
    await this.run(() => Promise.all(Array.from(keys, key => this.client.pexpire(key, this.ttlMs))));
  }

  /** Closes the connection, when this storage has made it. */
  onApplicationShutdown(): void {
    if (this.ownsClient) this.client.disconnect();
  }

  /**
   * The braces choose the cluster slot: a hash of the uid, so that braces in the uid itself choose nothing, and a user's
   * quarantined data stays on the same slot.
   */
  private keyOf(userId: string): string {
    return `${this.prefix}{${createHash('sha1').update(userId).digest('hex').slice(0, 12)}}${userId}`;
  }

  private async run<T>(command: () => Promise<T>): Promise<T> {
    if (Date.now() < this.brokenUntil) throw new GateError('STORAGE_UNAVAILABLE');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        this.brokenUntil = Date.now() + BREAK_MS;
        reject(new GateError('STORAGE_UNAVAILABLE', 'The session storage did not answer in time'));
      }, this.timeoutMs);
    });
    try {
      return await Promise.race([command(), late]);
    } catch (error) {
      if (error instanceof GateError || isWrongType(error)) throw error;
      throw new GateError('STORAGE_UNAVAILABLE', undefined, { cause: (error as Error).message });
    } finally {
      clearTimeout(timer);
    }
  }

  private async quarantine(key: string, why: string): Promise<void> {
    this.logger.warn(`What is stored under ${JSON.stringify(key)} cannot be used: ${why}. It was moved to …:corrupt`);
    await this.run(() => this.client.rename(key, `${key}:corrupt`));
  }

  private noteDown(error: Error): void {
    if (this.downLogged) return;
    this.downLogged = true;
    this.logger.error(`Redis is not reachable: ${error.message}`);
  }

  private noteUp(): void {
    if (this.downLogged) this.logger.log('Redis is reachable again');
    this.downLogged = false;
    this.brokenUntil = 0;
  }
}

/** A client that fails fast, queues nothing, and never gives up coming back. */
function clientOptions(commandTimeoutMs: number): RedisOptions {
  return {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: commandTimeoutMs,
    // A server that takes connections and says nothing: leave it, and try anew.
    socketTimeout: 4 * commandTimeoutMs,
    retryStrategy: attempt => Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
  };
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('WRONGTYPE');
}
