import type { Arguments, BodyOf, ItemOf, NoContract, ReplyOf, TopicOf } from './contract-types.js';
import type {
  ClientEvents,
  ClientStats,
  GateState,
  MessagesOptions,
  RequestOptions,
  SendOptions,
  SessionState,
  StreamOptions,
} from './options.js';

/**
 * A client of a gate, which reconnects automatically. Created by {@link connect}.
 *
 * `C` is the type of a contract, or of several. The compiler checks topics and bodies against it. Without one, a topic is any string.
 */
export interface GateClient<C = NoContract> {
  /** For the compiler only; never set. */
  readonly '~contract'?: C;
  /** The state of the client. The same object until it changes. */
  readonly state: GateState;
  /** The state of the session, which may survive a lost connection. */
  readonly session: SessionState;
  /** The id of this client at the gate. Empty before the first hello. */
  readonly clientId: string;
  /** The number of frames that wait for a connection. */
  readonly queued: number;
  /** Counters since the client was created. */
  readonly stats: Readonly<ClientStats>;

  /** Connects if the client is `idle` or has `ended`. */
  connect(): void;

  /** Ends the session and the connection. Open requests reject. `connect()` connects again. */
  close(): void;

  /**
   * Checks the connection, or retries now. In a browser the client does this when the page becomes visible. Call it on hosts without page
   * events, such as React Native, when the app comes to the foreground.
   */
  wake(): void;

  /** Listens to an event of the client, or to the pushes of a topic. Returns a function that removes the listener. */
  on<E extends keyof ClientEvents>(event: E, listener: ClientEvents[E]): () => void;
  on<T extends TopicOf<C, 'push'>>(topic: T, listener: (body: BodyOf<C, 'push', T>) => unknown): () => void;
  on<B = unknown>(this: GateClient, topic: string, listener: (body: B) => unknown): () => void;

  /** Removes a listener that was added with `on`. */
  off<E extends keyof ClientEvents>(event: E, listener: ClientEvents[E]): void;
  off<T extends TopicOf<C, 'push'>>(topic: T, listener: (body: BodyOf<C, 'push', T>) => unknown): void;
  off<B = unknown>(this: GateClient, topic: string, listener: (body: B) => unknown): void;

  /**
   * Sends a request. Resolves with the reply. Rejects with a `GateError`, whose code is that of the gate or of the handler, or one of
   * `ClientErrorCode`.
   */
  request<T extends TopicOf<C, 'request'>>(
    topic: T,
    ...args: Arguments<BodyOf<C, 'request', T>, RequestOptions>
  ): Promise<ReplyOf<C, 'request', T>>;
  request<R = unknown>(this: GateClient, topic: string, body?: unknown, options?: RequestOptions): Promise<R>;

  /**
   * Sends a message, which has no reply. Returns false when it was dropped, which is also an `error` event.
   * @throws {GateError} `BAD_ARGUMENT` for a body that cannot be encoded, `BAD_TOPIC` for a topic of the gate.
   */
  send<T extends TopicOf<C, 'message' | 'request'>>(
    topic: T,
    ...args: Arguments<BodyOf<C, 'message' | 'request', T>, SendOptions>
  ): boolean;
  send(this: GateClient, topic: string, body?: unknown, options?: SendOptions): boolean;

  /**
   * The pushes of a topic as an async iterator. It starts with this call and continues across lost connections. It ends when the loop is
   * left, when the signal is aborted, and when the client is closed or ends.
   */
  messages<T extends TopicOf<C, 'push'>>(
    topic: T,
    options?: MessagesOptions,
  ): AsyncIterableIterator<BodyOf<C, 'push', T>, undefined>;
  messages<B = unknown>(
    this: GateClient,
    topic: string,
    options?: MessagesOptions,
  ): AsyncIterableIterator<B, undefined>;

  /** Requests a stream with this call. Leaving the loop cancels it. */
  stream<T extends TopicOf<C, 'stream'>>(
    topic: T,
    ...args: Arguments<BodyOf<C, 'stream', T>, StreamOptions>
  ): AsyncIterableIterator<ItemOf<C, T>, undefined>;
  stream<I = unknown>(
    this: GateClient,
    topic: string,
    body?: unknown,
    options?: StreamOptions,
  ): AsyncIterableIterator<I, undefined>;

  /**
   * Answers calls of the server. Returns a function that removes the handler. A `GateError` that the handler throws is the answer. Any other
   * error is an `error` event of the client, and `INTERNAL` for the server.
   * @throws {GateError} `BAD_ARGUMENT` when the topic already has a handler.
   */
  handle<T extends TopicOf<C, 'call'>>(
    topic: T,
    handler: (body: BodyOf<C, 'call', T>) => ReplyOf<C, 'call', T> | Promise<ReplyOf<C, 'call', T>>,
  ): () => void;
  handle<B = unknown>(this: GateClient, topic: string, handler: (body: B) => unknown): () => void;
}
