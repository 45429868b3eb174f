import { Buffer, isUtf8 } from 'node:buffer';
import { Writable } from 'node:stream';
import { CLOSE } from '@nestgate/protocol';
import type { WebSocket } from 'ws';
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

/** What is needed of the receiver of `ws`, which has no types of its own. */
interface Receiver {
  [SINK]?: FrameSink;
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
/** The states of a receiver that has read a length in 16, or 64, bits, and the least that has to be written so. */
const LEAST_LENGTH: Readonly<Record<number, number>> = { 1: 126, 2: 65_536 };

/**
 * Reads whole data frames ahead of `ws`: those that lie in one chunk, unfragmented, masked and within the limit, while `ws`
 * itself stands between two frames. Everything else (control frames, fragments, frames that are split over chunks, and everything
 * that is wrong) is passed to `ws` unchanged; `ws` remains the authority on the protocol. Most frames are of the plain kind, and
 * skip its stream and its events this way.
      if (length < LENGTH_16) break;
 *
 * `isBinary`: whether to read binary frames, else text. With a `ws` that looks different inside nothing is read ahead.
 */
export function readAhead(ws: WebSocket, isBinary: boolean, sink: FrameSink): void {
  const receiver = receiverOf(ws);
  if (!receiver || !isFamiliar(receiver)) return;
  receiver[SINK] = sink;
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
    return readFrames(buffer, size, opcode, receiver._maxPayload as number, sink);
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
      const at = isBetweenFrames(this) ? readFrames(chunk, chunk.length, opcode, this._maxPayload as number, sink) : 0;
      if (at === chunk.length) return true;
      const goesOn = write.call(this, at === 0 ? chunk : chunk.subarray(at));
      const chunks = this._buffers as Buffer[];
      if (chunks.length >= MAX_CHUNKS && chunk.length < SMALL_CHUNK) joinChunks(chunks);
      return goesOn;
    } catch (error) {
      // Called by the socket, once for each chunk.
      sink.onDefect(error, 'ws.read');
      return true;
    }
  };
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

/** Hands over copies of the plain frames that `size` bytes begin with; returns where the first other one begins. */
function readFrames(from: Buffer, size: number, opcode: number, maxPayload: number, sink: FrameSink): number {
  let at = 0;
  while (size - at >= 2 + MASK_BYTES) {
    const second = from[at + 1] as number;
    let length = second - MASKED;
    let mask = at + 2;
    if (from[at] !== opcode || length < 0 || length === LENGTH_64) break;
    if (length === LENGTH_16) {
      length = ((from[at + 2] as number) << 8) | (from[at + 3] as number);
      if (length < LENGTH_16) break;
      mask = at + 4;
    }
    const start = mask + MASK_BYTES;
    const end = start + length;
    if (end > size || length > maxPayload) break;
    const data = Buffer.allocUnsafe(length);
    const isAscii = unmask(data, from, mask);
    // `ws` finds out by itself what is wrong.
    if (opcode === WS_TEXT && !isAscii && !isUtf8(data)) break;
    sink.onFrame(data);
    at = end;
  }
  return at;
}

/** Fills `data` with what stands behind the mask, unmasked; true when that is ASCII. */
function unmask(data: Buffer, from: Buffer, mask: number): boolean {
  const a = from[mask] as number;
  const b = from[mask + 1] as number;
  const c = from[mask + 2] as number;
  const d = from[mask + 3] as number;
  const { length } = data;
  let bits = 0;
  let at = mask + MASK_BYTES;
  let i = 0;
  for (const whole = length - 3; i < whole; i += 4, at += 4) {
    bits |= data[i] = (from[at] as number) ^ a;
    bits |= data[i + 1] = (from[at + 1] as number) ^ b;
    bits |= data[i + 2] = (from[at + 2] as number) ^ c;
    bits |= data[i + 3] = (from[at + 3] as number) ^ d;
  }
  if (i < length) bits |= data[i] = (from[at] as number) ^ a;
  if (i + 1 < length) bits |= data[i + 1] = (from[at + 1] as number) ^ b;
  if (i + 2 < length) bits |= data[i + 2] = (from[at + 2] as number) ^ c;
  return bits < 0x80;
}
