import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isDeeperThan, isTextDeeperThan, skipString } from './json-scan.js';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('the depth of JSON', () => {
  it.each([
    ['[[]]', 2],
    ['{"a":[{"b":1}]}', 3],
    ['["[[[["]', 1],
    [String.raw`["\"[[[",[]]`, 2],
    [String.raw`["\\",[[]]]`, 3],
    ['"unended [[[', 0],
    ['["a","[[",{}]', 2],
  ])('%s nests as deep as it does', (text, depth) => {
    for (const limit of [0, 1, 2, 3]) {
      expect([limit, isTextDeeperThan(text, limit)]).toEqual([limit, depth > limit]);
      expect([limit, isDeeperThan(Buffer.from(text), limit)]).toEqual([limit, depth > limit]);
    }
  });

  it('is the same in a text, in bytes, and in the value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(7), (value, limit) => {
        const text = JSON.stringify(value);
        expect(isTextDeeperThan(text, limit)).toBe(depthOf(value) > limit);
        expect(isDeeperThan(Buffer.from(text), limit)).toBe(depthOf(value) > limit);
      }),
    );
  });
});

describe('the end of a string', () => {
  it('is where JSON has it, however long the string is and whatever is escaped in it', () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 100 }),
      fc.tuple(fc.constantFrom('\\', '"', 'x', '\\"', 'é'), fc.nat(100)).map(([unit, count]) => unit.repeat(count)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(200), (pieces, cutAt) => {
        const text = JSON.stringify(pieces.join(''));
        const data = Buffer.from(`[${text},"${pieces.join('')}`);
        const { length } = Buffer.from(text);
        expect(skipString(data, 1)).toBe(1 + length);
        expect(skipString(new Uint8Array(data), 1)).toBe(1 + length);
        // Without its end it has none.
        expect(skipString(data.subarray(0, Math.min(1 + cutAt, length)), 1)).toBe(-1);
      }),
    );
  });
});
