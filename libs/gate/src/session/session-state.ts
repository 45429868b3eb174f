import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';

/** What does not change about a session. */
export type SessionOrigin = Omit<SessionSnapshot, 'userId' | 'settings' | 'version'>;

/** The one true state of a session, on the gate that holds the client. Every change makes a new version. */
export class SessionState {
  private userId_ = '';
  private settings_: Map<string, JsonValue> | undefined;
  private version_ = 1;
  private cached: SessionSnapshot | undefined;

  constructor(
    readonly origin: SessionOrigin,
    private readonly maxSettingsBytes: number,
  ) {}

  get userId(): string {
    return this.userId_;
  }

  get version(): number {
    return this.version_;
  }

  get(key: string): JsonValue | undefined {
    return this.settings_?.get(key);
  }

  setUserId(userId: string): void {
    if (userId === this.userId_) return;
    this.userId_ = userId;
    this.touch();
  }

  /**
   * Merges settings, key by key.
   * @throws {GateError} `BAD_ARGUMENT` for a bad key, `LIMIT_EXCEEDED` when the settings would grow too large. Nothing is
   * changed then.
   */
  merge(settings: Settings): void {
    const merged = Object.fromEntries([...(this.settings_ ?? []), ...Object.entries(settings)]);
    this.check(merged, Object.keys(settings));
    this.adopt(merged);
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
    if (stored === undefined || stored === null) return this.snapshot();
    if (typeof stored !== 'object' || Array.isArray(stored))
      throw new GateError('STORAGE_UNAVAILABLE', 'The storage gave no settings');
    const settings = Object.fromEntries([...Object.entries(stored as Settings), ...(this.settings_ ?? [])]);
    this.check(settings, Object.keys(stored));
    return { ...this.snapshot(), settings };
  }

  /** Takes over settings that have been checked. */
  adopt(settings: Settings): void {
    this.settings_ = new Map(Object.entries(settings));
    this.touch();
  }

  delete(key: string): void {
    if (this.settings_?.delete(key)) this.touch();
  }

  /** The state now; the same object until something changes. */
  snapshot(): SessionSnapshot {
    return (this.cached ??= {
      ...this.origin,
      userId: this.userId_,
      settings: Object.fromEntries(this.settings_ ?? []),
      version: this.version_,
    });
  }

  private check(settings: Settings, newKeys: readonly string[]): void {
    for (const key of newKeys) assertName('session key', key);
    const size = Buffer.byteLength(JSON.stringify(settings));
    if (size > this.maxSettingsBytes) {
      throw new GateError('LIMIT_EXCEEDED', `Settings of ${size} bytes are over the limit of ${this.maxSettingsBytes}`);
    }
  }

  private touch(): void {
    this.version_++;
    this.cached = undefined;
  }
}
