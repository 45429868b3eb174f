import { Buffer, isUtf8 } from 'node:buffer';
import { Writable } from 'node:stream';
import { CLOSE } from '@nestgate/protocol';
import type { WebSocket } from 'ws';
import { unmask } from './unmask.js';
import { WS_BINARY, WS_TEXT } from './ws-frame.js';

/** What a receiver does with a chunk. */
const write = Reflect.get(Writable.prototype, 'write') as (this: Receiver, chunk: Buffer) => boolean;

/** Who gets the frames. */
export interface FrameSink {
  onFrame(data: Buffer): void;
  /** Told what {@link onFrame} throws: what is left of the chunk is lost, and the connection ends. */
  onDefect(error: unknown, where: string): void;
}

const SINK = Symbol('frame sink');
const PARTIAL = Symbol('partial frame');

/** What is needed of the receiver of `ws`, which has no types of its own. */
interface Receiver {
  [SINK]?: FrameSink;
  /** The plain frame that has not come completely. `ws` does not know of it. */
  [PARTIAL]?: PartialFrame | undefined;
  write: (this: Receiver, chunk: Buffer) => boolean;
  readonly writableLength: number;
  readonly writableEnded: boolean;
  /** 0: it waits for the head of a frame. */
  readonly _state: unknown;
  readonly _bufferedBytes: unknown;
  /** The chunks of a frame that is not complete. */
  readonly _buffers: unknown;
  /** The opcode of a message whose first fragments it has; 0 when there is none. */
  readonly _fragmented: unknown;
  readonly _maxPayload: unknown;
  readonly _errored: unknown;
  readonly _payloadLength: unknown;
  /** Called with the length of a frame, before the state changes. */
  haveLength?: (this: Receiver, callback: ErrorCallback) => void;
  createError?: (type: typeof RangeError, message: string, prefix: boolean, code: number, name: string) => Error;
}

/** The beginning of a plain frame, its header included. */
interface PartialFrame {
  bytes: Buffer;
  filled: number;
  /** Of the whole frame; 0 as long as its header does not say. */
  size: number;
}

type ErrorCallback = (error: Error) => void;

/** Chunks of an incomplete frame that may be kept as they have come. */
const MAX_CHUNKS = 64;
/** Larger ones cost little beside their bytes. */
const SMALL_CHUNK = 1024;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Lengths in the second byte of a frame that mean a longer one follows. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** Opcodes with the FIN bit. */
const PING = 0x89;
const PONG = 0x8a;
const MAX_HEADER_BYTES = 14;
const NOTHING = Buffer.alloc(0);
/**
 * The room for a partial frame is its size, or as many times what has come of it, whichever is less: most frames get all their
 * room at once and are copied once, and a client that announces much and sends little holds little memory.
 */
const ROOM_FACTOR = 4;
const MIN_ROOM_BYTES = 256;
/** The states of a receiver that has read a length in 16, or 64, bits, and the least that has to be written so. */
const LEAST_LENGTH: Readonly<Record<number, number>> = { 1: 126, 2: 65_536 };

/**
 * Reads plain data frames ahead of `ws`: unfragmented, masked and within the limit, while `ws` itself is between two frames. One
 * that is spread over chunks is assembled here, with one copy. Everything else (control frames, fragments and violations)
 * is passed to `ws` unchanged; `ws` remains the authority on the protocol. Most frames are plain, and bypass its stream and its
 * events.
 *
 * `isBinary`: whether to read binary frames, else text. With a `ws` that looks different inside nothing is read ahead.
 */
export function readAhead(ws: WebSocket, isBinary: boolean, sink: FrameSink): void {
  const receiver = receiverOf(ws);
  if (!receiver || !isFamiliar(receiver)) return;
  receiver[SINK] = sink;
  receiver[PARTIAL] = undefined;
  receiver.write = isBinary ? writeBinary : writeText;
  if (typeof receiver.haveLength === 'function' && typeof receiver.createError === 'function') {
    receiver.haveLength = checkLength;
  }
}

/**
 * Refuses a length that is written longer than needed, which RFC 6455 (5.2) forbids and `ws` accepts. Frames that are read ahead come
 * here with such a length too.
 */
function checkLength(this: Receiver, callback: ErrorCallback): void {
  const least = LEAST_LENGTH[this._state as number];
  if (least !== undefined && (this._payloadLength as number) < least && this.createError) {
    const message = `the payload length ${String(this._payloadLength)} is not in its shortest form`;
    callback(this.createError(RangeError, message, true, CLOSE.protocolError.code, 'WS_ERR_INVALID_PAYLOAD_LENGTH'));
    return;
  }
  // The method of its class, which this one hides.
  (Object.getPrototypeOf(this) as Receiver).haveLength?.call(this, callback);
}

/**
 * Reads ahead in a buffer that others use too. Returns how many bytes were read; the rest is for `ws`. Nothing is read ahead
 * without {@link readAhead}.
 */
export function readBuffer(ws: WebSocket, buffer: Buffer, size: number): number {
  const receiver = receiverOf(ws);
  const sink = receiver?.[SINK];
  // The receiver ends with the close frame of the client: nothing behind that is read.
  if (!receiver || !sink || receiver.writableEnded || !isBetweenFrames(receiver)) return 0;
  try {
    const opcode = receiver.write === writeBinary ? WS_BINARY : WS_TEXT;
    return readPlain(receiver, buffer, size, opcode, sink);
  } catch (error) {
    // Called by the socket, once for each chunk.
    sink.onDefect(error, 'ws.read');
    return size;
  }
}

function receiverOf(ws: WebSocket): Receiver | undefined {
  return (ws as unknown as { _receiver?: Receiver })._receiver;
}

// Not closures: there is one receiver for each client.
const writeText = writeAhead(WS_TEXT);
const writeBinary = writeAhead(WS_BINARY);

/** What stands in for the `write` of a receiver. */
function writeAhead(opcode: number): Receiver['write'] {
  return function (this: Receiver, chunk: Buffer): boolean {
    const sink = this[SINK] as FrameSink;
    try {
      const at = readPlain(this, chunk, chunk.length, opcode, sink);
      return at === chunk.length || pass(this, at === 0 ? chunk : chunk.subarray(at));
    } catch (error) {
      // Called by the socket, once for each chunk.
      sink.onDefect(error, 'ws.read');
      return true;
    }
  };
}

/**
 * Reads plain frames, and keeps the beginning of the last one. Nothing refers to the bytes afterwards. Returns how many were read;
 * the rest is for `ws`.
 */
function readPlain(receiver: Receiver, from: Buffer, size: number, opcode: number, sink: FrameSink): number {
  const partial = receiver[PARTIAL];
  let at = partial ? resume(receiver, partial, from, size, opcode, sink) : 0;
  while (at < size && isBetweenFrames(receiver)) {
    at = readFrames(from, at, size, opcode, receiver._maxPayload as number, sink);
    if (at === size || begin(receiver, from, at, size, opcode)) return size;
    const end = probeEnd(from, at, size);
    if (end < 0) break;
    // On its own: behind it `ws` is between frames again, and not in the middle of the last frame of the chunk.
    write.call(receiver, Buffer.from(from.subarray(at, end)));
    at = end;
  }
  return at;
}

function pass(receiver: Receiver, chunk: Buffer): boolean {
  const goesOn = write.call(receiver, chunk);
  const chunks = receiver._buffers as Buffer[];
  if (chunks.length >= MAX_CHUNKS && chunk.length < SMALL_CHUNK) joinChunks(chunks);
  return goesOn;
}

/** A frame that comes byte by byte would cost some hundred bytes for each of them, as a chunk of its own. */
function joinChunks(chunks: Buffer[]): void {
  chunks.splice(0, chunks.length, Buffer.concat(chunks));
}

function isFamiliar(receiver: Receiver): boolean {
  const { _state, _bufferedBytes, _buffers, _fragmented, _maxPayload, _errored, write: original } = receiver;
  if (original !== write || !Array.isArray(_buffers)) return false;
  const numbers = [_state, _bufferedBytes, _fragmented, _maxPayload];
  return numbers.every(each => typeof each === 'number') && typeof _errored === 'boolean' && Number(_maxPayload) > 0;
}

function isBetweenFrames(receiver: Receiver): boolean {
  const { _state, _bufferedBytes, _fragmented, _errored, writableLength } = receiver;
  return _state === 0 && _bufferedBytes === 0 && _fragmented === 0 && _errored === false && writableLength === 0;
}

/** Hands over copies of the plain frames that stand whole from `start` on; returns where the first other one begins. */
function readFrames(
  from: Buffer,
  start: number,
  size: number,
  opcode: number,
  maxPayload: number,
  sink: FrameSink,
): number {
  let at = start;
  while (size - at >= 2 + MASK_BYTES) {
    const end = at + plainSize(from, at, size, opcode, maxPayload);
    if (end <= at || end > size) break;
    const payload = at + headerBytes(from, at);
    const data = Buffer.allocUnsafe(end - payload);
    // `ws` finds out by itself what is wrong.
    if (!isText(data, unmask(data, from, payload - MASK_BYTES), opcode)) break;
    sink.onFrame(data);
    at = end;
  }
  return at;
}

/** Whether a frame may have this content: a text is UTF-8. */
function isText(data: Buffer, isAscii: boolean, opcode: number): boolean {
  return opcode !== WS_TEXT || isAscii || isUtf8(data);
}

/**
 * The size of the plain frame at `at`, its header included, of which the bytes up to `end` are there. 0 when its header does not
 * say yet, -1 for any other frame.
 */
function plainSize(data: Buffer, at: number, end: number, opcode: number, maxPayload: number): number {
  if (data[at] !== opcode) return -1;
  const there = end - at;
  if (there < 2) return 0;
  let length = (data[at + 1] as number) - MASKED;
  if (length < 0) return -1;
  let header = 2 + MASK_BYTES;
  if (length === LENGTH_16) {
    if (there < 4) return 0;
    length = ((data[at + 2] as number) << 8) | (data[at + 3] as number);
    if (length < LENGTH_16) return -1;
    header += 2;
  } else if (length === LENGTH_64) {
    if (there < 10) return 0;
    if (data.readUInt32BE(at + 2) !== 0) return -1;
    length = data.readUInt32BE(at + 6);
    if (length < 65_536) return -1;
    header += 8;
  }
  return length > maxPayload ? -1 : header + length;
}

function headerBytes(data: Buffer, at: number): number {
  const length = (data[at + 1] as number) - MASKED;
  return length < LENGTH_16 ? 2 + MASK_BYTES : length === LENGTH_16 ? 4 + MASK_BYTES : 10 + MASK_BYTES;
}

/** The end of a ping or pong that stands whole at `at`; -1 for everything else. */
function probeEnd(chunk: Buffer, at: number, size: number): number {
  if (chunk[at] !== PING && chunk[at] !== PONG) return -1;
  if (size - at < 2 + MASK_BYTES) return -1;
  const length = (chunk[at + 1] as number) - MASKED;
  const end = at + 2 + MASK_BYTES + length;
  return length >= 0 && length < LENGTH_16 && end <= size ? end : -1;
}

/** Keeps what a chunk has of the plain frame at `at`; false for any other frame. */
function begin(receiver: Receiver, chunk: Buffer, at: number, end: number, opcode: number): boolean {
  const size = plainSize(chunk, at, end, opcode, receiver._maxPayload as number);
  // A frame that is whole and was not read is not UTF-8.
  if (size < 0 || (size > 0 && size <= end - at)) return false;
  const partial: PartialFrame = { bytes: NOTHING, filled: 0, size };
  keep(partial, chunk, at, end);
  receiver[PARTIAL] = partial;
  return true;
}

/** Goes on with a frame that an earlier chunk began; returns where the rest of this chunk starts. */
function resume(
  receiver: Receiver,
  partial: PartialFrame,
  chunk: Buffer,
  end: number,
  opcode: number,
  sink: FrameSink,
): number {
  let at = 0;
  while (partial.size === 0 && at < end) {
    keep(partial, chunk, at, ++at);
    partial.size = plainSize(partial.bytes, 0, partial.filled, opcode, receiver._maxPayload as number);
  }
  if (partial.size > 0) {
    const until = Math.min(end, at + partial.size - partial.filled);
    keep(partial, chunk, at, until);
    at = until;
  }
  const { bytes, filled, size } = partial;
  if (size === 0 || filled < size) return at;
  receiver[PARTIAL] = undefined;
  if (size < 0) {
    pass(receiver, bytes.subarray(0, filled));
    return at;
  }
  const payload = headerBytes(bytes, 0);
  const data = bytes.subarray(payload, size);
  if (isText(data, unmask(data, bytes, payload - MASK_BYTES), opcode)) {
    sink.onFrame(data);
  } else {
    // Masked again, it is what has arrived: `ws` finds out by itself.
    unmask(data, bytes, payload - MASK_BYTES);
    pass(receiver, bytes);
  }
  return at;
}

function keep(partial: PartialFrame, chunk: Buffer, start: number, end: number): void {
  const { bytes, filled, size } = partial;
  const needed = filled + end - start;
  if (bytes.length < needed) {
    const most = size > 0 ? size : MAX_HEADER_BYTES;
    // Not of the shared pool, 8 KiB of which would be kept as long as the frame.
    partial.bytes = Buffer.allocUnsafeSlow(Math.min(most, Math.max(MIN_ROOM_BYTES, needed * ROOM_FACTOR)));
    bytes.copy(partial.bytes, 0, 0, filled);
  }
  chunk.copy(partial.bytes, filled, start, end);
  partial.filled = needed;
}
