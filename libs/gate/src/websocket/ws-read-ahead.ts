import { Buffer, isUtf8 } from 'node:buffer';
import type { WebSocket } from 'ws';
import { WS_BINARY, WS_TEXT } from '../codec/ws-frame.js';
import {
  isBetweenFrames,
  isFamiliar,
  maxPayloadOf,
  passToWs,
  type Receiver as WsReceiver,
  receiverOf as wsReceiverOf,
  refuseLongLengths,
} from '../internals/ws.js';
import { unmask, Unmasker } from './unmask.js';

/** Receives the frames. */
export interface FrameSink {
  onFrame(data: Buffer): void;
  /** Called with an exception of {@link onFrame}: the rest of the chunk is lost, and the connection ends. */
  onDefect(error: unknown, where: string): void;
}

const SINK = Symbol('frame sink');
const PARTIAL = Symbol('partial frame');

/** The receiver of `ws`, with the state of reading ahead. */
interface Receiver extends WsReceiver {
  [SINK]?: FrameSink;
  /** The plain frame that is not complete. `ws` has not seen any of it. */
  [PARTIAL]?: PartialFrame | undefined;
}

/** The beginning of a plain frame, its header included. */
interface PartialFrame {
  bytes: Buffer;
  filled: number;
  /** Size of the whole frame; 0 while its header is not complete. */
  size: number;
}

const MASKED = 0x80;
const MASK_BYTES = 4;
/** Values of the 7-bit length that mean that an extended length follows. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** Opcodes with the FIN bit. */
const PING = 0x89;
const PONG = 0x8a;
const MAX_HEADER_BYTES = 14;
const NOTHING = Buffer.alloc(0);
/**
 * The buffer for a partial frame has the size of the frame, but at most this many times the received bytes. Most frames therefore get
 * their whole buffer at once and are copied once. A client that announces a large frame and sends little uses little memory.
 */
const ROOM_FACTOR = 4;
const MIN_ROOM_BYTES = 256;
/**
 * Decodes plain data frames before `ws` sees them: unfragmented, masked and within the size limit, while `ws` is between two frames. A
 * frame that is spread over several chunks is assembled here, with one copy. Everything else (control frames, fragments and violations)
 * is passed to `ws` unchanged; `ws` remains the authority on the protocol. Most frames are plain and bypass the stream and the events of
 * `ws`.
 *
 * `isBinary`: whether to decode binary frames, else text. If the private parts of `ws` are not as expected, nothing is read ahead.
 */
export function readAhead(ws: WebSocket, isBinary: boolean, sink: FrameSink): void {
  const receiver = receiverOf(ws);
  if (!receiver || !isFamiliar(receiver)) return;
  receiver[SINK] = sink;
  receiver[PARTIAL] = undefined;
  receiver.write = isBinary ? writeBinary : writeText;
  // A frame whose length is not in its shortest form is not read ahead but passed to `ws`, which must refuse it.
  refuseLongLengths(receiver);
}

/**
 * Reads ahead in a shared buffer. Returns the number of bytes that were read; the rest is for `ws`. Returns 0 without
 * {@link readAhead}.
 */
export function readBuffer(ws: WebSocket, buffer: Buffer, size: number): number {
  const receiver = receiverOf(ws);
  const sink = receiver?.[SINK];
  // The receiver has ended with the close frame of the client: later data is not read.
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
  return wsReceiverOf(ws);
}

// Shared functions instead of closures, because there is one receiver per client.
const writeText = writeAhead(WS_TEXT);
const writeBinary = writeAhead(WS_BINARY);

/** The replacement for `write` of a receiver. */
function writeAhead(opcode: number): Receiver['write'] {
  return function (this: Receiver, chunk: Buffer): boolean {
    const sink = this[SINK] as FrameSink;
    try {
      const at = readPlain(this, chunk, chunk.length, opcode, sink);
      return at === chunk.length || passToWs(this, at === 0 ? chunk : chunk.subarray(at));
    } catch (error) {
      // Called by the socket, once for each chunk.
      sink.onDefect(error, 'ws.read');
      return true;
    }
  };
}

/**
 * Reads plain frames, and keeps the start of an incomplete last one. Nothing refers to the input afterwards. Returns the number of bytes
 * that were read; the rest is for `ws`.
 */
function readPlain(receiver: Receiver, from: Buffer, size: number, opcode: number, sink: FrameSink): number {
  const partial = receiver[PARTIAL];
  let at = partial ? resume(receiver, partial, from, size, opcode, sink) : 0;
  while (at < size && isBetweenFrames(receiver)) {
    at = readFrames(from, at, size, opcode, maxPayloadOf(receiver), sink);
    if (at === size || begin(receiver, from, at, size, opcode)) return size;
    const end = probeEnd(from, at, size);
    if (end < 0) break;
    // Passed to `ws` separately, so that `ws` is between two frames again afterwards, and not within the last frame of the chunk.
    passToWs(receiver, Buffer.from(from.subarray(at, end)));
    at = end;
  }
  return at;
}

/** Shared by all connections, like the pool of Node. */
const unmasker = new Unmasker();

/** Emits copies of the complete plain frames from `start` on. Returns the offset of the first other frame. */
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
    const data = unmasker.unmask(from, payload - MASK_BYTES, end - payload);
    // `ws` finds out by itself what is wrong.
    if (!isText(data, unmasker.isAscii, opcode)) break;
    sink.onFrame(data);
    at = end;
  }
  return at;
}

/** Whether a frame may have this content: text must be valid UTF-8. */
function isText(data: Buffer, isAscii: boolean, opcode: number): boolean {
  return opcode !== WS_TEXT || isAscii || isUtf8(data);
}

/**
 * The size of the plain frame at `at`, including its header. The bytes up to `end` are available. 0 when the header is incomplete, -1
 * for any other frame.
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

/** The end of a complete ping or pong at `at`; -1 for everything else. */
function probeEnd(chunk: Buffer, at: number, size: number): number {
  if (chunk[at] !== PING && chunk[at] !== PONG) return -1;
  if (size - at < 2 + MASK_BYTES) return -1;
  const length = (chunk[at + 1] as number) - MASKED;
  const end = at + 2 + MASK_BYTES + length;
  return length >= 0 && length < LENGTH_16 && end <= size ? end : -1;
}

/** Keeps the start of the incomplete plain frame at `at`; false for any other frame. */
function begin(receiver: Receiver, chunk: Buffer, at: number, end: number, opcode: number): boolean {
  const size = plainSize(chunk, at, end, opcode, maxPayloadOf(receiver));
  // A complete frame that was not read is not valid UTF-8.
  if (size < 0 || (size > 0 && size <= end - at)) return false;
  const partial: PartialFrame = { bytes: NOTHING, filled: 0, size };
  keep(partial, chunk, at, end);
  receiver[PARTIAL] = partial;
  return true;
}

/** Continues a frame that started in an earlier chunk. Returns the offset of the rest of this chunk. */
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
    partial.size = plainSize(partial.bytes, 0, partial.filled, opcode, maxPayloadOf(receiver));
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
    passToWs(receiver, bytes.subarray(0, filled));
    return at;
  }
  const payload = headerBytes(bytes, 0);
  const data = bytes.subarray(payload, size);
  if (isText(data, unmask(data, bytes, payload - MASK_BYTES), opcode)) {
    sink.onFrame(data);
  } else {
    // Masked again, it is what has arrived: `ws` finds out by itself.
    unmask(data, bytes, payload - MASK_BYTES);
    passToWs(receiver, bytes);
  }
  return at;
}

function keep(partial: PartialFrame, chunk: Buffer, start: number, end: number): void {
  const { bytes, filled, size } = partial;
  const needed = filled + end - start;
  if (bytes.length < needed) {
    const most = size > 0 ? size : MAX_HEADER_BYTES;
    // Not from the shared pool: the frame would retain 8 KiB of it.
    partial.bytes = Buffer.allocUnsafeSlow(Math.min(most, Math.max(MIN_ROOM_BYTES, needed * ROOM_FACTOR)));
    bytes.copy(partial.bytes, 0, 0, filled);
  }
  chunk.copy(partial.bytes, filled, start, end);
  partial.filled = needed;
}
