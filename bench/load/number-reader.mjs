import { NUMBER_DIGITS, numberAt } from './frame-template.mjs';

/** A number of ours: alone, or behind the kind of a socket.io packet. */
const NUMBER = new RegExp(`(?<!\\d)(?:43)?(\\d{${NUMBER_DIGITS}})(?!\\d)`, 'g');

/**
 * All that may be numbers of ours in a frame, and where they stand.
 * @param {string} text
 */
export function numbersIn(text) {
  return [...text.matchAll(NUMBER)].map(match => ({
    number: Number(match[1]),
    offset: match.index + match[0].length - NUMBER_DIGITS,
  }));
}

/** Reads the number out of frames that all have the same layout, which the first frame shows. */
export class NumberReader {
  constructor() {
    /** @private where the number stands, from the frame's start */
    this.offset = 0;
    /** @private how long such frames are */
    this.length = -1;
    /** @private the byte in the middle: the filler of a body, which an error of the same length does not have */
    this.middle = -1;
  }

  /**
   * The number of a frame of the known layout, else -1.
   * @param {Buffer} bytes
   * @param {number} from
   * @param {number} to
   */
  read(bytes, from, to) {
    if (to - from !== this.length || bytes[from + (this.length >> 1)] !== this.middle) return -1;
    return numberAt(bytes, from + this.offset, to);
  }

  /**
   * Looks for a number that `isExpected` knows, and remembers where it stood unless the frame is an error.
   * @param {string} text the frame
   * @param {(number: number) => boolean} isExpected
   */
  learn(text, isExpected) {
    for (const { number, offset } of numbersIn(text)) {
      if (!isExpected(number)) continue;
      if (!isError(text)) {
        this.offset = offset;
        this.length = text.length;
        this.middle = text.charCodeAt(this.length >> 1);
      }
      return number;
    }
    return -1;
  }
}

/** @param {string} text */
export function isError(text) {
  return text.includes('"error"') || text.includes('"$gate/error"');
}
