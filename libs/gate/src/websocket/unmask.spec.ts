import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { unmask, Unmasker } from './unmask.js';

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

  it('gives each payload memory of its own, whatever comes after it', () => {
    const size = fc.oneof(fc.nat(40), fc.nat(600));
    const payload = size.chain(bytes =>
      fc.uint8Array({ minLength: bytes, maxLength: bytes, max: bytes % 2 ? 0xff : 0x7f }),
    );
    const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(fc.tuple(payload, mask, fc.boolean()), { maxLength: 60 }), frames => {
        const unmasker = new Unmasker();
        const shared = Buffer.alloc(1_024, 0xaa);
        const results = frames.map(([plain, key, isShared], at) => {
          const source = isShared ? shared : Buffer.alloc(at + 4 + plain.length);
          const start = isShared ? at : source.length - plain.length - 4;
          source.set(key, start);
          plain.forEach((byte, i) => (source[start + 4 + i] = byte ^ (key[i & 3] as number)));
          const data = unmasker.unmask(source, start, plain.length);
          return { data, isAscii: unmasker.isAscii };
        });
        expect(results.map(({ data, isAscii }) => [data.toString('hex'), isAscii])).toEqual(
          frames.map(([plain]) => [Buffer.from(plain).toString('hex'), plain.every(byte => byte < 0x80)]),
        );
      }),
    );
  });
});
