import type { Environment, Timer } from '../connection/environment.js';
import { errorOf, GateError } from '../errors.js';
import type { RequestOptions, SendOptions, StreamOptions } from '../options.js';
import type { InFrame, OutFrame } from './codec.js';
import { createValueQueue } from './value-queue.js';

/** Requests and streams that may be open at once. */
const MAX_OPEN = 4_096;

/** Callbacks of requests to the connection of their client. */
export interface RequestsHost {
  /**
   * Writes a frame, or queues it.
   * @throws {GateError} when it is neither written nor queued.
   */
  readonly post: (frame: OutFrame, options: SendOptions) => void;
  /** Removes the frame with this id, which was not written yet. */
  readonly withdraw: (id: number) => void;
  /** Asks the gate to end a stream. */
  readonly cancel: (id: number) => void;
}

/** The open requests and streams of a client, by id, with their deadlines. */
export interface Requests {
  /** The last id that was used. Ids only grow: a late reply cannot be taken for that of another request. */
  lastId: number;
  /** Resolves with the reply. */
  readonly request: (topic: string, body?: unknown, options?: RequestOptions) => Promise<unknown>;
  /** Asks for a stream at once. Leaving the loop cancels it. */
  readonly stream: (
    topic: string,
    body?: unknown,
    options?: StreamOptions,
  ) => AsyncIterableIterator<unknown, undefined>;
  /** The frame with this id was written. */
  sent(id: number): void;
  /** Handles an answer. Returns false when no request with this id is open. */
  settle(id: number, frame: InFrame): boolean;
  /** Fails the requests that were written, or all. */
  fail(message: string, isAll?: boolean): void;
}

/** Receives the frames that answer a request, or the error that ends it. */
type Target = (error: GateError | undefined, frame: InFrame) => void;

interface Open {
  readonly target: Target;
  readonly isStream: boolean | undefined;
  isSent: boolean;
  heardAt: number;
  /** Removes the timer and the listener of the signal. */
  release(): void;
}

/** `defaultTimeoutMs` applies to requests without `timeoutMs`. */
export function createRequests(
  environment: Environment,
  defaultTimeoutMs: number,
  { post, withdraw, cancel }: RequestsHost,
): Requests {
  const all = new Map<number, Open>();

  const remove = (id: number): Open | undefined => {
    const request = all.get(id);
    all.delete(id);
    request?.release();
    return request;
  };
  /** Ends a request before its answer. A gate can cancel streams, and no requests. */
  const abandon = (id: number): Open | undefined => {
    const request = remove(id);
    if (request && !request.isSent) withdraw(id);
    else if (request?.isStream) cancel(id);
    return request;
  };
  /** Sends a request; returns its id. Its timeout is until the reply; for a stream until the first item, and between items. */
  const start = (
    frame: OutFrame,
    { timeoutMs = defaultTimeoutMs, signal, whenOffline }: RequestOptions,
    target: Target,
  ): number => {
    const id = ++requests.lastId;
    let timer: Timer;
    const giveUp = (code: string, message?: string): void =>
      abandon(id) && target(new GateError(code, message, { sent: request.isSent }), {});
    const expire = (): void => {
      const leftMs = request.heardAt + timeoutMs - environment.now();
      // A timer may fire a little early, and each item moves the deadline.
      if (leftMs > 0) timer = environment.setTimeout(expire, leftMs);
      else giveUp('TIMEOUT', `No answer within ${timeoutMs} ms`);
    };
    const abort = (): void => giveUp('ABORTED');
    const request: Open = {
      target,
      isStream: frame.stream,
      isSent: false,
      heardAt: environment.now(),
      release() {
        environment.clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      },
    };
    all.set(id, request);
    timer = environment.setTimeout(expire, timeoutMs);
    signal?.addEventListener('abort', abort);
    try {
      if (all.size > MAX_OPEN) throw new GateError('BUFFER_FULL');
      // The deadline of the request removes the frame while it waits.
      if (signal?.aborted) abort();
      else post({ ...frame, id }, { whenOffline, timeoutMs: Infinity });
    } catch (error) {
      remove(id);
      target(error as GateError, {});
    }
    return id;
  };
  const requests: Requests = {
    lastId: 0,
    request: (topic, body, options = {}) =>
      new Promise((resolve, reject) => {
        start({ topic, body }, options, (error, { body: reply }) => (error ? reject(error) : resolve(reply)));
      }),
    stream(topic, body, options = {}) {
      let id = 0;
      // A loop that is left before the end of the stream cancels it.
      const queue = createValueQueue<unknown>(options.limit, () => abandon(id));
      id = start({ topic, body, stream: true }, options, (error, { item, end, body: reply }) => {
        if (item !== undefined) queue.push(item);
        // A handler that is no stream replies once.
        else if (!error && end !== true) queue.push(reply);
        if (error || item === undefined) queue.end(error);
      });
      return queue.values;
    },
    sent(id) {
      const request = all.get(id);
      if (request) request.isSent = true;
    },
    settle(id, frame) {
      const request = all.get(id);
      if (!request) return false;
      request.heardAt = environment.now();
      if (frame.item === undefined) remove(id);
      request.target(frame.error === undefined ? undefined : errorOf(frame.error), frame);
      return true;
    },
    fail(message, isAll) {
      for (const [id, { isSent, target }] of all) {
        if (!isSent && !isAll) continue;
        remove(id);
        target(new GateError(isSent ? 'CONNECTION_LOST' : 'OFFLINE', message), {});
      }
    },
  };
  return requests;
}
