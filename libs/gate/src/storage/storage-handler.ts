import type { SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';

/** What has changed about a user's stored settings. */
export interface SettingsChange {
  /** Keys that have a new value. */
  readonly set: Settings;
  /** Keys that are gone. With `'all'`, every key that is not in `set`. */
  readonly deleted: readonly string[] | 'all';
}

/**
 * Keeps the settings of users beyond their connections. The gate asks it when a client is bound to a uid, tells it of
 * every change to a bound session. It waits half a second for a call, and a second for all that one request needs.
 *
 * A handler of your own may throw or reject anything: the client is told `STORAGE_UNAVAILABLE`, and stays connected.
 */
export abstract class StorageHandler {
  /** False while the storage is known to be out of reach; health checks tell it. A handler that cannot say is taken to be there. */
  get isAvailable(): boolean {
    return true;
  }

  /** What is stored of a user; `undefined` when nothing is. Asked when a client is bound. */
  abstract query(userId: string): Promise<Settings | undefined>;

  /**
   * A bound session has changed. Several gates may hold clients of one user: only what has changed may be written, so
   * that none of them undoes what another has stored.
   */
  abstract storage(session: SessionSnapshot, change: SettingsChange): Promise<void>;

  /** The application wants a user forgotten. */
  abstract delete(userId: string): Promise<void>;

  /** These bound sessions are online; called every second or less often. Extend the life of what is stored. */
  abstract heartbeat(sessions: readonly SessionSnapshot[]): Promise<void>;
}

/** @throws {GateError} `BAD_ARGUMENT` for an option that is not a positive integer. */
export function checkNumbers(options: Readonly<Record<string, number>>): void {
  for (const [key, value] of Object.entries(options)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new GateError('BAD_ARGUMENT', `Option ${key}: ${value} is not allowed; allowed: a positive integer`);
    }
  }
}
