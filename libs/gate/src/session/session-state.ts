import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';

/** What does not change about a session. */
export type SessionOrigin = Omit<SessionSnapshot, 'userId' | 'settings' | 'version'>;

/** Shared by all sessions without settings, which most idle ones are. */
const NO_SETTINGS: Settings = Object.freeze({});

/**
 * The one true state of a session, on the gate that holds the client. Every change makes a new version, and a new object:
 * what has been given out stays as it was.
 */
export class SessionState {
  private current: SessionSnapshot;

  constructor(
    { sessionId, serverId, ip, network, connectedAt, traceParent }: SessionOrigin,
    private readonly maxSettingsBytes: number,
  ) {
    this.current = {
      sessionId,
      serverId,
      ip,
      network,
      connectedAt,
      traceParent,
      userId: '',
      settings: NO_SETTINGS,
      version: 1,
    };
  }

  get origin(): SessionOrigin {
    return this.current;
  }

  get userId(): string {
    return this.current.userId;
  }

  get version(): number {
    return this.current.version;
  }

  get(key: string): JsonValue | undefined {
    const { settings } = this.current;
    // Asked for every frame: most sessions have nothing to look into.
    return settings !== NO_SETTINGS && Object.hasOwn(settings, key) ? settings[key] : undefined;
  }

  setUserId(userId: string): void {
    if (userId !== this.userId) this.change(userId, this.current.settings);
  }

  /**
   * Merges settings, key by key.
   * @throws {GateError} `BAD_ARGUMENT` for a bad key, `LIMIT_EXCEEDED` when the settings would grow too large. Nothing is
   * changed then.
   */
  merge(settings: Settings): void {
    const merged = joined(this.current.settings, settings);
    this.check(merged, Object.keys(settings));
    this.change(this.userId, merged);
  }

  /** Replaces all settings. Throws as {@link merge} does. */
  replace(settings: Settings): void {
    this.check(settings, Object.keys(settings));
    this.adopt(settings);
  }

  /**
   * This session with what is stored of its user: keys of the connection win.
   * @throws {GateError} `STORAGE_UNAVAILABLE` when what is stored cannot be settings.
   */
  withStored(stored: unknown): SessionSnapshot {
    if (stored === undefined || stored === null) return this.current;
    if (typeof stored !== 'object' || Array.isArray(stored))
      throw new GateError('STORAGE_UNAVAILABLE', 'The storage gave no settings');
    const settings = joined(stored as Settings, this.current.settings);
    this.check(settings, Object.keys(stored));
    return { ...this.current, settings };
  }

  /** Takes over settings that have been checked. */
  adopt(settings: Settings): void {
    this.change(this.userId, joined(settings, NO_SETTINGS));
  }

  delete(key: string): void {
    const { settings } = this.current;
    if (!Object.hasOwn(settings, key)) return;
    this.change(this.userId, Object.fromEntries(Object.entries(settings).filter(([other]) => other !== key)));
  }

  /** The state now; the same object until something changes. */
  snapshot(): SessionSnapshot {
    return this.current;
  }

  private check(settings: Settings, newKeys: readonly string[]): void {
    for (const key of newKeys) assertName('session key', key);
    const size = Buffer.byteLength(JSON.stringify(settings));
    if (size > this.maxSettingsBytes) {
      throw new GateError('LIMIT_EXCEEDED', `Settings of ${size} bytes are over the limit of ${this.maxSettingsBytes}`);
    }
  }

  private change(userId: string, settings: Settings): void {
    this.current = { ...this.current, userId, settings, version: this.version + 1 };
  }
}

/** Entry by entry: in an object literal a key of `__proto__` would be no key. */
function joined(first: Settings, second: Settings): Settings {
  return Object.fromEntries([...Object.entries(first), ...Object.entries(second)]);
}
