import { describe, expect, it } from '@jest/globals';
import { array, assert, property, string, uniqueArray, integer } from 'fast-check';
import { byCodeUnits, pageOf } from './page.js';

describe('pageOf', () => {
  it('goes through everything once, in order, whatever the size of a page', () => {
    assert(
      property(uniqueArray(string({ minLength: 1 })), integer({ min: 1, max: 7 }), (items, limit) => {
        const seen: string[] = [];
        for (let page = pageOf(items, '', limit); page.length > 0; page = pageOf(items, seen.at(-1) as string, limit)) {
          expect(page.length).toBeLessThanOrEqual(limit);
          seen.push(...page);
        }
        expect(seen).toEqual([...items].sort(byCodeUnits));
      }),
    );
  });

  it('lists exactly once what is there all the time, while others come and go', () => {
    assert(
      property(
        uniqueArray(string({ minLength: 1 }), { maxLength: 30 }),
        array(array(string({ minLength: 1 }), { maxLength: 5 }), { minLength: 1, maxLength: 40 }),
        (steady, changes) => {
          const seen: string[] = [];
          let cursor = '';
          for (let round = 0; ; round++) {
            const others = changes[round % changes.length] as string[];
            const page = pageOf(new Set([...others, ...steady]), cursor, 3);
            if (page.length === 0) break;
            seen.push(...page);
            cursor = page.at(-1) as string;
          }
          for (const item of steady) expect(seen.filter(each => each === item)).toHaveLength(1);
        },
      ),
    );
  });
});
