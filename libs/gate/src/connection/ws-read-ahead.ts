import { isUtf8 } from 'node:buffer';
import { Writable } from 'node:stream';
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
  /** 0: it waits for the head of a frame. */
  readonly _state: unknown;
  readonly _bufferedBytes: unknown;
  /** The chunks of a frame that is not complete. */
  readonly _buffers: unknown;
  /** The opcode of a message whose first fragments it has; 0 when there is none. */
  readonly _fragmented: unknown;
  readonly _maxPayload: unknown;
  readonly _errored: unknown;
}

/** Chunks of an incomplete frame that may be kept as they have come. */
const MAX_CHUNKS = 64;
/** Larger ones cost little beside their bytes. */
const SMALL_CHUNK = 1024;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Lengths in the second byte of a frame that mean a longer one follows. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/**
 * Reads whole data frames ahead of `ws`: those that lie in one chunk, unfragmented, masked and within the limit, while `ws`
 * itself stands between two frames. All else (control frames, fragments, what is split over chunks, and everything that is
 * wrong) goes the way it always goes, byte for byte, so that `ws` has the say about the protocol. Most frames are of the
 * plain kind, and go without its stream and its events this way.
 *
 * `isBinary`: whether to read binary frames, else text. With a `ws` that looks different inside nothing is read ahead.
 */
export function readAhead(ws: WebSocket, isBinary: boolean, sink: FrameSink): void {
  const receiver = (ws as unknown as { _receiver?: Receiver })._receiver;
  if (!receiver || !isFamiliar(receiver)) return;
  receiver[SINK] = sink;
  receiver.write = isBinary ? writeBinary : writeText;
}

// Not closures: there is one receiver for each client.
const writeText = writeAhead(WS_TEXT);
const writeBinary = writeAhead(WS_BINARY);

/** What stands in for the `write` of a receiver. */
function writeAhead(opcode: number): Receiver['write'] {
  return function (this: Receiver, chunk: Buffer): boolean {
    const sink = this[SINK] as FrameSink;
    try {
      const at = isBetweenFrames(this) ? readFrames(chunk, opcode, this._maxPayload as number, sink) : 0;
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

/** Hands over the plain frames that a chunk begins with; returns where the first other one begins. */
function readFrames(chunk: Buffer, opcode: number, maxPayload: number, sink: FrameSink): number {
  let at = 0;
  while (chunk.length - at >= 2 + MASK_BYTES) {
    const second = chunk[at + 1] as number;
    let length = second - MASKED;
    let mask = at + 2;
    if (chunk[at] !== opcode || length < 0 || length === LENGTH_64) break;
    if (length === LENGTH_16) {
      length = ((chunk[at + 2] as number) << 8) | (chunk[at + 3] as number);
      mask = at + 4;
    }
    const start = mask + MASK_BYTES;
    const end = start + length;
    if (end > chunk.length || length > maxPayload) break;
    const isAscii = unmask(chunk, mask, start, end);
    const data = chunk.subarray(start, end);
    if (opcode === WS_TEXT && !isAscii && !isUtf8(data)) {
      // Masked again, it is what has arrived: `ws` finds out by itself.
      unmask(chunk, mask, start, end);
      break;
    }
    sink.onFrame(data);
    at = end;
  }
  return at;
}

/** Takes the mask off in place; true when what is left is ASCII. */
function unmask(chunk: Buffer, mask: number, start: number, end: number): boolean {
  const a = chunk[mask] as number;
  const b = chunk[mask + 1] as number;
  const c = chunk[mask + 2] as number;
  const d = chunk[mask + 3] as number;
  let bits = 0;
  let i = start;
  for (const whole = end - 3; i < whole; i += 4) {
    bits |= chunk[i] = (chunk[i] as number) ^ a;
    bits |= chunk[i + 1] = (chunk[i + 1] as number) ^ b;
    bits |= chunk[i + 2] = (chunk[i + 2] as number) ^ c;
    bits |= chunk[i + 3] = (chunk[i + 3] as number) ^ d;
  }
  if (i < end) bits |= chunk[i] = (chunk[i] as number) ^ a;
  if (i + 1 < end) bits |= chunk[i + 1] = (chunk[i + 1] as number) ^ b;
  if (i + 2 < end) bits |= chunk[i + 2] = (chunk[i + 2] as number) ^ c;
  return bits < 0x80;
}
