import type { ClientId, JsonInput, JsonValue, SessionSnapshot, Settings, SettingsInput } from '@nestgate/link';
import type { Caller, SessionContract } from '@nestgate/link/internal';
import { GateError, newTraceSpan, parseTraceParent, type TraceSpan } from '@nestgate/protocol';
import { assertMoment, bindCall, type Credentials } from '../gateway/credentials.js';
import { orFalse } from '../gateway/queries.js';
import { assertSettings, encodeMessage, settingsEntries } from '../message/message.js';

/** Unsigned decimal that fits a uint64. */
const DECIMAL = /^[0-9]{1,20}$/;
const MAX_UINT64 = 2n ** 64n - 1n;

/** State that all copies of a session in a process share. */
export interface SessionHome {
  /** See {@link Session.userData}. */
  userData: unknown;
}

/**
 * The session of one client, as a handler or hook sees it: a copy of the session on its gate. Reading and the plain setters are
 * local. The `to…` methods call the gate and refresh the copy with its answer, which drops local changes that were not pushed.
 *
 * Every `to…` method rejects with `SESSION_NOT_FOUND` when the client has disconnected (except {@link toConnected}), with
 * `STORAGE_UNAVAILABLE` when the gate could not persist the change, and with `TIMEOUT` when the gate does not answer.
 */
export class Session {
  private draft: Map<string, JsonValue> | undefined;
  /** The keys that were set here and not pushed yet. */
  private readonly changed = new Set<string>();

  constructor(
    private copy: SessionSnapshot,
    private readonly gate: Caller<SessionContract>,
    private readonly home: SessionHome = { userData: undefined },
  ) {}

  /**
   * Any value of the application. It never leaves the process, and is kept there while the client is connected.
   */
  get userData(): unknown {
    return this.home.userData;
  }

  set userData(value: unknown) {
    this.home.userData = value;
  }

  /** The client id. */
  get sessionId(): ClientId {
    return this.copy.sessionId;
  }

  /** The same as {@link sessionId}, under the name that `GatewayApi` uses. */
  get clientId(): ClientId {
    return this.copy.sessionId;
  }

  /** The id of the gate that holds the client. */
  get serverId(): string {
    return this.copy.serverId;
  }

  get ip(): string {
    return this.copy.ip;
  }

  /** The network of the client: `ws`, `tcp`, or the name of a custom acceptor. */
  get network(): string {
    return this.copy.network;
  }

  /** When the client connected, in milliseconds since the epoch. */
  get connectedAt(): number {
    return this.copy.connectedAt;
  }

  /** The trace of the connection: the `traceparent` of the handshake, or a new one from the gate. */
  get traceSpan(): TraceSpan {
    return parseTraceParent(this.copy.traceParent) ?? newTraceSpan();
  }

  /** The uid this client is bound to; `''` for a guest. */
  get userId(): string {
    return this.copy.userId;
  }

  /** The uid as a number; `0n` when it is not an unsigned decimal of 64 bits. */
  get userIdUint(): bigint {
    if (!DECIMAL.test(this.userId)) return 0n;
    const value = BigInt(this.userId);
    return value <= MAX_UINT64 ? value : 0n;
  }

  /** True while the client is bound to no uid. */
  get isGuest(): boolean {
    return this.userId === '';
  }

  /** Version of the session; it increases with every change on the gate. */
  get version(): number {
    return this.copy.version;
  }

  /** The value under a key, an object as a copy. The type is the caller's claim; nothing checks it. */
  get<T = string>(key: string): T | undefined {
    const { settings } = this.copy;
    const value = this.draft ? this.draft.get(key) : Object.hasOwn(settings, key) ? settings[key] : undefined;
    return owned(value) as T | undefined;
  }

  /** Sets a value in this copy only; {@link toPush} sends it. */
  set<T>(key: string, value: JsonValue | (T & JsonInput<T>)): void {
    this.edit().set(key, value as JsonValue);
    this.changed.add(key);
  }

  /** Removes a value from this copy only. */
  del(key: string): void {
    this.edit().delete(key);
    this.changed.delete(key);
  }

  /** Replaces all settings of this copy. */
  setSettings<T extends object>(settings: Settings | (T & SettingsInput<T>)): void {
    this.draft = new Map();
    this.changed.clear();
    this.importSettings(settings as Settings);
  }

  /** Adds settings to this copy; keys that exist keep their value. */
  importSettings<T extends object>(settings: Settings | (T & SettingsInput<T>)): void {
    for (const [key, value] of Object.entries(settings) as [string, JsonValue | undefined][]) {
      if (value !== undefined && !this.edit().has(key)) this.set(key, value);
    }
  }

  /** The settings of this copy, key by key, as {@link get} gives them. */
  *settings(): IterableIterator<[string, JsonValue]> {
    for (const [key, value] of this.draft ?? Object.entries(this.copy.settings)) yield [key, owned(value)];
  }

  /** A copy of the settings as a plain object. */
  cloneSettings(): Record<string, JsonValue> {
    return Object.fromEntries(this.settings());
  }

  /** An independent copy; `userData` is not carried over. */
  clone(): Session {
    const clone = new Session(this.copy, this.gate);
    if (this.draft) clone.draft = new Map(this.draft);
    for (const key of this.changed) clone.changed.add(key);
    return clone;
  }

  /** JSON form for handlers that return a session: with local changes, without {@link userData}. */
  toJSON(): SessionSnapshot {
    return this.draft ? { ...this.copy, settings: this.cloneSettings() } : this.copy;
  }

  /** Loads the current session from the gate. */
  async toUpdate(): Promise<void> {
    this.refresh(await this.gate.load.call({ clientId: this.sessionId }));
  }

  /** Binds the client to a uid, 1–128 bytes of text. @throws {GateError} `UNAUTHORIZED` for revoked or expired credentials. */
  async toBind(userId: string, credentials?: Credentials): Promise<void> {
    this.refresh(await bindCall(this.gate, this.sessionId, userId, credentials));
  }

  /**
   * Sets the time at which the gate closes the client with 1008 (`auth expired`), in milliseconds since the epoch; `null`: never.
   * @throws {GateError} `BAD_ARGUMENT` for an invalid time.
   */
  async toExpireAt(moment: number | null): Promise<void> {
    assertMoment(moment);
    await this.gate.expireAt.call({ clientId: this.sessionId, expiresAt: moment ?? undefined });
  }

  /** Unbinds the client from its uid. Stored data stays. */
  async toUnbind(): Promise<void> {
    this.refresh(await this.gate.unbind.call({ clientId: this.sessionId }));
  }

  /**
   * Sets one value on the gate: any JSON value, also one with an interface type.
   * @throws {GateError} `BAD_ARGUMENT` for a key that is not 1–128 bytes of text or a value that is not JSON,
   * `LIMIT_EXCEEDED` when the settings grow too large.
   */
  async toSet<T>(key: string, value: JsonValue | (T & JsonInput<T>)): Promise<void> {
    assertSettings([[key, value]]);
    this.refresh(await this.gate.set.call({ clientId: this.sessionId, key, value: value as JsonValue }));
  }

  /** Sets several values on the gate; other keys stay, those whose value is `undefined` too. Throws as {@link toSet} does. */
  async toSetBatch<T extends object>(settings: Settings | (T & SettingsInput<T>)): Promise<void> {
    const pushed = Object.fromEntries(settingsEntries(settings));
    this.refresh(await this.gate.push.call({ clientId: this.sessionId, settings: pushed }));
  }

  /**
   * Sends the settings that were set in this copy to the gate. Other settings on the gate, which may be newer than this copy, do
   * not change.
   */
  async toPush(): Promise<void> {
    await this.toSetBatch(Object.fromEntries([...(this.draft ?? [])].filter(([key]) => this.changed.has(key))));
  }

  /** Removes a value on the gate. */
  async toDel(key: string): Promise<void> {
    this.refresh(await this.gate.del.call({ clientId: this.sessionId, key }));
  }

  /**
   * Sends a message to the client. Resolves when the gate has queued it, or its `SendMessageHook` has refused it.
   * @throws {GateError} `SESSION_NOT_FOUND` when the client has disconnected, `BAD_ARGUMENT` for a topic or body that cannot be sent.
   */
  async toSend(topic: string, body?: unknown): Promise<void> {
    const args = { clientIds: [this.sessionId], ...encodeMessage(topic, body) };
    const { result, missing } = await this.gate.send.gather(args);
    // No gate has queued it: a query to the owner gives the reason.
    if (result > 0) return;
    const options = missing.length > 0 ? { deadlineMs: 1 } : undefined;
    this.refresh(await this.gate.load.call({ clientId: this.sessionId }, options));
  }

  /** True while the client is connected; false, not an error, after it has disconnected. */
  async toConnected(): Promise<boolean> {
    return orFalse(this.gate.connected.call({ clientId: this.sessionId }));
  }

  /** Closes the connection after queued messages were sent. */
  async toClose(): Promise<void> {
    await this.gate.close.call({ clientId: this.sessionId });
  }

  /** Applies a newer state from the gate. An older one is ignored, so that answers may arrive in any order. */
  private refresh(snapshot: SessionSnapshot): void {
    assertSnapshotOf(snapshot, this.sessionId);
    this.draft = undefined;
    this.changed.clear();
    if (snapshot.version >= this.copy.version) this.copy = snapshot;
  }

  private edit(): Map<string, JsonValue> {
    return (this.draft ??= new Map(Object.entries(this.copy.settings)));
  }
}

/**
 * Checks that an answer of a gate belongs to the requested client, so that data of another client is never used.
 * @throws {GateError} `LINK_CORRUPT` when it is not.
 */
export function assertSnapshotOf(snapshot: SessionSnapshot, clientId: ClientId): void {
  if (snapshot.sessionId === clientId) return;
  throw new GateError('LINK_CORRUPT', 'The gate has answered with the session of another client');
}

/** Copies a value, because all sessions of the client in this process share the state. */
const owned = <T>(value: T): T => (typeof value === 'object' ? structuredClone(value) : value);
