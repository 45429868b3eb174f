import { Buffer } from 'node:buffer';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import { readDirectly } from './direct-read.js';

/** Size of the buffer that all sockets of a gate read into, in bytes: what Node allocates for each read otherwise. */
const READ_BYTES = 64 * 1024;

const push = Reflect.get(Readable.prototype, 'push') as (this: Socket, chunk: Buffer) => boolean;

/** Receives the bytes of a socket. */
export interface ByteReader {
  /**
   * Takes the first bytes of a buffer and returns how many. The rest is emitted as `data`, as a copy. The buffer is valid during
   * the call only: all sockets share it. Never throws.
   */
  onBytes(buffer: Buffer, size: number): number;
}

/** Told how a write went on that the operating system did not take at once. */
export interface ByteWriter {
  onWritten(bytes: number): void;
}

/** The request object that stands for a write. */
interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Negative until the handle keeps the request, for a write that goes on. */
  getAsyncId(): number;
  /** The outcome of a write that was over before anybody could be told. Newer versions of Node have it. */
  writeStatus?: unknown;
  /** Node keeps no reference to the bytes of a write that goes on. */
  data?: Uint8Array;
  bytes?: number;
  socket?: Socket;
  writer?: ByteWriter;
}

type WriteRequestClass = new () => WriteRequest;

/** What is used of the handle of a socket, which has no types of its own. */
interface Handle {
  useUserBuffer(buffer: Uint8Array): void;
  /** 0, or the number of an error. Without a request from the caller, newer versions of Node make one for what they cannot write at once. */
  writeBuffer: (this: Handle, request: WriteRequest | null, data: Uint8Array) => number | WriteRequest;
}

const READER = Symbol('byte reader');

type FastSocket = Socket & { [READER]?: ByteReader; _handle?: Handle | null };

/** The fields in which a socket keeps the buffer of the `onread` option, which only sockets that connect may be given. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/**
 * Reads and writes sockets of clients beside their streams, through the private parts of Node that are touched here and nowhere
 * else. A plain message costs one read and one write; Node allocates a buffer of 64 KiB for each read, and a request object and a
 * tick for each write, which together are a third of what that message takes.
 *
 * - **Reads** go into one buffer that all sockets share, the way of the `onread` option of `net.connect`.
 * - **Writes** go to the handle of the socket, as long as the stream of the socket holds nothing. The request object is used again
 *   unless the operating system did not take everything at once.
 *
 * Sockets that are not plain TCP or Unix sockets (TLS), versions of Node that look different inside, and Windows use the stream.
 */
export class SocketFastPath {
  private readonly fields: ReadFields | undefined;
  private readonly buffer: Buffer;
  /**
   * What the caller gives to the handle with a write, taken from the first write of a stream: a request of this class; `null`, nothing;
   * `'unknown'`: this Node writes in another way.
   */
  private WriteRequest: WriteRequestClass | null | 'unknown' | undefined;
  private spare: WriteRequest | undefined;

  /** @param isEnabled false to use the streams of all sockets. */
  constructor(isEnabled = true) {
    // Not tried on Windows, whose reads fill their buffer before they are reported.
    this.fields = isEnabled && process.platform !== 'win32' ? findReadFields() : undefined;
    this.buffer = Buffer.allocUnsafeSlow(this.fields ? READ_BYTES : 0);
  }

  /** Whether a socket can be read and written beside its stream. */
  supports(socket: Socket): boolean {
    if (!this.fields || (socket as { encrypted?: boolean }).encrypted) return false;
    const handle = (socket as FastSocket)._handle;
    return (
      socket instanceof Socket &&
      typeof handle?.useUserBuffer === 'function' &&
      typeof handle.writeBuffer === 'function'
    );
  }

  /**
   * Hands what a socket reads to `reader`; what the stream already holds comes first. A socket that is not supported emits it as
   * `data`, and is written through its stream.
   */
  attach(socket: Socket, reader: ByteReader): void {
    const { fields } = this;
    const handle = (socket as FastSocket)._handle;
    if (!fields || !handle || !this.supports(socket)) {
      readDirectly(socket);
      return;
    }
    (socket as FastSocket)[READER] = reader;
    Reflect.set(socket, fields.buffer, this.buffer);
    Reflect.set(socket, fields.callback, onRead);
    handle.useUserBuffer(this.buffer);
  }

  /**
   * Writes to a socket. Returns how many bytes wait outside of its stream until the operating system takes them; then `writer` is
   * called with the same number.
   */
  write(socket: Socket, data: Uint8Array, writer: ByteWriter): number {
    // What the stream holds, or its end, comes first.
    const isFree = (socket as FastSocket)[READER] !== undefined && socket.writableLength === 0 && socket.writable;
    const handle = isFree ? (socket as FastSocket)._handle : undefined;
    if (!handle) {
      socket.write(data);
      return 0;
    }
    if (this.WriteRequest === undefined) {
      this.WriteRequest = learnWriteRequest(socket, handle, data);
      return 0;
    }
    if (this.WriteRequest === 'unknown') {
      socket.write(data);
      return 0;
    }
    const request = this.WriteRequest === null ? null : (this.spare ?? new this.WriteRequest());
    const result = handle.writeBuffer(request, data);
    if (typeof result === 'number' && result !== 0) {
      // Nothing was written. The stream meets the same error, and ends the connection with it.
      socket.write(data);
      return 0;
    }
    const pending = typeof result === 'number' ? request : result;
    // Not the length of the queue of the handle: that may be empty while the end of the write is still to be reported.
    if (!pending || (pending === request && pending.getAsyncId() < 0)) {
      this.spare = pending ?? undefined;
      return 0;
    }
    this.spare = undefined;
    pending.oncomplete = onComplete;
    pending.data = data;
    pending.bytes = data.length;
    pending.socket = socket;
    if (typeof pending.writeStatus === 'number') {
      onComplete.call(pending, pending.writeStatus);
      return 0;
    }
    pending.writer = writer;
    return data.length;
  }
}

/** Called by Node for each read, with the socket as `this`; false would stop reading. */
function onRead(this: FastSocket, size: number, buffer: Buffer): boolean {
  // A paused socket, or one whose stream holds something: this is behind that.
  if (this.readableFlowing !== true || this.readableLength > 0) return push.call(this, copyOf(buffer, 0, size));
  const reader = this[READER];
  const taken = reader ? reader.onBytes(buffer, size) : 0;
  if (taken < size) this.emit('data', copyOf(buffer, taken, size));
  return true;
}

/** A copy with memory of its own: what is kept for long would keep a pool of Node with it. */
export function copyOf(buffer: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  buffer.copy(copy, 0, start, end);
  return copy;
}

/** Called by Node when a write is over that the operating system did not take at once. */
function onComplete(this: WriteRequest, status: number): void {
  const { socket, writer, bytes = 0 } = this;
  this.data = undefined;
  if (status < 0 && socket && !socket.destroyed) {
    const code = getSystemErrorName(status);
    socket.destroy(Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: 'write' }));
  }
  writer?.onWritten(bytes);
}

function findReadFields(): ReadFields | undefined {
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

/** Writes through the stream, and looks which kind of request that gives to the handle. */
function learnWriteRequest(socket: Socket, handle: Handle, data: Uint8Array): WriteRequestClass | null | 'unknown' {
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
