import { describe, expect, it } from '@jest/globals';
import { ReadClock } from './read-clock.js';

/** Spends time until the clock has gone on. */
function pass(): void {
  const start = performance.now();
  while (performance.now() <= start);
}

describe('ReadClock', () => {
  it('stands still during a read, and starts with the first look', () => {
    const clock = new ReadClock();
    clock.begin();
    pass();
    const before = performance.now();
    const time = clock.now();
    expect(time).toBeGreaterThanOrEqual(before);
    pass();
    expect(clock.now()).toBe(time);
  });

  it('goes on with the next read, and outside of reads', () => {
    const clock = new ReadClock();
    clock.begin();
    const first = clock.now();
    pass();
    clock.begin();
    const second = clock.now();
    expect(second).toBeGreaterThan(first);
    clock.end();
    pass();
    expect(clock.now()).toBeGreaterThan(second);
  });
});
