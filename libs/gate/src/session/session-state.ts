import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker/internal';
import { parseJson } from '@nestgate/link/internal';

/** What does not change about a session. */
export type SessionOrigin = Omit<SessionSnapshot, 'userId' | 'settings' | 'version'>;

/** Shared by all sessions without settings, which most idle ones are. */
const NO_SETTINGS: Settings = Object.freeze({});

/**
 * The authoritative state of a session, on the gate that holds the client. Every change creates a new version and a new object:
 * snapshots do not change.
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

  /** The state of a session that comes from another gate. */
  static from(snapshot: SessionSnapshot, serverId: string, maxSettingsBytes: number): SessionState {
    const state = new SessionState({ ...snapshot, serverId }, maxSettingsBytes);
    const { userId, settings, version } = snapshot;
    state.current = { ...state.current, userId, settings: joined(settings, NO_SETTINGS), version: version + 1 };
    return state;
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
    // Hot path: most sessions have no such setting.
    return settings !== NO_SETTINGS && Object.hasOwn(settings, key) ? settings[key] : undefined;
  }

  /** The client has another connection. False when it looks like the one before. */
  relocate(ip: string, network: string): boolean {
    const { current } = this;
    if (current.ip === ip && current.network === network) return false;
    this.current = { ...current, ip, network, version: current.version + 1 };
    return true;
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
    this.check(merged, Object.keys(settings), this.current.settings);
    this.change(this.userId, merged);
  }

  /** Replaces all settings. Throws as {@link merge} does. */
  replace(settings: Settings): void {
    this.check(settings, Object.keys(settings));
    this.adopt(settings);
  }

  /** The same state, to be changed without changing this one. */
  draft(): SessionState {
    const draft = new SessionState(this.origin, this.maxSettingsBytes);
    draft.current = this.current;
    return draft;
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

  /** What is too large already may be made smaller. */
  private check(settings: Settings, newKeys: readonly string[], old: Settings = NO_SETTINGS): void {
    for (const key of newKeys) assertName('session key', key);
    const size = sizeOf(settings);
    if (size > this.maxSettingsBytes && size > sizeOf(old)) {
      throw new GateError('LIMIT_EXCEEDED', `Settings of ${size} bytes are over the limit of ${this.maxSettingsBytes}`);
    }
  }

  private change(userId: string, settings: Settings): void {
    this.current = { ...this.current, userId, settings, version: this.version + 1 };
  }
}

/**
 * What is stored of a user as settings: a copy, of what JSON carries; none for `undefined` and `null`.
 * @throws when it cannot be settings, or is larger than `maxBytes`.
 */
export function settingsFromStored(stored: unknown, maxBytes: number): Settings {
  if (stored === undefined || stored === null) return NO_SETTINGS;
  if (typeof stored !== 'object' || Array.isArray(stored)) throw new Error('it is no object');
  for (const key of Object.keys(stored)) assertName('session key', key);
  const text = JSON.stringify(stored);
  const size = Buffer.byteLength(text);
  if (size > maxBytes) throw new Error(`it has ${size} bytes, over the limit of ${maxBytes}`);
  return parseJson<Settings>(text);
}

/** The size of settings as JSON, in bytes. */
export function sizeOf(settings: Settings): number {
  return Buffer.byteLength(JSON.stringify(settings));
}

/** Entry by entry: in an object literal a key of `__proto__` would be no key. */
export function joined(first: Settings, second: Settings): Settings {
  return Object.fromEntries([...Object.entries(first), ...Object.entries(second)]);
}
