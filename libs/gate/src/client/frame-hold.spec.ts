import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FrameHold } from './credit.js';

describe('FrameHold', () => {
  it('gives frames back in the order in which they came', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 50 }), pushes => {
        const hold = new FrameHold();
        const model: Buffer[] = [];
        for (const [n, push] of pushes.entries()) {
          if (push || model.length === 0) {
            const frame = Buffer.from([n]);
            model.push(frame);
            hold.push(frame);
          } else {
            expect(hold.shift()).toEqual(model.shift());
          }
          expect(hold.isEmpty).toBe(model.length === 0);
        }
      }),
    );
  });

  it('begins empty', () => {
    expect(new FrameHold().isEmpty).toBe(true);
  });

  it('keeps nothing but the frame of what it was read into', () => {
    const hold = new FrameHold();
    hold.push(Buffer.alloc(64 * 1024, 'a').subarray(100, 200));
    const frame = hold.shift();
    expect([frame?.toString(), frame?.buffer.byteLength]).toEqual(['a'.repeat(100), 100]);
  });
});
