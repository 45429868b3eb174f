import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { type SettingsChange, StorageHandler } from './storage-handler.js';

/** Bounds of a {@link MemoryStorage}. */
export interface MemoryStorageOptions {
  /** Users kept; beyond it the one that was heard of longest ago is forgotten. @defaultValue 100000 */
  readonly maxUsers?: number;
  /** How long a user is kept after the last sign of life, in milliseconds. @defaultValue 86400000, a day */
  readonly ttlMs?: number;
}

interface Entry {
  readonly settings: Map<string, JsonValue>;
  expiresAt: number;
}

/** Keeps users in the memory of this process: enough for one gate, and for tests. */
export class MemoryStorage extends StorageHandler {
  /** In the order in which they were heard of, longest ago first. */
  private readonly users = new Map<string, Entry>();
  private readonly maxUsers: number;
  private readonly ttlMs: number;

  constructor({ maxUsers = 100_000, ttlMs = 86_400_000 }: MemoryStorageOptions = {}) {
    super();
    this.maxUsers = maxUsers;
    this.ttlMs = ttlMs;
  }

  /** How many users are kept, those included whose time is over and who were not looked at since. */
  get size(): number {
    return this.users.size;
  }

  override query(userId: string): Promise<Settings | undefined> {
    const entry = this.live(userId);
    return Promise.resolve(entry && Object.fromEntries(entry.settings));
  }

  override storage({ userId }: SessionSnapshot, { set, deleted }: SettingsChange): Promise<void> {
    const entry = this.live(userId) ?? { settings: new Map<string, JsonValue>(), expiresAt: 0 };
    if (deleted === 'all') entry.settings.clear();
    else for (const key of deleted) entry.settings.delete(key);
    // A copy: what the session changes later must not change what is stored.
    for (const [key, value] of Object.entries(set)) entry.settings.set(key, structuredClone(value));
    this.touch(userId, entry);
    const [oldest] = this.users.keys();
    if (this.users.size > this.maxUsers && oldest !== undefined) this.users.delete(oldest);
    return Promise.resolve();
  }

  override delete(userId: string): Promise<void> {
    this.users.delete(userId);
    return Promise.resolve();
  }

  override heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    for (const { userId } of sessions) {
      const entry = this.live(userId);
      if (entry) this.touch(userId, entry);
    }
    return Promise.resolve();
  }

  private live(userId: string): Entry | undefined {
    const entry = this.users.get(userId);
    if (!entry || entry.expiresAt > Date.now()) return entry;
    this.users.delete(userId);
    return undefined;
  }

  private touch(userId: string, entry: Entry): void {
    entry.expiresAt = Date.now() + this.ttlMs;
    this.users.delete(userId);
    this.users.set(userId, entry);
  }
}
