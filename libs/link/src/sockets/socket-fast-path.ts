import { Buffer } from 'node:buffer';
import { type Server, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import {
  findReadFields,
  handleOf,
  learnWriteRequest,
  nodeFault,
  type ReadFields,
  type WriteRequest,
  type WriteRequestClass,
} from '../internals/node.js';
import { readDirectly } from './direct-read.js';
import { ReadClock } from './read-clock.js';

/** Size of the buffer that all sockets read into, in bytes: what Node allocates for each read otherwise. */
const READ_BYTES = 64 * 1024;

const push = Reflect.get(Readable.prototype, 'push') as (this: Socket, chunk: Buffer) => boolean;

/** Receives the bytes of a socket. */
export interface SocketReader {
  /**
   * Takes the first bytes of a buffer and returns how many. The rest is emitted as `data`, as a copy. The buffer is valid during
   * the call only: all sockets share it. Never throws.
   */
  onBytes(buffer: Buffer, size: number): number;
}

/** Told how a write went on that the operating system did not take at once. */
export interface SocketWriter {
  onWritten(bytes: number): void;
}

const READER = Symbol('byte reader');

type FastSocket = Socket & { [READER]?: SocketReader };

/**
 * Reads and writes sockets beside their streams, through private parts of Node (`internals/node.ts`).
 * A plain message costs one read and one write; Node allocates a buffer of 64 KiB for each read, and a request object and a
 * tick for each write, which together are a third of what that message takes.
 *
 * - **Reads** go into one buffer that all sockets share, the way of the `onread` option of `net.connect`.
 * - **Writes** go to the handle of the socket, as long as the stream of the socket holds nothing. The request object is used again
 *   unless the operating system did not take everything at once.
 *
 * Sockets that are not plain TCP or Unix sockets (TLS), versions of Node that look different inside, and Windows use the stream.
 */
export class SocketFastPath {
  /** When the bytes that a reader has now arrived. */
  readonly clock = new ReadClock();
  private readonly onRead = readCallback(this.clock);
  private readonly isEnabled: boolean;
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
    this.isEnabled = isEnabled && process.platform !== 'win32';
    this.fields = this.isEnabled ? findReadFields() : undefined;
    this.buffer = Buffer.allocUnsafeSlow(this.fields ? READ_BYTES : 0);
  }

  /** Why sockets of a server that listens are read and written through their streams although that was not asked for. */
  fault(server: Server): string | undefined {
    return this.isEnabled ? nodeFault(server) : undefined;
  }

  /** Whether a socket can be read and written beside its stream. */
  supports(socket: Socket): boolean {
    if (!this.fields || (socket as { encrypted?: boolean }).encrypted) return false;
    const handle = handleOf(socket);
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
  attach(socket: Socket, reader: SocketReader): void {
    const { fields } = this;
    const handle = handleOf(socket);
    if (!fields || !handle || !this.supports(socket)) {
      readDirectly(socket);
      return;
    }
    (socket as FastSocket)[READER] = reader;
    Reflect.set(socket, fields.buffer, this.buffer);
    Reflect.set(socket, fields.callback, this.onRead);
    handle.useUserBuffer(this.buffer);
  }

  /**
   * Writes to a socket. Returns how many bytes wait outside of its stream until the operating system takes them; then `writer` is
   * called with the same number.
   */
  write(socket: Socket, data: Uint8Array, writer: SocketWriter): number {
    // What the stream holds, or its end, comes first.
    const isFree = (socket as FastSocket)[READER] !== undefined && socket.writableLength === 0 && socket.writable;
    const handle = isFree ? handleOf(socket) : undefined;
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

/** Makes the function that Node calls for each read, with the socket as `this`; a result of false would stop reading. */
function readCallback(clock: ReadClock): (this: FastSocket, size: number, buffer: Buffer) => boolean {
  return function (this: FastSocket, size: number, buffer: Buffer): boolean {
    // A paused socket, or one whose stream holds something: this is behind that.
    if (this.readableFlowing !== true || this.readableLength > 0) return push.call(this, copyOf(buffer, 0, size));
    const reader = this[READER];
    let taken = 0;
    clock.begin();
    try {
      if (reader) taken = reader.onBytes(buffer, size);
    } finally {
      clock.end();
    }
    if (taken < size) this.emit('data', copyOf(buffer, taken, size));
    return true;
  };
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
