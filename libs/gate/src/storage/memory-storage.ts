import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { assertKnownOptions, optionKeys } from '@nestgate/link/internal';
import {
  checkNumbers,
  type StorageLimits,
  type SettingsChange,
  sizeOfTexts,
  StorageHandler,
  tooLargeToStore,
} from './storage-handler.js';

/** Bounds of a {@link MemoryStorage}. */
export interface MemoryStorageOptions {
  /** Users kept; beyond it the one that was heard of longest ago is forgotten. @defaultValue 100000 */
  readonly maxUsers?: number | undefined;
  /** How long a user is kept after the last sign of life, in milliseconds. @defaultValue 86400000, a day */
  readonly ttlMs?: number | undefined;
}

const KEYS = optionKeys<MemoryStorageOptions>({ maxUsers: true, ttlMs: true });

interface Entry {
  readonly userId: string;
  /** As JSON: what is handed in or out is never what is kept, and a value is what any other storage would make of it. */
  settings: Map<string, string>;
  /** What could not be used, until the user is deleted or forgotten. */
  aside?: Map<string, string>;
  expiresAt: number;
  /** The users that were heard of just before and after this one. */
  older: Entry | undefined;
  newer: Entry | undefined;
}

/** Keeps users in the memory of this process: enough for one gate, and for tests. */
export class MemoryStorage extends StorageHandler {
  private readonly users = new Map<string, Entry>();
  /**
   * Head and tail of a linked list of users, in the order of their last use. The order of the map is not used: entries that were moved to
   * its end leave empty places, and finding its first entry would visit all of them.
   */
  private oldest: Entry | undefined;
  private newest: Entry | undefined;
  private readonly maxUsers: number;
  private readonly ttlMs: number;

  /** @throws {GateError} `BAD_ARGUMENT` for an option that is unknown, or is not a positive integer. */
  constructor(options: MemoryStorageOptions = {}) {
    super();
    assertKnownOptions('MemoryStorage', options, KEYS);
    const { maxUsers = 100_000, ttlMs = 86_400_000 } = options;
    checkNumbers({ maxUsers, ttlMs });
    this.maxUsers = maxUsers;
    this.ttlMs = ttlMs;
  }

  /** How many users are kept, those included whose time is over and who were not looked at since. */
  get size(): number {
    return this.users.size;
  }

  override async query(userId: string, limits?: StorageLimits): Promise<Settings | undefined> {
    const entry = this.live(userId);
    if (entry && limits && sizeOfTexts(entry.settings) > limits.maxBytes) {
      entry.aside = entry.settings;
      entry.settings = new Map();
      limits.onQuarantine('too large');
    }
    return (
      entry && Object.fromEntries(Array.from(entry.settings, ([key, text]) => [key, JSON.parse(text) as JsonValue]))
    );
  }

  override async storage(
    { userId }: SessionSnapshot,
    { set, deleted }: SettingsChange,
    limits?: StorageLimits,
  ): Promise<void> {
    // All of it first: a value that is no JSON must not leave half a change behind.
    const texts = Object.entries(set).map(
      ([key, value]) => [key, JSON.stringify(value) as string | undefined] as const,
    );
    const entry = this.live(userId) ?? newEntry(userId);
    const settings = new Map(deleted === 'all' ? [] : entry.settings);
    if (deleted !== 'all') for (const key of deleted) settings.delete(key);
    // What JSON leaves out of an object is no setting.
    for (const [key, text] of texts) if (text !== undefined) settings.set(key, text);
    if (limits) {
      const size = sizeOfTexts(settings);
      if (size > limits.maxBytes && size > sizeOfTexts(entry.settings)) throw tooLargeToStore(size, limits.maxBytes);
    }
    entry.settings = settings;
    this.touch(entry);
    if (this.oldest && this.users.size > this.maxUsers) this.forget(this.oldest);
  }

  override async delete(userId: string): Promise<void> {
    const entry = this.users.get(userId);
    if (entry) this.forget(entry);
  }

  override async heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    for (const { userId } of sessions) {
      const entry = this.live(userId);
      if (entry) this.touch(entry);
    }
  }

  private live(userId: string): Entry | undefined {
    const entry = this.users.get(userId);
    if (!entry || entry.expiresAt > performance.now()) return entry;
    this.forget(entry);
    return undefined;
  }

  /** Notes a sign of life of a user, who may be new. */
  private touch(entry: Entry): void {
    entry.expiresAt = performance.now() + this.ttlMs;
    if (this.newest === entry) return;
    if (this.users.get(entry.userId) === entry) this.unlink(entry);
    else this.users.set(entry.userId, entry);
    entry.older = this.newest;
    if (this.newest) this.newest.newer = entry;
    else this.oldest = entry;
    this.newest = entry;
  }

  private forget(entry: Entry): void {
    this.users.delete(entry.userId);
    this.unlink(entry);
  }

  private unlink(entry: Entry): void {
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.oldest = newer;
    if (newer) newer.older = older;
    else this.newest = older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}

function newEntry(userId: string): Entry {
  return { userId, settings: new Map(), expiresAt: 0, older: undefined, newer: undefined };
}
