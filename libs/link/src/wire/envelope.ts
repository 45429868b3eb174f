import { type BoundedError, GateError } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from './bytes.js';
import { type CastDigest, ROUND_CHANNELS, type RoundChannel } from './cast-rounds.js';
import type { Operation } from './operation.js';

/** What a sender has sent to a peer so far. */
export interface Mark {
  readonly bytes: number;
  readonly messages: number;
}

/** The answer to a mark: what the receiver has got of the sender up to there. */
export interface Acknowledgement extends Mark {
  /** Names the count: a receiver that has taken the sender for lost counts from 0 again, under another number. */
  readonly count: number;
  /** Messages received under this number. */
  readonly received: number;
}

/**
 * What travels in a link frame: a batch of messages.
 *
 *     batch    = u8 version · u32 sequence · f64 sent at (ms) · message…
 *     message  = u32 length of what follows · u8 kind · …
 *     request  = u16 operation · key · u32 time left (ms) · arguments
 *     response = u16 operation · key · u8 status · result, or code · message · details as JSON ('' when there are none)
 *     key      = u32 series · u32 generation (0: no answer) · u32 slot
 *     mark     = f64 bytes · f64 messages that the sender has sent to this peer so far
 *     taken    = the mark that the receiver has come to · u32 count · f64 messages received under this count
 *     missed   = u32 first · u32 last: the batches of the receiver with these numbers have not come
 *     cast     = u32 round · u32 channel index · u32 messages cast to this channel in this round before
 *     digest   = u32 round · f64 its age (ms) · f64 messages cast before it · f64 and up to its end
 *                · u32 channels · per channel: f64 key · u32 messages
 *     counted  = f64 messages cast before the digest's round · f64 and up to its end · u32 missing on the receiver
 *
 * A batch to a channel begins with `cast`.
 *
 * Numbers are little-endian. A receiver skips kinds it does not know, so that a newer neighbour can send them.
 */
export const ENVELOPE_VERSION = 2;
export const BATCH_HEADER_BYTES = 13;

/** Where a batch's sequence stands: it is known when the batch leaves, which may be later than when it began. */
const SEQUENCE_AT = 1;
/** The sequence of a batch that goes to a channel: each gate sees only those of the channels that it has joined. */
export const UNNUMBERED = 0;
const MAX_U32 = 2 ** 32 - 1;
/** Longest answer in bytes, so that a batch with it still fits into a frame of any driver. */
const MAX_RESULT_BYTES = 8 * 1024 * 1024;

export const MessageKind = Object.freeze({
  request: 1,
  response: 2,
  mark: 3,
  taken: 4,
  missed: 5,
  cast: 6,
  digest: 7,
  counted: 8,
} as const);
export const Status = Object.freeze({ ok: 0, error: 1 } as const);

/** Names a request, so that its answer finds it: see `RequestTable`. The receiver gives it back as it came. */
export interface RequestKey {
  readonly series: number;
  /** 0 when no answer is wanted. */
  readonly generation: number;
  readonly slot: number;
}

/** The key of what nobody waits for. */
export const NO_ANSWER: RequestKey = Object.freeze({ series: 0, generation: 0, slot: 0 });

export interface BatchHeader {
  readonly sequence: number;
  readonly sentAt: number;
}

export function writeBatchHeader(writer: ByteWriter, sentAt: number): void {
  writer.u8(ENVELOPE_VERSION);
  writer.u32(UNNUMBERED);
  writer.f64(sentAt);
}

/** Numbers a finished batch, or its first part. */
export function numberBatch(frame: Buffer, sequence: number): void {
  frame.writeUInt32LE(sequence, SEQUENCE_AT);
}

/** @throws {GateError} `LINK_CORRUPT` for a batch of another major version, or none at all. */
export function readBatchHeader(reader: ByteReader): BatchHeader {
  const version = reader.u8();
  if (version !== ENVELOPE_VERSION) throw new GateError('LINK_CORRUPT', `Unknown envelope version ${version}`);
  return { sequence: reader.u32(), sentAt: reader.f64() };
}

/** Writes a request. What throws leaves nothing behind: half a message would break the whole batch. */
export function writeRequest<A>(
  writer: ByteWriter,
  operation: Operation<A, unknown>,
  key: RequestKey,
  timeLeftMs: number,
  args: A,
): void {
  const start = beginMessage(writer, MessageKind.request);
  try {
    writer.u16(operation.id);
    writeKey(writer, key);
    writer.u32(Math.min(Math.max(0, timeLeftMs), MAX_U32));
    operation.args.write(writer, args);
  } catch (error) {
    writer.truncate(start);
    throw error;
  }
  endMessage(writer, start);
}

/**
 * Writes the answer to a request. What throws leaves nothing behind.
 * @throws {GateError} `LIMIT_EXCEEDED` for an answer that is too large for a frame.
 */
export function writeResult<R>(writer: ByteWriter, operation: Operation<unknown, R>, key: RequestKey, result: R): void {
  const start = beginMessage(writer, MessageKind.response);
  try {
    writer.u16(operation.id);
    writeKey(writer, key);
    writer.u8(Status.ok);
    operation.result.write(writer, result);
    assertAnswerSize(writer.bytesSince(start));
  } catch (error) {
    writer.truncate(start);
    throw error;
  }
  endMessage(writer, start);
}

/** @throws {GateError} `LIMIT_EXCEEDED` for an answer that is too large for a frame. */
export function assertAnswerSize(bytes: number): void {
  if (bytes > MAX_RESULT_BYTES) {
    throw new GateError('LIMIT_EXCEEDED', 'The answer is too large: ask for it page by page');
  }
}

/** Writes that a request for an operation has failed. */
export function writeFailure(writer: ByteWriter, operationId: number, key: RequestKey, error: BoundedError): void {
  const start = beginMessage(writer, MessageKind.response);
  writer.u16(operationId);
  writeKey(writer, key);
  writer.u8(Status.error);
  writer.str(error.code);
  writer.str(error.message);
  writer.str(error.details);
  endMessage(writer, start);
}

function writeKey(writer: ByteWriter, { series, generation, slot }: RequestKey): void {
  writer.u32x3(series, generation, slot);
}

/** Writes that batches of the receiver have not come. */
export function writeMissed(writer: ByteWriter, first: number, last: number): void {
  const start = beginMessage(writer, MessageKind.missed);
  writer.u32(first);
  writer.u32(last);
  endMessage(writer, start);
}

export function writeMark(writer: ByteWriter, { bytes, messages }: Mark): void {
  const start = beginMessage(writer, MessageKind.mark);
  writer.f64(bytes);
  writer.f64(messages);
  endMessage(writer, start);
}

export function readMark(reader: ByteReader): Mark {
  return { bytes: reader.f64(), messages: reader.f64() };
}

export function writeAcknowledgement(writer: ByteWriter, { bytes, messages, count, received }: Acknowledgement): void {
  const start = beginMessage(writer, MessageKind.taken);
  writer.f64(bytes);
  writer.f64(messages);
  writer.u32(count);
  writer.f64(received);
  endMessage(writer, start);
}

export function readAcknowledgement(reader: ByteReader): Acknowledgement {
  return { bytes: reader.f64(), messages: reader.f64(), count: reader.u32(), received: reader.f64() };
}

export function writeCast(writer: ByteWriter, round: number, { index, messages }: RoundChannel): void {
  const start = beginMessage(writer, MessageKind.cast);
  writer.u32(round);
  writer.u32(index);
  writer.u32(messages);
  endMessage(writer, start);
}

export function writeDigest(writer: ByteWriter, { round, ageMs, base, total, channels }: CastDigest): void {
  const start = beginMessage(writer, MessageKind.digest);
  writer.u32(round);
  writer.f64(ageMs);
  writer.f64(base);
  writer.f64(total);
  writer.u32(channels.length);
  for (const { key, messages } of channels) {
    writer.f64(key);
    writer.u32(messages);
  }
  endMessage(writer, start);
}

/** @throws {GateError} `LINK_CORRUPT` for a digest of more channels than a round has. */
export function readDigest(reader: ByteReader): CastDigest {
  const round = reader.u32();
  const ageMs = reader.f64();
  const base = reader.f64();
  const total = reader.f64();
  const count = reader.u32();
  if (count > ROUND_CHANNELS) throw new GateError('LINK_CORRUPT', 'A digest of too many channels');
  const channels = Array.from({ length: count }, () => ({ key: reader.f64(), messages: reader.u32() }));
  return { round, ageMs, base, total, channels };
}

/** The answer to a digest. */
export interface Counted extends Pick<CastDigest, 'base' | 'total'> {
  readonly missing: number;
}

export function writeCounted(writer: ByteWriter, { base, total, missing }: Counted): void {
  const start = beginMessage(writer, MessageKind.counted);
  writer.f64(base);
  writer.f64(total);
  writer.u32(missing);
  endMessage(writer, start);
}

export function readCounted(reader: ByteReader): Counted {
  return { base: reader.f64(), total: reader.f64(), missing: reader.u32() };
}

function beginMessage(writer: ByteWriter, kind: number): number {
  const start = writer.length;
  writer.u32(0);
  writer.u8(kind);
  return start;
}

function endMessage(writer: ByteWriter, start: number): void {
  writer.patchU32(start, writer.bytesSince(start) - 4);
}

export function readError(reader: ByteReader): GateError {
  const code = reader.str();
  const message = reader.str();
  const details = reader.str();
  try {
    return new GateError(code, message, readDetails(details));
  } catch {
    throw new GateError('LINK_CORRUPT', 'Malformed error details in a link frame');
  }
}

/** The details of an error from their text. @throws SyntaxError when it is no JSON. */
export function readDetails(details: string): unknown {
  return details === '' ? undefined : JSON.parse(details);
}
