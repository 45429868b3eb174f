import type { SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';

/** Changes of the stored settings of a user. */
export interface SettingsChange {
  /** Keys with their new values. */
  readonly set: Settings;
  /** Removed keys. With `'all'`, every key that is not in `set`. */
  readonly deleted: readonly string[] | 'all';
}

/** Default time limit of a storage call, in milliseconds. */
export const DEFAULT_CALL_MS = 500;
/** Maximum time limit of a storage call, in milliseconds: callers of the gate wait 5 s for its answer. */
export const MAX_CALL_MS = 4_000;

/** Limits for the stored settings of a user. */
export interface StorageLimits {
  /** The size of all settings of the user, as JSON. */
  readonly maxBytes: number;
  /** Called with the reason when an unusable value was moved aside. */
  onQuarantine(why: string): void;
}

/**
 * Stores the settings of users beyond their connections. The gate loads them when a client is bound to a uid, and stores every change
 * of a bound session. Each call has the time limit {@link callTimeoutMs}.
 *
 * A custom handler may throw or reject anything: the client receives `STORAGE_UNAVAILABLE` and stays connected.
 */
export abstract class StorageHandler {
  /** False while the storage is known to be unreachable; health checks report it. @defaultValue true */
  get isAvailable(): boolean {
    return true;
  }

  /**
   * Time limit of one call, in milliseconds, 1 to {@link MAX_CALL_MS}. All calls of one request together have 1.8 times as long (900 ms at least, 4.5 s at most). @defaultValue 500
   */
  get callTimeoutMs(): number {
    return DEFAULT_CALL_MS;
  }

  /**
   * Loads the stored settings of a user when a client is bound; `undefined` when there are none. The handler moves a broken value, or one
   * above `limits`, aside, where `delete` also removes it: the session starts without it. If the handler returns such a value, the gate
   * ignores it, and the client is bound.
   */
  abstract query(userId: string, limits?: StorageLimits): Promise<object | undefined>;

  /**
   * Stores a change of a bound session. Several gates may hold clients of one user: write only the change, so that no gate
   * overwrites changes of another. For the same reason the handler checks the limits atomically with the change.
   * @throws {GateError} `LIMIT_EXCEEDED` when the user's settings would grow beyond `limits.maxBytes`. Then nothing was stored.
   */
  abstract storage(session: SessionSnapshot, change: SettingsChange, limits?: StorageLimits): Promise<void>;

  /** Deletes the data of a user. */
  abstract delete(userId: string): Promise<void>;

  /** Called every `storageHeartbeat` with the bound sessions that are online. Extend the lifetime of their stored settings. */
  abstract heartbeat(sessions: readonly SessionSnapshot[]): Promise<void>;
}

/** The size of settings as JSON, in bytes, of their keys and their values as JSON. */
export function sizeOfTexts(entries: Iterable<readonly [key: string, text: string]>): number {
  // Two braces; of each entry quotes, a colon and a comma, of which there is one less.
  let size = 1;
  for (const [key, text] of entries) {
    // The only characters of a name that JSON escapes. The Redis scripts count in the same way.
    const escaped = key.match(/["\\]/g)?.length ?? 0;
    size += Buffer.byteLength(key) + escaped + Buffer.byteLength(text) + 4;
  }
  return Math.max(2, size);
}

/** The error for settings that would exceed the limit. */
export function tooLargeToStore(size: number, maxBytes: number): GateError {
  return new GateError(
    'LIMIT_EXCEEDED',
    `What is stored of the user would have ${size} bytes, over the limit of ${maxBytes}`,
  );
}

/** @throws {GateError} `BAD_ARGUMENT` for an option that is not a positive integer, or is larger than `max`. */
export function checkNumbers(options: Readonly<Record<string, number>>, max = Number.MAX_SAFE_INTEGER): void {
  for (const [key, value] of Object.entries(options)) {
    if (!Number.isSafeInteger(value) || value < 1 || value > max) {
      const allowed = max === Number.MAX_SAFE_INTEGER ? 'a positive integer' : `an integer from 1 to ${max}`;
      throw new GateError('BAD_ARGUMENT', `Option ${key}: ${value} is not allowed; allowed: ${allowed}`);
    }
  }
}
