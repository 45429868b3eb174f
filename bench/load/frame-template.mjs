/** Digits of the number that tells frames apart: always as many, so that a frame can be laid out once. */
export const NUMBER_DIGITS = 7;
/** What stands in a text where the number goes. */
export const NUMBER_MARK = '#'.repeat(NUMBER_DIGITS);
/** The smallest number with that many digits. */
export const FIRST_NUMBER = 10 ** (NUMBER_DIGITS - 1);
/** How many numbers have that many digits. */
export const NUMBERS = 9 * FIRST_NUMBER;

const FIN = 0x80;
const MASKED = 0x80;
/** One key for all frames of a process: a server unmasks them as it does any other. */
const KEY = [0x5a, 0xc3, 0x17, 0x9e];

/**
 * A whole client frame, masked.
 * @param {string | Buffer} content
 * @param {number} [opcode] text unless told otherwise
 */
export function maskedFrame(content, opcode = 1) {
  const payload = Buffer.from(content);
  const length = payload.length;
  if (length > 0xffff) throw new RangeError(`A frame of ${length} bytes: the generator lays out at most 65535`);
  const head = length < 126 ? [length | MASKED] : [126 | MASKED, length >> 8, length & 0xff];
  for (let i = 0; i < length; i++) payload[i] ^= KEY[i & 3];
  return Buffer.concat([Buffer.from([FIN | opcode, ...head, ...KEY]), payload]);
}

/** A client frame with a number in it, laid out and masked once: sending it again costs a copy and seven digits. */
export class FrameTemplate {
  /** @param {string} text what the frame says, with {@link NUMBER_MARK} in one place */
  constructor(text) {
    const at = Buffer.from(text).indexOf(NUMBER_MARK);
    if (at < 0) throw new Error(`No ${NUMBER_MARK} in ${text}`);
    /** @readonly */
    this.bytes = maskedFrame(text);
    /** @readonly */
    this.length = this.bytes.length;
    /** @private @readonly */
    this.numberAt = this.length - Buffer.byteLength(text) + at;
    /** @private @readonly */
    this.keys = Uint8Array.from({ length: NUMBER_DIGITS }, (_, i) => KEY[(at + i) & 3]);
  }

  /**
   * Lays the frame into `target` and returns where it ends.
   * @param {Uint8Array} target
   * @param {number} offset
   * @param {number} number of {@link NUMBER_DIGITS} digits
   */
  copyTo(target, offset, number) {
    target.set(this.bytes, offset);
    const { keys } = this;
    const start = offset + this.numberAt;
    let rest = number;
    for (let i = NUMBER_DIGITS - 1; i >= 0; i--) {
      const tens = (rest / 10) | 0;
      target[start + i] = (48 + rest - tens * 10) ^ keys[i];
      rest = tens;
    }
    return offset + this.length;
  }
}

/**
 * The number that stands at `at`, or -1 when no number stands there.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end where the frame ends
 */
export function numberAt(bytes, at, end) {
  if (at + NUMBER_DIGITS > end) return -1;
  let value = 0;
  for (let i = at; i < at + NUMBER_DIGITS; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
