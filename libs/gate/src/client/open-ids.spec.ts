import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { OpenIds } from './credit.js';

describe('OpenIds', () => {
  it('knows as a set does which ids are open, few or many', () => {
    const id = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
    fc.assert(
      fc.property(fc.array(id, { maxLength: 400 }), ids => {
        const open = new OpenIds();
        const model = new Set<number>();
        for (const each of ids) {
          expect(open.has(each)).toBe(model.has(each));
          // What is there is taken out, so that ids come and go on both sides of what fits.
          if (model.delete(each)) {
            open.delete(each);
          } else {
            model.add(each);
            open.add(each);
          }
          expect(open.has(each)).toBe(model.has(each));
        }
        for (const each of ids) expect(open.has(each)).toBe(model.has(each));
      }),
    );
  });

  it('takes out what it does not have without harm', () => {
    const open = new OpenIds();
    open.add(1);
    open.delete(2);
    expect([open.has(1), open.has(2)]).toEqual([true, false]);
  });
});
