import { Buffer } from 'node:buffer';
import { endianness } from 'node:os';

/** From this size on a loop over words is faster, although it allocates a view. */
const LONG_BYTES = 512;
const MASK_BYTES = 4;
/** The highest bits of the bytes of a word. In ASCII none is set. */
const NO_ASCII = 0x80808080;

/** A mask as its bytes, and as a word in the byte order of this machine. */
const WORD = new Int32Array(1);
const WORD_BYTES = new Uint8Array(WORD.buffer);
const IS_LITTLE_ENDIAN = endianness() === 'LE';

/**
 * Writes the payload of `from` to `data`, unmasked. The mask is at `mask`, the payload behind it. `data` may be the payload itself; a
 * second call then masks it again. Returns whether the result is ASCII.
 */
export function unmask(data: Buffer, from: Buffer, mask: number): boolean {
  const { length } = data;
  if (length < LONG_BYTES) return unmaskBytes(data, from, mask, 0, length) < 0x80;
  const first = -data.byteOffset & 3;
  const words = new Int32Array(data.buffer, data.byteOffset + first, (length - first) >> 2);
  const last = first + words.length * 4;
  const bits = unmaskBytes(data, from, mask, 0, first) | unmaskBytes(data, from, mask, last, length);
  // Copied before the loop, because the source may be aligned differently.
  const start = mask + MASK_BYTES;
  from.copy(data, first, start + first, start + last);
  for (let i = 0; i < MASK_BYTES; i++) WORD_BYTES[i] = from[mask + ((first + i) & 3)] as number;
  return unmaskWords(words, WORD[0] as number) && bits < 0x80;
}

/** Size of the pool for short payloads, in bytes: the same as that of Node's pool. */
const POOL_BYTES = 8 * 1024;
/** Each payload begins at a multiple of this. */
const ALIGNMENT = 8;

/**
 * Unmasks payloads into new memory. Short payloads share a pool, like those of `Buffer.allocUnsafe`. This pool has a view as 32-bit
 * words, because to unmask a word takes as long as to unmask a byte.
 */
export class Unmasker {
  /** Whether the payload that was unmasked last is ASCII. */
  isAscii = true;
  private pool: Buffer = Buffer.alloc(0);
  private words: Int32Array = new Int32Array(0);
  private used = POOL_BYTES;
  /** The buffer of the last payload. Most payloads are in the one buffer that all sockets read into. */
  private source: Buffer = this.pool;
  private view: DataView = new DataView(new ArrayBuffer(0));

  /** The `length` bytes of `from` after the mask at `mask`, unmasked. */
  unmask(from: Buffer, mask: number, length: number): Buffer {
    if (length >= LONG_BYTES) {
      const data = Buffer.allocUnsafe(length);
      this.isAscii = unmask(data, from, mask);
      return data;
    }
    if (from !== this.source) {
      this.source = from;
      this.view = new DataView(from.buffer, from.byteOffset, from.length);
    }
    if (this.used + length > POOL_BYTES) this.begin();
    const start = this.used;
    this.used = (start + length + ALIGNMENT - 1) & -ALIGNMENT;
    const data = this.pool.subarray(start, start + length);
    const { view, words } = this;
    const key = view.getInt32(mask, IS_LITTLE_ENDIAN);
    const at = mask + MASK_BYTES;
    const whole = length & ~3;
    let bits = 0;
    for (let i = 0; i < whole; i += 4) {
      bits |= words[(start + i) >> 2] = view.getInt32(at + i, IS_LITTLE_ENDIAN) ^ key;
    }
    const rest = unmaskBytes(data, from, mask, whole, length);
    this.isAscii = (bits & NO_ASCII) === 0 && rest < 0x80;
    return data;
  }

  private begin(): void {
    this.pool = Buffer.allocUnsafeSlow(POOL_BYTES);
    this.words = new Int32Array(this.pool.buffer);
    this.used = 0;
  }
}

/** Unmasks the bytes from `start` to `end`. Returns the bitwise OR of the results. */
function unmaskBytes(data: Buffer, from: Buffer, mask: number, start: number, end: number): number {
  const a = from[mask + (start & 3)] as number;
  const b = from[mask + ((start + 1) & 3)] as number;
  const c = from[mask + ((start + 2) & 3)] as number;
  const d = from[mask + ((start + 3) & 3)] as number;
  let bits = 0;
  let i = start;
  let at = mask + MASK_BYTES + start;
  for (const whole = end - 3; i < whole; i += 4, at += 4) {
    bits |= data[i] = (from[at] as number) ^ a;
    bits |= data[i + 1] = (from[at + 1] as number) ^ b;
    bits |= data[i + 2] = (from[at + 2] as number) ^ c;
    bits |= data[i + 3] = (from[at + 3] as number) ^ d;
  }
  if (i < end) bits |= data[i] = (from[at] as number) ^ a;
  if (i + 1 < end) bits |= data[i + 1] = (from[at + 1] as number) ^ b;
  if (i + 2 < end) bits |= data[i + 2] = (from[at + 2] as number) ^ c;
  return bits;
}

/** Returns whether all words are ASCII. */
function unmaskWords(words: Int32Array, mask: number): boolean {
  let bits = 0;
  let i = 0;
  for (const whole = words.length - 3; i < whole; i += 4) {
    bits |= words[i] = (words[i] as number) ^ mask;
    bits |= words[i + 1] = (words[i + 1] as number) ^ mask;
    bits |= words[i + 2] = (words[i + 2] as number) ^ mask;
    bits |= words[i + 3] = (words[i + 3] as number) ^ mask;
  }
  for (; i < words.length; i++) bits |= words[i] = (words[i] as number) ^ mask;
  return (bits & NO_ASCII) === 0;
}
