import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Fifo } from './fifo.js';

describe('Fifo', () => {
  it('gives what it was given in the same order, as an array does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -2_500, max: 2_500 }), { maxLength: 8 }), steps => {
        const [queue, model]: [Fifo<number>, number[]] = [new Fifo(), []];
        const [given, expected]: [unknown[], unknown[]] = [[], []];
        let next = 0;
        for (const step of steps) {
          for (let i = 0; i < step; i++) {
            queue.push(next);
            model.push(next++);
          }
          for (let i = 0; i > step; i--) {
            given.push(queue.shift());
            expected.push(model.shift());
          }
          given.push(queue.length);
          expected.push(model.length);
        }
        expect(given).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  it('is empty when it has been cleared', () => {
    const queue = new Fifo<number>();
    for (let i = 0; i < 5; i++) queue.push(i);
    queue.shift();
    queue.clear();
    expect([queue.length, queue.shift()]).toEqual([0, undefined]);
  });
});
