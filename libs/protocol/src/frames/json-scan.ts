/**
 * Byte-level helpers that walk over JSON text without parsing it. They trust nothing: every function stops at the end of
 * the data, and none of them says that the text is valid JSON. The parser of the slice detects invalid JSON.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;

/**
 * So many bytes of a string are searched one by one; the rest of a longer one is searched by the engine, which costs as much for each
 * call as 24 bytes here, and little for each byte.
 */
const SHORT_STRING = 16;

/** The index after the closing quote of the string whose opening quote stands at `start`; -1 when it never closes. */
export function skipString(data: Uint8Array, start: number): number {
  let at = start + 1;
  for (;;) {
    const end = Math.min(data.length, at + SHORT_STRING);
    for (; at < end; at++) {
      const byte = data[at];
      if (byte === QUOTE) return at + 1;
      if (byte === BACKSLASH) at++;
    }
    // No escape is open here, which the count of backslashes relies on.
    const quote = data.indexOf(QUOTE, at);
    if (quote < 0) return -1;
    if (!isEscaped(data, at, quote)) return quote + 1;
    // Where one quote is escaped, others are: the engine is not called for each of them.
    at = quote + 1;
  }
}

/** Whether the byte at `at` stands behind an odd number of backslashes, counted back to `from`. */
function isEscaped(data: Uint8Array, from: number, at: number): boolean {
  let before = at;
  while (before > from && data[before - 1] === BACKSLASH) before--;
  return (at - before) % 2 === 1;
}

/**
 * The index after the value that starts at `start`: of an object or array its closing bracket, of a string its closing
 * quote, of anything else the next `,`, `}` or `]`. -1 when the value does not end or nests deeper than `maxDepth`.
 */
export function skipValue(data: Uint8Array, start: number, maxDepth: number): number {
  const first = data[start];
  if (first === QUOTE) return skipString(data, start);
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) {
    let i = start;
    for (; i < data.length; i++) {
      const byte = data[i];
      if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) break;
    }
    return i;
  }
  let depth = 0;
  for (let i = start; i < data.length; i++) {
    const byte = data[i];
    if (byte === QUOTE) {
      i = skipString(data, i) - 1;
      if (i < 0) return -1;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (++depth > maxDepth) return -1;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (--depth === 0) return i + 1;
    }
  }
  return -1;
}

/** True when brackets outside of strings nest deeper than `maxDepth` anywhere in the text. */
export function isDeeperThan(data: Uint8Array, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < data.length; i++) {
    const byte = data[i];
    if (byte === QUOTE) {
      i = skipString(data, i) - 1;
      if (i < 0) return false;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (++depth > maxDepth) return true;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth--;
    }
  }
  return false;
}

/** {@link isDeeperThan} for a text. */
export function isTextDeeperThan(text: string, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === QUOTE) {
      i = skipTextString(text, i) - 1;
      if (i < 0) return false;
    } else if (unit === OPEN_OBJECT || unit === OPEN_ARRAY) {
      if (++depth > maxDepth) return true;
    } else if (unit === CLOSE_OBJECT || unit === CLOSE_ARRAY) {
      depth--;
    }
  }
  return false;
}

/** {@link skipString} for a text. Long strings are searched by the engine. */
function skipTextString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
  return -1;
}
