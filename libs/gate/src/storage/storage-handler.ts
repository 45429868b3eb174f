import type { SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';

/** What has changed about a user's stored settings. */
export interface SettingsChange {
  /** Keys that have a new value. */
  readonly set: Settings;
  /** Keys that are gone. With `'all'`, every key that is not in `set`. */
  readonly deleted: readonly string[] | 'all';
}

/** How long a storage may take for a call, in milliseconds, unless it says otherwise. */
export const DEFAULT_CALL_MS = 500;
/** The longest time that a storage may have for a call, in milliseconds: those who ask the gate wait 5 s for its answer. */
export const MAX_CALL_MS = 4_000;

/** What is stored of a user has to be within this. */
export interface StorageLimits {
  /** The size of all settings of the user, as JSON. */
  readonly maxBytes: number;
  /** To be called when something was put aside because it cannot be used; with why. */
  onQuarantine(why: string): void;
}

/**
 * Keeps the settings of users beyond their connections. The gate asks it when a client is bound to a uid, tells it of
 * every change to a bound session. It waits {@link callTimeoutMs} for a call, half a second unless the handler says otherwise.
 *
 * A handler of your own may throw or reject anything: the client is told `STORAGE_UNAVAILABLE`, and stays connected.
 */
export abstract class StorageHandler {
  /** False while the storage is known to be out of reach; health checks tell it. A handler that cannot say is taken to be there. */
  get isAvailable(): boolean {
    return true;
  }

  /**
   * How long one call may take, in milliseconds, 1 to {@link MAX_CALL_MS}. The gate waits as long for each call, and 1.8 times as long
   * for all calls that one request needs (900 ms at least, 4.5 s at most). @defaultValue 500
   */
  get callTimeoutMs(): number {
    return DEFAULT_CALL_MS;
  }

  /**
   * What is stored of a user; `undefined` when nothing is. Asked when a client is bound. What is broken, or larger than `limits`
   * allow, is put aside, where `delete` removes it too: the user starts again without it. What a handler gives all the same is
   * left out of the session, and the client is bound.
   */
  abstract query(userId: string, limits?: StorageLimits): Promise<object | undefined>;

  /**
   * A bound session has changed. Several gates may hold clients of one user: only what has changed may be written, so
   * that none of them undoes what another has stored. For the same reason the limits are checked here, in one step with the change.
   * @throws {GateError} `LIMIT_EXCEEDED` when the user's settings would grow beyond `limits.maxBytes`. Nothing has changed then.
   */
  abstract storage(session: SessionSnapshot, change: SettingsChange, limits?: StorageLimits): Promise<void>;

  /** The application wants a user forgotten. */
  abstract delete(userId: string): Promise<void>;

  /** These bound sessions are online; called every second or less often. Extend the life of what is stored. */
  abstract heartbeat(sessions: readonly SessionSnapshot[]): Promise<void>;
}

/** The size of settings as JSON, in bytes, of their keys and their values as JSON. */
export function sizeOfTexts(entries: Iterable<readonly [key: string, text: string]>): number {
  // Two braces; of each entry quotes, a colon and a comma, of which there is one less.
  let size = 1;
  for (const [key, text] of entries) {
    // The only characters of a name that JSON escapes. Redis counts in the same way.
    const escaped = key.match(/["\\]/g)?.length ?? 0;
    size += Buffer.byteLength(key) + escaped + Buffer.byteLength(text) + 4;
  }
  return Math.max(2, size);
}

/** Settings that would be too large where they are stored. */
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
