import { Buffer } from 'node:buffer';
import { copyBytes, GateError, type Lease, readU32, unitAt, writeU32 } from '@nestgate/protocol';

/** Size of a fresh buffer; most batches of a loop turn fit. */
const INITIAL_BYTES = 1024;
/** From this size on content stands in buffers of its own, so that the growing one is never copied with it. */
const LARGE_BYTES = 4096;
/**
 * Bytes that are at least this part of the memory they stand in are referred to. Smaller ones are copied: what waits would keep
 * much more memory than it counts.
 */
const MIN_SHARE = 1 / 4;
/** Texts up to this length are written and compared unit by unit. */
const SHORT_TEXT = 24;
/**
 * A writer remembers how large its last batch was up to this size: a full batch with large messages more. Batches of many
 * messages would otherwise grow by doubling, which leaves behind three times their size in buffers that only a later
 * collection frees. Nothing is kept between batches.
 */
const MAX_REMEMBERED_BYTES = 384 * 1024;

const QUOTE = 0x22;

/** A number that is written or read, as two halves; which half is the low one depends on the machine. */
const NUMBER = new Float64Array(1);
const HALVES = new Uint32Array(NUMBER.buffer);
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

/** Large content, and where it stands: before this byte of the writer's own buffer. */
interface Insert {
  readonly at: number;
  readonly content: Buffer;
}

/**
 * Appends little-endian numbers, strings and bytes to a growing buffer. Byte by byte: V8 does not inline the methods that
 * `Buffer` has for that, which cost three times as much. Large content is kept beside that buffer, and put in its place when
 * the batch is taken.
 */
export class ByteWriter {
  private buffer: Buffer = Buffer.allocUnsafe(0);
  private nextSize = INITIAL_BYTES;
  /** How far the writer's own buffer is filled. A position for {@link patchU32}, {@link truncate} and {@link bytesSince}. */
  length = 0;
  private inserts: Insert[] | undefined = undefined;
  private inserted = 0;

  /** Bytes written so far, large content included. */
  get size(): number {
    return this.length + this.inserted;
  }

  /** Bytes written since the writer stood at `start`, large content included. */
  bytesSince(start: number): number {
    let bytes = this.length - start;
    if (this.inserts) {
      for (let i = this.inserts.length - 1; i >= 0; i--) {
        const { at, content } = this.inserts[i] as Insert;
        // Content at `start` itself belongs to what was written before: each message begins with its length.
        if (at <= start) break;
        bytes += content.length;
      }
    }
    return bytes;
  }

  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.buffer[this.length++] = value;
    this.buffer[this.length++] = value >>> 8;
  }

  u32(value: number): void {
    this.reserve(4);
    this.length = writeU32(this.buffer, this.length, value);
  }

  /** Three u32, for which room is made once. */
  u32x3(one: number, two: number, three: number): void {
    this.reserve(12);
    const { buffer } = this;
    this.length = writeU32(buffer, writeU32(buffer, writeU32(buffer, this.length, one), two), three);
  }

  f64(value: number): void {
    this.reserve(8);
    NUMBER[0] = value;
    const { buffer } = this;
    const next = writeU32(buffer, this.length, HALVES[LOW] as number);
    this.length = writeU32(buffer, next, HALVES[HIGH] as number);
  }

  /** A string as u32 byte length and UTF-8. */
  str(value: string): void {
    const { length } = value;
    if (length >= LARGE_BYTES) {
      this.insert(encoded(value));
      return;
    }
    this.reserve(4 + length * 3);
    if (length <= SHORT_TEXT && this.ascii(value)) return;
    const written = this.buffer.write(value, this.length + 4, 'utf8');
    writeU32(this.buffer, this.length, written);
    this.length += 4 + written;
  }

  /** A text of ASCII between quotes, as u32 byte length and bytes. */
  quoted(value: string): void {
    const size = value.length + 2;
    if (size >= LARGE_BYTES) {
      const content = Buffer.allocUnsafe(size);
      writeQuoted(value, content, 0);
      this.insert(content);
      return;
    }
    this.reserve(4 + size);
    this.length = writeQuoted(value, this.buffer, writeU32(this.buffer, this.length, size));
  }

  /** Writes a short text of ASCII, for which the call into the engine costs more than the text; false for any other. */
  private ascii(value: string): boolean {
    const { buffer } = this;
    const { length } = value;
    const start = this.length + 4;
    for (let i = 0; i < length; i++) {
      const unit = unitAt(value, i);
      if (unit > 0x7f) return false;
      buffer[start + i] = unit;
    }
    writeU32(buffer, this.length, length);
    this.length = start + length;
    return true;
  }

  /** Bytes as u32 length and content. They may change afterwards. */
  bytes(value: Uint8Array): void {
    if (value.length >= LARGE_BYTES) {
      this.insert(Buffer.from(value));
      return;
    }
    this.reserve(4 + value.length);
    this.length = writeU32(this.buffer, this.length, value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  /** A part of some bytes that never change, as u32 length and content. */
  part(source: Uint8Array, start: number, end: number): void {
    const { buffer, byteOffset } = source;
    if (end - start >= LARGE_BYTES && end - start >= buffer.byteLength * MIN_SHARE) {
      this.insert(Buffer.from(buffer, byteOffset + start, end - start));
      return;
    }
    this.reserve(4 + end - start);
    this.length = copyBytes(source, start, end, this.buffer, writeU32(this.buffer, this.length, end - start));
  }

  private insert(content: Buffer): void {
    this.u32(content.length);
    (this.inserts ??= []).push({ at: this.length, content });
    this.inserted += content.length;
  }

  /** Overwrites the u32 at `at`, a position that was written before. */
  patchU32(at: number, value: number): void {
    writeU32(this.buffer, at, value);
  }

  /** Forgets what was written after `length`: used when an encoder throws half way. */
  truncate(length: number): void {
    this.length = length;
    while (this.inserts && (this.inserts.at(-1)?.at ?? 0) > length) {
      this.inserted -= (this.inserts.pop() as Insert).content.length;
    }
  }

  /** Hands over what was written and begins the next batch. The returned buffer is the receiver's: it is never reused. */
  take(): Buffer {
    const parts = this.takeParts();
    return Array.isArray(parts) ? Buffer.concat(parts) : parts;
  }

  /** Like {@link take}, but what has large content is handed over in parts, which must not be changed. */
  takeParts(): Buffer | Buffer[] {
    const taken = this.buffer.subarray(0, this.length);
    this.nextSize = Math.min(Math.max(INITIAL_BYTES, this.length + (this.length >> 2)), MAX_REMEMBERED_BYTES);
    this.buffer = Buffer.allocUnsafe(0);
    this.length = 0;
    const { inserts } = this;
    if (!inserts) return taken;
    this.inserts = undefined;
    this.inserted = 0;
    return partsOf(taken, inserts);
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2, this.nextSize));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}

function partsOf(own: Buffer, inserts: readonly Insert[]): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const { at, content } of inserts) {
    parts.push(own.subarray(from, at), content);
    from = at;
  }
  if (from < own.length) parts.push(own.subarray(from));
  return parts;
}

/** Returns where the text ends. */
function writeQuoted(value: string, target: Buffer, start: number): number {
  target[start] = QUOTE;
  const end = start + 1 + value.length;
  if (value.length > SHORT_TEXT) target.write(value, start + 1, 'latin1');
  else for (let i = 0; i < value.length; i++) target[start + 1 + i] = unitAt(value, i);
  target[end] = QUOTE;
  return end + 1;
}

/** A text as UTF-8. As many bytes as UTF-16 units: it is ASCII, and copied as it is. */
function encoded(value: string): Buffer {
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(value));
  bytes.write(value, bytes.length === value.length ? 'latin1' : 'utf8');
  return bytes;
}

/** Reads what a {@link ByteWriter} wrote. Reading past the end throws `LINK_CORRUPT`: a peer's bytes are never trusted. */
export class ByteReader implements Lease {
  at = 0;
  /** Slices of the frame that were returned and not released. */
  views = 0;
  end: number;
  private lastWord = '';

  /** A frame is reused only when {@link views} is 0, so that slices of the buffer stay valid. */
  constructor(readonly buffer: Buffer) {
    this.end = buffer.length;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  u8(): number {
    return this.buffer[this.advance(1)] as number;
  }

  u16(): number {
    const start = this.advance(2);
    return (this.buffer[start] as number) | ((this.buffer[start + 1] as number) << 8);
  }

  u32(): number {
    return readU32(this.buffer, this.advance(4));
  }

  f64(): number {
    const start = this.advance(8);
    HALVES[LOW] = readU32(this.buffer, start);
    HALVES[HIGH] = readU32(this.buffer, start + 4);
    const value = NUMBER[0] as number;
    // A small integer as such: it is not allocated, and found faster in a map.
    const small = value | 0;
    return small === value && value !== 0 ? small : value;
  }

  str(): string {
    const length = this.u32();
    const start = this.advance(length);
    return this.buffer.toString('utf8', start, start + length);
  }

  /** A string that often comes several times in a row: then no other one is made. */
  word(): string {
    const length = this.u32();
    const start = this.advance(length);
    if (!this.isLastWord(start, length)) this.lastWord = this.buffer.toString('utf8', start, start + length);
    return this.lastWord;
  }

  /** A view into the frame, valid for as long as the caller keeps it. */
  bytes(): Buffer {
    this.views++;
    const length = this.u32();
    const start = this.advance(length);
    return this.buffer.subarray(start, start + length);
  }

  /** Goes on at `end`; returns where that part begins. */
  skipTo(end: number): number {
    return this.advance(end - this.at);
  }

  private isLastWord(start: number, length: number): boolean {
    const { buffer, lastWord } = this;
    if (length !== lastWord.length || length > SHORT_TEXT) return false;
    for (let i = 0; i < length; i++) if (buffer[start + i] !== unitAt(lastWord, i)) return false;
    return true;
  }

  private advance(bytes: number): number {
    const start = this.at;
    if (bytes > this.end - start) throw new GateError('LINK_CORRUPT', 'A link frame ended too early');
    this.at = start + bytes;
    return start;
  }
}
