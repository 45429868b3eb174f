import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { HybridClock } from './hybrid-clock.js';

const HOUR = 3_600_000 * 1_024;

describe('HybridClock', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('gives moments that grow, also after those of a node whose clock is an hour ahead', () => {
    const clock = new HybridClock();
    const first = clock.next();
    expect(clock.next()).toBeGreaterThan(first);
    const ahead = first + HOUR;
    clock.observe(ahead);
    expect(clock.next()).toBe(ahead + 1);
    clock.observe(first);
    expect(clock.next()).toBe(ahead + 2);
  });

  it.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER + 2,
    1e300,
    -1,
    1.5,
    (Date.now() + 24 * 3_600_000) * 1_024,
    '9',
    undefined,
  ])('does not believe %p', moment => {
    const clock = new HybridClock();
    expect(clock.accepts(moment)).toBe(false);
    clock.observe(moment as number);
    expect(clock.next()).toBeLessThan((Date.now() + 60_000) * 1_024);
  });

  it('does not follow a time of day that is set later', () => {
    const clock = new HybridClock();
    const first = clock.next();
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
    expect(clock.next()).toBeLessThan(first + HOUR / 60);
  });
});
