/**
 * The private parts of Node of sockets, here and nowhere else. `docs/architecture.md` lists them, with what happens when one
 * is missing.
 */
import { type Server, Socket } from 'node:net';

/** The request object that stands for a write. */
export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Negative until the handle keeps the request, for a write that goes on. */
  getAsyncId(): number;
  /** The outcome of a write that was over before it could be reported. Newer versions of Node have it. */
  writeStatus?: unknown;
  /** The rest is kept here by the caller, while a write goes on. Node itself keeps no reference to the bytes. */
  data?: Uint8Array | undefined;
  bytes?: number;
  socket?: Socket;
  writer?: { onWritten(bytes: number): void };
}

/** The class of the requests that this Node makes. */
export type WriteRequestClass = new () => WriteRequest;

/** What is used of the handle of a socket, which has no types of its own. */
export interface SocketHandle {
  useUserBuffer(buffer: Uint8Array): void;
  /** 0, or the number of an error. Without a request from the caller, newer versions of Node make one for what they cannot write at once. */
  writeBuffer: (this: SocketHandle, request: WriteRequest | null, data: Uint8Array) => number | WriteRequest;
  readonly bytesWritten?: unknown;
  readonly writeQueueSize?: unknown;
}

/** The fields in which a socket keeps the buffer of the `onread` option, which only sockets that connect may be given. */
export interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
}

type WithHandle = { readonly _handle?: SocketHandle | null };

/** The handle of a socket; none when it is closed. Which parts it has is to be looked at. */
export function handleOf(socket: Socket): SocketHandle | null | undefined {
  return (socket as Socket & WithHandle)._handle;
}

/** The fields for the buffer of a socket; `undefined` when this Node keeps it in another way. */
export function findReadFields(): ReadFields | undefined {
  const socket = new Socket();
  const symbols = Object.getOwnPropertySymbols(socket);
  // Both are there, and empty, in a socket that was not given a buffer.
  const find = (name: string): symbol | undefined => {
    const symbol = symbols.find(({ description }) => description === name);
    return symbol && (Reflect.get(socket, symbol) ?? null) === null ? symbol : undefined;
  };
  const buffer = find('kBuffer');
  const callback = find('kBufferCb');
  return buffer && callback && { buffer, callback };
}

/**
 * Writes through the stream of a socket, and looks which kind of request that gives to the handle: a class; `null`, nothing;
 * `'unknown'`: this Node writes in another way.
 */
export function learnWriteRequest(
  socket: Socket,
  handle: SocketHandle,
  data: Uint8Array,
): WriteRequestClass | null | 'unknown' {
  const { writeBuffer } = handle;
  let found: WriteRequestClass | null | 'unknown' = 'unknown';
  handle.writeBuffer = function (request, bytes) {
    if (request === null) found = null;
    else if (typeof request?.getAsyncId === 'function') found = request.constructor as WriteRequestClass;
    return writeBuffer.call(this, request, bytes);
  };
  try {
    socket.write(data);
  } finally {
    // The method of the prototype again.
    Reflect.deleteProperty(handle, 'writeBuffer');
  }
  return found;
}

/**
 * How many bytes the operating system has taken of what was written to a socket. The streams of Node say of a large write
 * only when all of it has been taken, which a slow line may need many seconds for; the handle below knows of each part. With
 * a Node that has no such handle, whole writes are what counts. Over TLS it may fall a little when something is written.
 */
export function takenBytes(socket: Socket): number {
  const handle = handleOf(socket);
  const written = handle?.bytesWritten;
  const queued = handle?.writeQueueSize;
  if (typeof written === 'number' && typeof queued === 'number') return written - queued;
  return socket.bytesWritten - socket.writableLength;
}

/** The parts of a handle, and their types. */
const HANDLE: readonly (readonly [part: keyof SocketHandle, type: string])[] = [
  ['useUserBuffer', 'function'],
  ['writeBuffer', 'function'],
  ['bytesWritten', 'number'],
  ['writeQueueSize', 'number'],
];

/**
 * Which part is missing in this Node for sockets beside their streams, if any. The handle of a server that listens on a port is of the
 * class that those of its sockets have; other servers (of a cluster, of TLS) are not looked at.
 */
export function nodeFault(server?: Server): string | undefined {
  if (!findReadFields()) return 'Socket[kBuffer] is missing';
  const handle = server && (server as Server & WithHandle)._handle;
  if (!handle || handle.constructor.name !== 'TCP') return undefined;
  const missing = HANDLE.find(([part, type]) => typeof handle[part] !== type);
  return missing && `Socket._handle.${missing[0]} is no ${missing[1]}`;
}
