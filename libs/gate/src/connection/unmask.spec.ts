import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { unmask } from './unmask.js';

describe('unmask', () => {
  it('is an exclusive or with the mask, of any size and at any place, and says whether that is ASCII', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 1_100 }),
      fc.uint8Array({ max: 0x7f, maxLength: 1_100 }),
      fc
        .tuple(fc.nat(2_000), fc.nat(255))
        .map(([size, byte]) => new Uint8Array(size).fill(0x41, 0).fill(byte, size - 1)),
    );
    fc.assert(
      fc.property(bytes, fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.nat(9), (plain, mask, offset) => {
        const room = Buffer.alloc(offset + 4 + plain.length + 5, 0xaa);
        const source = room.subarray(offset);
        source.set(mask);
        plain.forEach((byte, i) => (source[4 + i] = byte ^ (mask[i & 3] as number)));
        const masked = Buffer.from(room);
        const isAscii = plain.every(byte => byte < 0x80);
        for (const shift of [0, 1, 2, 3]) {
          const data = Buffer.alloc(shift + plain.length + 2).subarray(shift, shift + plain.length);
          expect([unmask(data, source, 0), data.equals(plain), room.equals(masked)]).toEqual([isAscii, true, true]);
        }
        const own = source.subarray(4, 4 + plain.length);
        expect([unmask(own, source, 0), own.equals(plain)]).toEqual([isAscii, true]);
        unmask(own, source, 0);
        expect(room.equals(masked)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
