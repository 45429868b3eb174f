import type { SessionSnapshot, Settings } from '@nestgate/link';

/** What has changed about a user's stored settings. */
export interface SettingsChange {
  /** Keys that have a new value. */
  readonly set: Settings;
  /** Keys that are gone. With `'all'`, every key that is not in `set`. */
  readonly deleted: readonly string[] | 'all';
}

/**
 * Keeps the settings of users beyond their connections. The gate asks it when a client is bound to a uid, tells it of
 * every change to a bound session, and gives it at most a second for each call.
 *
 * A handler of your own may throw or reject anything: the client is told `STORAGE_UNAVAILABLE`, and stays connected.
 */
export abstract class StorageHandler {
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
