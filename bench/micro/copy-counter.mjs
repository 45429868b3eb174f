/**
 * Loaded before the main file of a server: counts the bytes that the process copies, turns into strings, and makes of strings, by
 * wrapping what does that. Loops over single bytes are not seen, nor what the operating system copies. What is called by
 * something that is counted already is not counted again.
 */
import { Socket } from 'node:net';

const counts = { copied: 0, decoded: 0, encoded: 0, parsed: 0, stringified: 0, allocated: 0 };
/** @typedef {keyof typeof counts} Kind */

let isCounting = false;

/**
 * Wraps a method, so that each call counts.
 * @param {object} owner
 * @param {string} name
 * @param {Kind | ((args: any[]) => Kind)} kind
 * @param {(self: any, args: any[], result: any) => number | undefined} sizeOf
 */
function count(owner, name, kind, sizeOf) {
  const original = Reflect.get(owner, name);
  if (typeof original !== 'function') return;
  const kindOf = typeof kind === 'function' ? kind : () => kind;
  /** @this {unknown} @param {unknown[]} args */
  function counted(...args) {
    if (isCounting) return Reflect.apply(original, this, args);
    isCounting = true;
    try {
      const result = Reflect.apply(original, this, args);
      counts[kindOf(args)] += sizeOf(this, args, result) ?? 0;
      return result;
    } finally {
      isCounting = false;
    }
  }
  replace(owner, name, Object.assign(counted, original));
}

/** Memory is counted also where something that is counted takes it. @param {'alloc' | 'allocUnsafe' | 'allocUnsafeSlow'} name */
function countMemory(name) {
  const original = Reflect.get(Buffer, name);
  replace(Buffer, name, (/** @type {any[]} */ ...args) => {
    const result = Reflect.apply(original, Buffer, args);
    counts.allocated += result.length;
    return result;
  });
}

/** @param {object} owner @param {string} name @param {Function} value */
function replace(owner, name, value) {
  Object.defineProperty(owner, name, { value, writable: true, configurable: true });
}

/** @param {any} self @param {number} [start] @param {number} [end] */
const between = (self, start = 0, end = self.length) => Math.max(0, Math.min(end, self.length) - Math.max(0, start));
const typed = Object.getPrototypeOf(Uint8Array.prototype);
const buffers = Buffer.prototype;

count(typed, 'set', 'copied', (_self, [source]) => source.byteLength ?? source.length);
count(typed, 'slice', 'copied', (_self, _args, result) => result.byteLength);
count(typed, 'copyWithin', 'copied', self => self.byteLength);
count(ArrayBuffer.prototype, 'slice', 'copied', (_self, _args, result) => result.byteLength);
count(buffers, 'copy', 'copied', (_self, _args, result) => result);
count(Buffer, 'concat', 'copied', (_self, _args, result) => result.length);
count(
  Buffer,
  'from',
  ([source]) => (typeof source === 'string' ? 'encoded' : 'copied'),
  // A part of an ArrayBuffer is a view of it.
  (_self, [source], result) => (source instanceof ArrayBuffer ? 0 : result.length),
);
for (const encoding of ['utf8', 'latin1', 'ascii', 'ucs2', 'hex', 'base64', 'base64url']) {
  count(buffers, `${encoding}Write`, 'encoded', (_self, _args, result) => result);
  count(buffers, `${encoding}Slice`, 'decoded', (self, [start, end]) => between(self, start, end));
}
count(buffers, 'write', 'encoded', (_self, _args, result) => result);
count(buffers, 'toString', 'decoded', (self, [, start, end]) => between(self, start, end));
count(TextDecoder.prototype, 'decode', 'decoded', (_self, [bytes]) => bytes?.byteLength);
count(TextEncoder.prototype, 'encode', 'encoded', (_self, _args, result) => result.length);
count(TextEncoder.prototype, 'encodeInto', 'encoded', (_self, _args, result) => result.written);
/** @param {unknown} chunk */
const encodedOf = chunk => (typeof chunk === 'string' ? Buffer.byteLength(chunk) : 0);
// A socket has strings encoded by what Node is made of below JavaScript. Corked writes come as a list.
count(Socket.prototype, '_writeGeneric', 'encoded', (_self, [isList, data]) =>
  isList
    ? data.reduce((/** @type {number} */ sum, /** @type {any} */ { chunk }) => sum + encodedOf(chunk), 0)
    : encodedOf(data),
);
count(JSON, 'parse', 'parsed', (_self, [text]) => String(text).length);
count(JSON, 'stringify', 'stringified', (_self, _args, result) => result?.length);
countMemory('alloc');
countMemory('allocUnsafe');
countMemory('allocUnsafeSlow');

process.on('message', question => {
  if (question === 'copies') process.send?.({ answer: { ...counts } });
});
process.channel?.unref();
