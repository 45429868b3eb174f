import type { Codec } from './messages/codec.js';
import type { Environment } from './connection/environment.js';
import type { LoadReason } from './messages/loader.js';
import type { BufferLimits } from './messages/outbox.js';
import type { SavedSession } from './session/session.js';
import type { WebSocketConstructor } from './connection/socket.js';
import type { TokenCallback } from './session/tokens.js';

/** Keeps a session while the page is away. */
export interface SessionStore {
  /** Returns what was saved, if it is still valid. Returns it once: a copy of the page must not take over the session. */
  load(): SavedSession | undefined;
  save(session: SavedSession): void;
}

/** Options of {@link connect}. */
export interface ConnectOptions {
  /**
   * Returns the token of the user, or nothing, which ends the client. Called for the first attempt, and for each attempt after the token
   * has expired or was refused, or after an attempt that failed before the gate answered.
   */
  readonly token?: TokenCallback | undefined;
  /**
   * How the token is sent: as the subprotocol `bearer.TOKEN`, or as the query parameter `token`. Browsers cannot set headers. Proxies
   * write URLs to their access logs, but not subprotocols.
   * @defaultValue 'subprotocol'
   */
  readonly tokenIn?: 'subprotocol' | 'query' | undefined;
  /**
   * The topic that takes a renewed token on the open connection, as `{ token }`. It may reply with `{ expiresAt }`. `false` disables
   * renewal.
   * @defaultValue 'auth/refresh'
   */
  readonly renewTopic?: string | false | undefined;
  /**
   * Loads a snapshot before the pushes that follow it. Called for each new session and after each gap. The client holds pushes until its promise
   * settles, and sends what was queued while offline after that. A new session does not wait for the load of the session before.
   */
  readonly load?: ((reason: LoadReason) => unknown) | undefined;
  /**
   * Requests a resumable session, which survives a lost connection, if the gate supports them.
   * @defaultValue true
   */
  readonly resume?: boolean | undefined;
  /**
   * Keeps a resumable session across a reload of the page: `pageStore()`.
   * @defaultValue the session ends with the page
   */
  readonly persist?: SessionStore | undefined;
  /**
   * The time limit of a request, including the wait for a connection.
   * @defaultValue 30_000
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Without a connection, requests and messages wait for one, or fail with `OFFLINE`.
   * @defaultValue 'wait'
   */
  readonly whenOffline?: 'wait' | 'fail' | undefined;
  /**
   * Limits of the queue of frames that wait for a connection. More frames fail with `BUFFER_FULL`.
   * @defaultValue { frames: 256, bytes: 262_144 }
   */
  readonly buffer?: Partial<BufferLimits> | undefined;
  /**
   * The time limit for the token callback, and again for opening the socket.
   * @defaultValue 10_000
   */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * The time limit for the hello of the gate after that.
   * @defaultValue 10_000
   */
  readonly greetingTimeoutMs?: number | undefined;
  /**
   * Larger frames from the gate are dropped, counted, and reported as an `error` event.
   * @defaultValue 4 MiB
   */
  readonly maxFrameBytes?: number | undefined;
  /** Close codes of the application after which the client does not reconnect, in addition to those of the gate. */
  readonly finalCodes?: readonly number[] | undefined;
  /**
   * Connects immediately. With `false` the client waits for `connect()`.
   * @defaultValue true
   */
  readonly autoConnect?: boolean | undefined;
  /**
   * The class that makes sockets; `ws` before Node 22.
   * @defaultValue globalThis.WebSocket
   */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** The third argument of the constructor, for `ws`: headers, certificates, an agent. */
  readonly socketOptions?: object | undefined;
  /**
   * Encodes and decodes frames.
   * @defaultValue gate.json
   */
  readonly codec?: Codec | undefined;
  /** Clocks, timers and events of the page, for tests and for hosts without a page. */
  readonly environment?: Environment | undefined;
}

/** The part of an `AbortSignal` that is used. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Options of a request. */
export interface RequestOptions {
  /** The time limit, including the wait for a connection. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignalLike | undefined;
  readonly whenOffline?: 'wait' | 'fail' | undefined;
}

/** Options of a message. */
export interface SendOptions {
  /** How long it may wait for a connection. After that it is dropped. */
  readonly timeoutMs?: number | undefined;
  readonly whenOffline?: 'wait' | 'fail' | undefined;
}

/** Options of an iterator over pushes. */
export interface MessagesOptions {
  /** Ends the loop. */
  readonly signal?: AbortSignalLike | undefined;
  /**
   * How many pushes may be unread. More end the loop with `SLOW_CONSUMER`.
   * @defaultValue 1_000
   */
  readonly limit?: number | undefined;
}

/** Options of a stream. `timeoutMs` limits the wait for the first item, and for each item after another. */
export interface StreamOptions extends RequestOptions {
  /**
   * How many items may be unread. More end the stream with `SLOW_CONSUMER`.
   * @defaultValue 1_000
   */
  readonly limit?: number | undefined;
}

/** The state of a client. */
export type GateState =
  /** Not connected, and no attempt is made: before `connect()` and after `close()`. */
  | { readonly name: 'idle' }
  /** The socket is being opened. `attempt` counts from 0 since the last connection that was stable. */
  | { readonly name: 'connecting'; readonly attempt: number }
  /** The socket is open; the hello of the gate has not arrived. */
  | { readonly name: 'greeting'; readonly attempt: number }
  | { readonly name: 'online' }
  /**
   * The next attempt starts at `retryAt`, in milliseconds since 1970. It is `null` without a network, and while the page is frozen.
   * `code` and `reason` tell how the last connection or attempt ended.
   */
  | {
      readonly name: 'waiting';
      readonly attempt: number;
      readonly retryAt: number | null;
      readonly code: number;
      readonly reason: string;
    }
  /** The gate or the token callback has ended the client. `code` is a close code or an HTTP status. Only `connect()` connects again. */
  | { readonly name: 'ended'; readonly code: number; readonly reason: string };

/**
 * The state of the session: `none` before the first hello and after `close()`, `live` while connected, `away` while the connection is lost
 * and the session may continue, `lost` when it cannot.
 */
export type SessionState = 'none' | 'live' | 'away' | 'lost';

/** A connection was established. */
export interface SessionEvent {
  readonly clientId: string;
  /** False when an earlier session continues. */
  readonly isNew: boolean;
  /** `first`, `resumed`, `reconnected` (sessions are not resumable here), or the code with which a resume was refused. */
  readonly why: string;
}

/** An earlier session continues on a new connection. */
export interface ResumedEvent {
  /** How long the session was without a connection, measured by the gate. */
  readonly awayMs: number;
  /** Frames of the gate that arrive late, or `null` if the gate does not report their number. */
  readonly replayed: number | null;
  /** Frames of the client that were sent again because the gate had not received them. */
  readonly resent: number;
}

/** Pushes are missing. */
export interface GapEvent {
  /** Their number, or `null` when it is not known. */
  readonly n: number | null;
  /** `overrun`, `budget`, `gate-lost`, `link`, `expired`, `held` (a load took too long), or the reason for a new session. */
  readonly why: string;
}

/** The source of an error. */
export interface ErrorContext {
  readonly source: 'listener' | 'handler' | 'load' | 'token' | 'renew' | 'gate' | 'send' | 'frame';
  readonly topic?: string | undefined;
}

/** Listeners of the client's own events. */
export interface ClientEvents {
  readonly state: (state: GateState) => unknown;
  readonly session: (event: SessionEvent) => unknown;
  readonly resumed: (event: ResumedEvent) => unknown;
  readonly gap: (event: GapEvent) => unknown;
  readonly error: (error: Error, context: ErrorContext) => unknown;
}

/** Counters of a client since it was created. */
export interface ClientStats {
  /** Sockets opened, connections established, and connections that resumed a session. */
  attempts: number;
  connections: number;
  resumes: number;
  framesIn: number;
  framesOut: number;
  /** Frames that were sent again after a resume, and frames that were received again and ignored. */
  resent: number;
  repeated: number;
  /** Malformed frames. */
  badFrames: number;
  /** Frames larger than `maxFrameBytes`. */
  largeFrames: number;
  /** `$gate/` frames that this version does not know, or does not expect in its state. */
  unknownControl: number;
  /** Replies without an open request: unknown ids, and replies after a timeout. */
  unknownReplies: number;
  /** Pushes on topics without a listener. */
  unheardPushes: number;
  /** Messages that were not sent, and pushes that were held for `load` and dropped. */
  dropped: number;
  /** `error` events. */
  errors: number;
  gaps: number;
  /** Pings without an answer. */
  pingTimeouts: number;
  /** How often client and gate had counted different numbers of frames. */
  countMismatches: number;
}
