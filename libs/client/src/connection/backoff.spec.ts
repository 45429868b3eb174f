import { describe, expect, it } from '@jest/globals';
import { retryDelay } from './backoff.js';

const least = { random: () => 0, wallNow: () => 0 };
const most = { random: () => 0.999_999, wallNow: () => 0 };
const range = (attempt: number, failure: Parameters<typeof retryDelay>[2]): number[] =>
  [least, most].map(environment => Math.round(retryDelay(environment, attempt, failure)));

describe('retryDelay', () => {
  it.each([
    [0, 500],
    [1, 1_000],
    [5, 16_000],
    [6, 20_000],
    [1e9, 20_000],
  ])('attempt %i: full jitter up to %i ms', (attempt, longest) => {
    expect(range(attempt, { code: 1006, reason: '' })).toEqual([0, longest]);
  });

  it('leaves an overloaded gate alone for 4 s, or as long as it asks for, and spreads the clients after it', () => {
    for (const failure of [{ code: 1013 }, { code: 1006, status: 503 }, { code: 1006, status: 429 }]) {
      expect(range(0, { reason: '', ...failure })).toEqual([4_000, 8_000]);
      expect(range(9, { reason: '', ...failure })).toEqual([4_000, 24_000]);
      expect(range(0, { reason: '', ...failure, retryAfter: '30' })).toEqual([30_000, 34_000]);
      expect(range(0, { reason: '', ...failure, retryAfter: '1e9' })).toEqual([300_000, 304_000]);
    }
    expect(range(0, { code: 4005, reason: '' })).toEqual([0, 200]);
  });

  it('spreads 1,000 clients evenly over its window', () => {
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 1_000; i++)
      tenths[Math.floor(retryDelay({ ...least, random: Math.random }, 3, { code: 1012, reason: '' }) / 400)]!++;
    expect(Math.min(...tenths)).toBeGreaterThan(50);
    expect(Math.max(...tenths)).toBeLessThan(160);
  });
});

describe('retryDelay with Retry-After', () => {
  const delay = (retryAfter: unknown): number =>
    retryDelay({ random: () => 0, wallNow: () => Date.UTC(2025, 0, 1) }, 0, {
      code: 1006,
      reason: '',
      status: 503,
      retryAfter,
    });

  it.each([
    ['30', 30_000],
    ['1000000000', 300_000],
    ['0', 4_000],
    ['-100', 4_000],
    ['soon', 4_000],
    [undefined, 4_000],
    ['Wed, 01 Jan 2025 00:00:10 GMT', 10_000],
    ['Wed, 01 Jan 2020 00:00:00 GMT', 4_000],
  ])('%p delays by %p ms', (value, expected) => {
    expect(delay(value)).toBe(expected);
  });
});
