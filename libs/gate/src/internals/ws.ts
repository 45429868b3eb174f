/**
 * The private parts of `ws` that the gate uses, here and nowhere else. `docs/architecture.md` lists them, with what happens when one
 * is missing.
 */
import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import { CLOSE } from '@nestgate/protocol';
import * as ws from 'ws';

/** The oldest `ws` whose server bounds fragments and pongs that a client does not read. */
const WANTED: readonly [major: number, minor: number] = [8, 23];

/**
 * Checks the version of the `ws` that this package resolves. `@nestjs/platform-ws` pins an older one for itself, and an
 * `overrides` entry of the application can put that one here too.
 * @throws {Error} naming the version that was found and the one that is wanted.
 */
export function assertWsVersion(found: string | undefined = wsVersion()): void {
  const [major = 0, minor = 0] = (found ?? '').split('.').map(Number);
  if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) return;
  throw new Error(
    `@nestgate/gate needs ws >= ${WANTED.join('.')}.0, and found ${found ?? 'none'}. Older versions let a client that does ` +
      'not read grow the memory of the gate. Remove what pins ws (overrides, resolutions), or install a newer one',
  );
}

/** The version of the `ws` that this package resolves. */
export function wsVersion(): string | undefined {
  try {
    const { version } = createRequire(import.meta.url)('ws/package.json') as { version: string };
    return version;
  } catch {
    return undefined;
  }
}

type ErrorCallback = (error: Error) => void;

/** What is used of the receiver of a `WebSocket`, which has no types of its own. */
export interface Receiver {
  write: (this: Receiver, chunk: Buffer) => boolean;
  readonly writableLength: number;
  readonly writableEnded: boolean;
  /** 0: it waits for the head of a frame. */
  readonly _state: number;
  readonly _bufferedBytes: number;
  /** The chunks of a frame that is not complete. */
  readonly _buffers: Buffer[];
  /** The opcode of a message whose first fragments it has; 0 when there is none. */
  readonly _fragmented: number;
  readonly _maxPayload: number;
  readonly _errored: boolean;
  readonly _payloadLength: number;
  /** Called with the length of a frame, before the state changes. */
  haveLength?: (this: Receiver, callback: ErrorCallback) => void;
  createError?: (type: typeof RangeError, message: string, prefix: boolean, code: number, name: string) => Error;
}

/** Chunks of an incomplete frame that may be kept as they have come. */
const MAX_CHUNKS = 64;
/** Larger ones cost little beside their bytes. */
const SMALL_CHUNK = 1024;
/** The states of a receiver that has read a length in 16, or 64, bits, and the least that has to be written so. */
const LEAST_LENGTH: Readonly<Record<number, number>> = { 1: 126, 2: 65_536 };

/** What a receiver does with a chunk: it has no method of its own for it. */
const write = Reflect.get(Writable.prototype, 'write') as Receiver['write'];

/** The receiver of a connection. */
export function receiverOf(socket: ws.WebSocket): Receiver | undefined {
  return (socket as ws.WebSocket & { readonly _receiver?: Receiver })._receiver;
}

/** Whether a receiver has the parts that {@link Receiver} says, and nothing stands in for its `write`. */
export function isFamiliar(receiver: Receiver): boolean {
  return receiverFault(receiver) === undefined;
}

/** Whether a receiver waits for a new frame, and holds nothing. */
export function isBetweenFrames(receiver: Receiver): boolean {
  const { _state, _bufferedBytes, _fragmented, _errored, writableLength } = receiver;
  return _state === 0 && _bufferedBytes === 0 && _fragmented === 0 && !_errored && writableLength === 0;
}

/** The longest payload that a receiver takes, in bytes. */
export function maxPayloadOf(receiver: Receiver): number {
  return receiver._maxPayload;
}

/** Hands a chunk to `ws`, unchanged. */
export function passToWs(receiver: Receiver, chunk: Buffer): boolean {
  const goesOn = write.call(receiver, chunk);
  const chunks = receiver._buffers;
  if (chunks.length >= MAX_CHUNKS && chunk.length < SMALL_CHUNK) joinChunks(chunks);
  return goesOn;
}

/** A frame that comes byte by byte would cost some hundred bytes for each of them, as a chunk of its own. */
function joinChunks(chunks: Buffer[]): void {
  chunks.splice(0, chunks.length, Buffer.concat(chunks));
}

/** Has a receiver refuse a length that is written longer than needed, which RFC 6455 (5.2) forbids and `ws` accepts. */
export function refuseLongLengths(receiver: Receiver): void {
  if (hasLengthHook(receiver)) receiver.haveLength = checkLength;
}

function hasLengthHook({ haveLength, createError }: Receiver): boolean {
  return typeof haveLength === 'function' && typeof createError === 'function';
}

// One function for all receivers.
function checkLength(this: Receiver, callback: ErrorCallback): void {
  const least = LEAST_LENGTH[this._state];
  if (least !== undefined && this._payloadLength < least && this.createError) {
    const message = `the payload length ${this._payloadLength} is not in its shortest form`;
    callback(this.createError(RangeError, message, true, CLOSE.protocolError.code, 'WS_ERR_INVALID_PAYLOAD_LENGTH'));
    return;
  }
  // The method of its class, which this one hides.
  const { haveLength } = Object.getPrototypeOf(this) as Receiver;
  haveLength?.call(this, callback);
}

// It runs for each connection: a table of the parts and a loop over it would allocate 850 bytes.
function receiverFault(receiver: Receiver): string | undefined {
  if (receiver.write !== write) return 'Receiver has a write of its own';
  if (!Array.isArray(receiver._buffers)) return 'Receiver._buffers is not an array';
  if (typeof receiver._state !== 'number') return 'Receiver._state is not a number';
  if (typeof receiver._bufferedBytes !== 'number') return 'Receiver._bufferedBytes is not a number';
  if (typeof receiver._fragmented !== 'number') return 'Receiver._fragmented is not a number';
  if (typeof receiver._errored !== 'boolean') return 'Receiver._errored is not a boolean';
  if (typeof receiver.writableLength !== 'number') return 'Receiver.writableLength is not a number';
  if (typeof receiver._maxPayload !== 'number') return 'Receiver._maxPayload is not a number';
  return receiver._maxPayload > 0 ? undefined : 'Receiver._maxPayload is not positive';
}

/** What does not work with the `ws` that is installed, each with the part that is missing. Empty when all parts are as expected. */
export function wsFaults(): string[] {
  // As the server of `ws` makes it.
  const socket = Reflect.construct(ws.WebSocket, [null, undefined, {}]) as object;
  if (!('_receiver' in socket)) return [noReadAhead('WebSocket._receiver is missing')];
  const { Receiver: Class } = ws as { readonly Receiver?: new (options: object) => Receiver };
  if (!Class) return [noReadAhead('Receiver is not exported')];
  const receiver = new Class({ isServer: true, maxPayload: 1 });
  const fault = receiverFault(receiver);
  if (fault !== undefined) return [noReadAhead(fault)];
  return hasLengthHook(receiver)
    ? []
    : ['Receiver.haveLength or createError is missing: lengths that are not in their shortest form are accepted'];
}

function noReadAhead(fault: string): string {
  return `${fault}: frames are read through the events of ws, which is slower`;
}
