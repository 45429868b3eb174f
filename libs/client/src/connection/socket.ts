import { GateError } from '../errors.js';
import type { Failure } from './backoff.js';

/** The part of a WebSocket that the client uses: that of browsers, of Node 22 and newer, and of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** The class of a {@link WebSocketLike}. The third argument is passed only with the option `socketOptions`. */
export type WebSocketConstructor = new (url: string, protocols: string[], options?: never) => WebSocketLike;

/** Members that only `ws` has. */
interface NodeSocket {
  on?(
    event: 'unexpected-response',
    listener: (
      request: unknown,
      response: { readonly statusCode?: number; readonly headers: Readonly<Record<string, unknown>> },
    ) => void,
  ): void;
  terminate?(): void;
}

/** What a socket reports, until it is closed or destroyed. */
export interface SocketEvents {
  readonly open: (socket: Socket) => void;
  readonly message: (socket: Socket, data: unknown) => void;
  readonly close: (socket: Socket, failure: Failure) => void;
}

/** One WebSocket. */
export interface Socket {
  /** The subprotocol that the gate has chosen. */
  readonly protocol: string;
  /** False when the buffer of the socket is full. */
  readonly isWritable: boolean;
  send(data: string | Uint8Array): void;
  /** Detaches it, then closes it with the closing handshake. Without a code the gate keeps a resumable session. */
  close(code?: number): void;
  /** Detaches it, then ends the connection without a closing handshake: the other side is assumed dead. */
  destroy(): void;
}

/** The buffer of a socket is full with this. */
const MAX_SOCKET_BYTES = 4 * 1024 * 1024;

// Properties instead of `addEventListener`, which differs between `ws` and browsers. A property also shows whether the socket is attached.
/* oxlint-disable unicorn/prefer-add-event-listener */

/**
 * Opens a socket to an address, with the token when there is one.
 * @throws {GateError} `BAD_ARGUMENT` when `WebSocket` refuses the URL or a subprotocol.
 */
export function openSocket(
  WebSocket: WebSocketConstructor,
  address: string,
  protocols: string[],
  options: object | undefined,
  events: SocketEvents,
): Socket {
  let socket: WebSocketLike;
  try {
    socket = options ? new WebSocket(address, protocols, options as never) : new WebSocket(address, protocols);
  } catch {
    // The message of the original error would show the token.
    throw new GateError('BAD_ARGUMENT', 'WebSocket refuses the URL, or the token as a subprotocol');
  }
  const detach = (): void => {
    socket.onopen = socket.onmessage = socket.onclose = null;
  };
  const close = (code?: number): void => {
    detach();
    if (code === undefined) socket.close();
    else socket.close(code);
  };
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => events.open(opened);
  socket.onmessage = (event: { readonly data: unknown }) => events.message(opened, event.data);
  socket.onclose = ({ code, reason }: { readonly [K in 'code' | 'reason']?: Failure[K] | null }) => {
    detach();
    events.close(opened, { code: code ?? 1006, reason: reason ?? '' });
  };
  // A close event follows each error. This listener stays attached: `ws` throws errors that have no listener.
  socket.onerror = () => undefined;
  (socket as NodeSocket).on?.('unexpected-response', (_request, { statusCode: status = 0, headers }) => {
    const isWanted = socket.onopen !== null;
    // `ws` leaves closing to the listener of this event.
    close();
    if (isWanted) {
      const reason = `The upgrade was refused with ${status}`;
      events.close(opened, { code: 1006, reason, status, retryAfter: headers['retry-after'] });
    }
  });
  const opened: Socket = {
    get protocol() {
      return socket.protocol;
    },
    get isWritable() {
      return socket.bufferedAmount < MAX_SOCKET_BYTES;
    },
    send: data => socket.send(data as string),
    close,
    destroy() {
      detach();
      // Browsers have only the closing handshake. Its end is not awaited.
      const node = socket as NodeSocket;
      if (node.terminate) node.terminate();
      else socket.close();
    },
  };
  return opened;
}
