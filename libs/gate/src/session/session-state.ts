import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';

/** What does not change about a session. */
export interface SessionOrigin {
  readonly sessionId: string;
  readonly serverId: string;
  readonly ip: string;
  readonly network: string;
  readonly connectedAt: number;
}

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
    this.adopt(new Map([...(this.settings_ ?? []), ...Object.entries(settings)]), Object.keys(settings));
  }

  /** Replaces all settings. Throws as {@link merge} does. */
  replace(settings: Settings): void {
    this.adopt(new Map(Object.entries(settings)), Object.keys(settings));
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

  private adopt(settings: Map<string, JsonValue>, newKeys: readonly string[]): void {
    for (const key of newKeys) assertName('session key', key);
    const size = Buffer.byteLength(JSON.stringify(Object.fromEntries(settings)));
    if (size > this.maxSettingsBytes) {
      throw new GateError('LIMIT_EXCEEDED', `Settings of ${size} bytes are over the limit of ${this.maxSettingsBytes}`);
    }
    this.settings_ = settings;
    this.touch();
  }

  private touch(): void {
    this.version_++;
    this.cached = undefined;
  }
}
