import { createHash } from 'node:crypto';
import type { SessionTransfer, TailGap } from '@nestgate/link/internal';

/** The layout of the file. A file with another one is refused. */
const VERSION = 1;
const MAGIC = Buffer.from('nestgate sessions\n');
const HASH_BYTES = 32;
/** Type and length of a record. */
const HEAD_BYTES = 5;
const RECORD = { head: 1, frame: 2, session: 3, ended: 4 } as const;

/** A session as it is in a file. */
export interface SpooledSession {
  /** How the client's frames look: codec and network. */
  readonly wire: string;
  readonly transfer: SessionTransfer;
  /** The frames that the client has not acknowledged, in order, and those that are lost between them. */
  readonly items: readonly (Uint8Array | TailGap)[];
}

/** How a session has ended that is remembered: its tickets get this answer. */
export interface SpooledEnd {
  readonly clientId: string;
  readonly generation: number;
  readonly confirmed: number;
  /** What its tickets are made with, as base64. */
  readonly key: string;
  readonly closeCode?: number | undefined;
  readonly agoMs: number;
}

/** What a gate leaves behind for its next start. */
export interface Spool {
  /** Whose it is. */
  readonly owner: string;
  /** When it was written, in milliseconds since the epoch. */
  readonly writtenAt: number;
  readonly sessions: readonly SpooledSession[];
  readonly ended: readonly SpooledEnd[];
}

/** Why a file cannot be used. */
export type SpoolFault = 'torn' | 'version' | 'foreign';

/** A file that cannot be used. */
export class SpoolError extends Error {
  constructor(readonly fault: SpoolFault) {
    super(fault);
  }
}

/**
 * Makes the parts of a file. A frame that several sessions have is there once. Sessions that would make the file larger than `maxBytes`
 * are left out, and so are all that follow; `written` says how many are in it.
 */
export function encodeSpool(
  spool: Spool,
  maxBytes: number,
): { readonly parts: Uint8Array[]; readonly written: number } {
  const parts: Uint8Array[] = [MAGIC];
  const frames = new Map<Uint8Array, number>();
  let size = MAGIC.length + HASH_BYTES;
  let written = 0;
  const add = (type: number, body: Uint8Array): void => {
    const head = Buffer.alloc(HEAD_BYTES);
    head[0] = type;
    head.writeUInt32LE(body.length, 1);
    parts.push(head, body);
    size += HEAD_BYTES + body.length;
  };
  const { owner, writtenAt, ended, sessions } = spool;
  add(RECORD.head, json({ v: VERSION, owner, writtenAt }));
  for (const each of ended) add(RECORD.ended, json(each));
  for (const { wire, transfer, items } of sessions) {
    const fresh = new Set<Uint8Array>();
    for (const item of items) if (item instanceof Uint8Array && !frames.has(item)) fresh.add(item);
    let next = frames.size;
    const numbers = new Map(Array.from(fresh, frame => [frame, next++]));
    const body = json({
      wire,
      transfer,
      items: items.map(item => (item instanceof Uint8Array ? (frames.get(item) ?? numbers.get(item)) : item)),
    });
    let room = maxBytes - size - HEAD_BYTES - body.length;
    for (const { length } of fresh) room -= HEAD_BYTES + length;
    if (room < 0) break;
    for (const [frame, number] of numbers) {
      frames.set(frame, number);
      add(RECORD.frame, frame);
    }
    add(RECORD.session, body);
    written++;
  }
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  parts.push(hash.digest());
  return { parts, written };
}

/** Reads a file. @throws {SpoolError} for one that is not whole, has another layout, or is of another owner. */
export function decodeSpool(data: Buffer, owner: string): Spool {
  const end = data.length - HASH_BYTES;
  if (end < MAGIC.length || !data.subarray(0, MAGIC.length).equals(MAGIC)) throw new SpoolError('torn');
  const hash = createHash('sha256').update(data.subarray(0, end)).digest();
  if (!hash.equals(data.subarray(end))) throw new SpoolError('torn');
  const frames: Buffer[] = [];
  const sessions: SpooledSession[] = [];
  const ended: SpooledEnd[] = [];
  let writtenAt: number | undefined;
  for (let at = MAGIC.length; at < end;) {
    const body = recordAt(data, at, end);
    const type = data[at];
    at += HEAD_BYTES + body.length;
    // A copy: a frame that is kept must not keep the whole file.
    if (type === RECORD.frame) frames.push(Buffer.from(body));
    else if (type === RECORD.session) sessions.push(sessionOf(parse(body), frames));
    else if (type === RECORD.ended) ended.push(parse(body) as SpooledEnd);
    else if (type === RECORD.head) writtenAt = readHead(parse(body), owner);
    else throw new SpoolError('version');
  }
  if (writtenAt === undefined) throw new SpoolError('torn');
  return { owner, writtenAt, sessions, ended };
}

function recordAt(data: Buffer, at: number, end: number): Buffer {
  if (at + HEAD_BYTES > end) throw new SpoolError('torn');
  const length = data.readUInt32LE(at + 1);
  if (at + HEAD_BYTES + length > end) throw new SpoolError('torn');
  return data.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
}

function readHead(value: unknown, owner: string): number {
  const { v, owner: named, writtenAt } = (value ?? {}) as Record<string, unknown>;
  if (v !== VERSION) throw new SpoolError('version');
  if (named !== owner) throw new SpoolError('foreign');
  if (typeof writtenAt !== 'number') throw new SpoolError('torn');
  return writtenAt;
}

function sessionOf(value: unknown, frames: readonly Buffer[]): SpooledSession {
  const { wire, transfer, items } = (value ?? {}) as Partial<Record<keyof SpooledSession, unknown>>;
  if (typeof wire !== 'string' || typeof transfer !== 'object' || !Array.isArray(items)) throw new SpoolError('torn');
  return { wire, transfer: transfer as SessionTransfer, items: items.map((item: unknown) => itemOf(item, frames)) };
}

function itemOf(item: unknown, frames: readonly Buffer[]): Uint8Array | TailGap {
  const frame = typeof item === 'number' ? frames[item] : (item as TailGap);
  if (!frame) throw new SpoolError('torn');
  return frame;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new SpoolError('torn');
  }
}
