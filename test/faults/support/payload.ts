import { crc32 } from 'node:zlib';

/** Which way a stream flows: what a client asks and gets back, or what is pushed to it. */
export type Direction = 'ask' | 'push';

/** Names a stream: the messages of one kind that one session sends in one run. */
export interface StreamName {
  readonly run: string;
  readonly session: string;
  readonly dir: Direction;
}

/** What every message of the fault tests carries, so that a receiver can identify and verify it. */
export interface Payload extends StreamName {
  /** Counts from 1. */
  readonly seq: number;
  /** Filler, different in each message: bytes of another message in its place would be noticed. */
  readonly pad: string;
  readonly crc: number;
}

/** Length of the filler in characters. */
const PAD_LENGTH = 48;

export function makePayload(stream: StreamName, seq: number): Payload {
  const pad = `${stream.session}:${seq};`.repeat(PAD_LENGTH).slice(0, PAD_LENGTH);
  const payload = { ...stream, seq, pad };
  return { ...payload, crc: checksum(payload) };
}

/** Whether a value is a payload that nothing has changed on its way. */
export function isIntact(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null) return false;
  const payload = value as Payload;
  return Number.isInteger(payload.seq) && payload.crc === checksum(payload);
}

export function belongsTo(payload: Payload, { run, session, dir }: StreamName): boolean {
  return payload.run === run && payload.session === session && payload.dir === dir;
}

function checksum({ run, session, dir, seq, pad }: Omit<Payload, 'crc'>): number {
  return crc32(JSON.stringify([run, session, dir, seq, pad]));
}
