import type { SplitFault } from '@nestgate/gate';
import { type FrameFault, FrameKind, isTopic } from '@nestgate/protocol';
import fc from 'fast-check';
import { randomBytes } from './fuzz-support.js';

/** Small, so that random lengths are on both sides of it. */
export const MAX_BYTES = 400;

export const u16 = (value: number): Buffer => Buffer.of(value & 0xff, (value >> 8) & 0xff);
const u32 = (value: number): Buffer => Buffer.concat([u16(value), u16(value >>> 16)]);

/** A topic and a body, as they stand in a pack or frame. */
export const parts = fc
  .tuple(fc.constantFrom('', 'a', 'a/b', 'echo/echo', 'a b', '*', 'é', 'x'.repeat(129)), randomBytes)
  .map(([topic, body]) => Buffer.concat([u16(Buffer.byteLength(topic)), Buffer.from(topic), body]));

const pack = parts.map(content => Buffer.concat([u16(content.length + 2), content]));

const frame = fc
  .tuple(fc.oneof(fc.nat(8), fc.integer({ min: 15, max: 24 })), fc.constantFrom(0, 1, 7, 2 ** 32 - 1), parts)
  .map(([kind, id, content]) => {
    const head = hasId(kind) ? Buffer.concat([Buffer.of(kind), u32(id)]) : Buffer.of(kind);
    return Buffer.concat([u32(head.length + content.length), head, content]);
  });

/** What became of a message: why it is none, or what it is. */
export type Outcome = FrameFault | readonly [what: string, id: number, topic: string, body: string];

export const latin1 = (bytes: Buffer): string => bytes.toString('latin1');

/** What a message is by the rules of the wire, written down a second time. `rest`: what stands behind its length. */
export function packOutcome(rest: Buffer): Outcome {
  return partsOutcome('message', 0, rest);
}

function partsOutcome(what: string, id: number, rest: Buffer): Outcome {
  if (rest.length < 2 || rest.length < 2 + rest.readUInt16LE(0)) return 'VIOLATION';
  const end = 2 + rest.readUInt16LE(0);
  const [topic, body] = [latin1(rest.subarray(2, end)), latin1(rest.subarray(end))];
  return [what, id, topic, body];
}

/** An empty pack is a heartbeat; every other one must have a topic. */
export function packMeaning(outcome: Outcome): Outcome {
  if (typeof outcome === 'string') return outcome;
  const [, , topic, body] = outcome;
  if (topic === '' && body === '') return ['ping', 0, '', ''];
  return isTopic(topic) ? outcome : 'BAD_TOPIC';
}

/** Those of a request or its answer, and all about streams and calls. */
function hasId(kind: number): boolean {
  return (kind >= 1 && kind <= 3) || (kind >= 16 && kind <= 22);
}

function isError(body: string): boolean {
  try {
    const { code, message } = JSON.parse(Buffer.from(body, 'latin1').toString()) as Record<string, unknown>;
    return typeof code === 'string' && typeof message === 'string';
  } catch {
    return false;
  }
}

function frameOutcome(rest: Buffer): Outcome {
  const kind = rest[0] as number;
  if (kind > 22 || (kind > 6 && kind < 18)) return 'BAD_FRAME';
  const isLong = hasId(kind);
  if (isLong && rest.length < 5) return 'VIOLATION';
  const id = isLong ? rest.readUInt32LE(1) : 0;
  const outcome = partsOutcome(kind === 19 ? 'stream' : 'message', id, rest.subarray(isLong ? 5 : 1));
  if (typeof outcome === 'string') return outcome;
  const [, , topic, body] = outcome;
  if (kind === FrameKind.ping || kind === FrameKind.pong) {
    return topic === '' ? [kind === FrameKind.ping ? 'ping' : 'pong', 0, '', body] : 'BAD_FRAME';
  }
  if (kind === 18 || kind >= 21) {
    if (id === 0 || topic !== '' || (kind === 22 && !isError(body))) return 'BAD_FRAME';
    return [kind === 18 ? 'cancel' : 'answer', id, '', body];
  }
  if (kind !== 0 && ((kind !== 1 && kind !== 19) || id === 0)) return 'BAD_FRAME';
  return isTopic(topic) ? outcome : 'BAD_TOPIC';
}

/** A codec, and its rules. */
export interface Layout {
  readonly codec: 'pack' | 'frame';
  readonly lengthBytes: 2 | 4;
  readonly message: fc.Arbitrary<Buffer>;
  readonly outcomeOf: (rest: Buffer) => Outcome;
}

export const LAYOUTS: readonly Layout[] = [
  {
    codec: 'pack',
    lengthBytes: 2,
    message: pack,
    outcomeOf: rest => packMeaning(packOutcome(rest)),
  },
  { codec: 'frame', lengthBytes: 4, message: frame, outcomeOf: frameOutcome },
];

/** The messages of a stream, and how it ends, by the rules of the wire. */
export function streamOutcome(stream: Buffer, { lengthBytes, outcomeOf }: Layout): (Outcome | SplitFault)[] {
  const outcomes: (Outcome | SplitFault)[] = [];
  for (let at = 0; at + lengthBytes <= stream.length;) {
    const size = lengthBytes === 2 ? stream.readUInt16LE(at) : stream.readUInt32LE(at) + 4;
    if (size <= lengthBytes) return [...outcomes, 'too-small'];
    if (size > MAX_BYTES) return [...outcomes, 'too-large'];
    if (at + size > stream.length) break;
    outcomes.push(outcomeOf(stream.subarray(at + lengthBytes, at + size)));
    at += size;
  }
  return outcomes;
}
