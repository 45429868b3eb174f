import { describe, expect, it } from '@jest/globals';
import { TransitClock } from './transit-clock.js';

describe('TransitClock', () => {
  it('tells what came later than usual, whatever the two clocks say', () => {
    for (const skew of [0, 3_600_000, -3_600_000]) {
      const clock = new TransitClock();
      expect(clock.delayOf(1_000_000 + skew, 1_000_002)).toBe(0);
      expect(clock.delayOf(1_000_100 + skew, 1_000_101)).toBe(0);
      expect(clock.delayOf(1_000_200 + skew, 1_000_206)).toBe(5);
      expect(clock.delayOf(1_000_300 + skew, 1_010_301)).toBe(10_000);
    }
  });

  it('remembers across a window, and forgives a clock that was set', () => {
    const clock = new TransitClock();
    let now = 1_000_000;
    clock.delayOf(now - 1, now);
    now += 31_000;
    expect(clock.delayOf(now - 11, now)).toBe(10);
    // The sender's clock is set back by an hour.
    const back = 3_600_000;
    expect(clock.delayOf(now - back, now)).toBeGreaterThan(3_000_000);
    now += 31_000;
    clock.delayOf(now - back, now);
    now += 31_000;
    expect(clock.delayOf(now - back, now)).toBe(0);
  });

  it.each([Number.NaN, Infinity, -Infinity])('takes no notice of a peer that says it is %d', moment => {
    const clock = new TransitClock();
    expect(clock.delayOf(moment, 1_000_000)).toBe(0);
    expect(clock.delayOf(1_000_000, 1_000_010)).toBe(0);
    expect(clock.delayOf(moment, 1_000_020)).toBe(0);
    expect(clock.delayOf(1_000_000, 1_000_030)).toBe(20);
  });
});
