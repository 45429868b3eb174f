import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LineLimit } from './line-limit.js';

const WINDOW_MS = 1_000;
const MAX_KINDS = 256;

describe('LineLimit', () => {
  let summaries: [kind: string, unlogged: number][];
  let limit: LineLimit;

  beforeEach(() => {
    jest.useFakeTimers();
    summaries = [];
    limit = new LineLimit(2, (kind, unlogged) => summaries.push([kind, unlogged]));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const admitted = (kind: string, lines: number): number =>
    Array.from({ length: lines }, () => limit.admits(kind)).filter(Boolean).length;

  it('admits so many lines of each kind in a second, and summarizes the others when it is over', () => {
    expect([admitted('a', 5), admitted('b', 1)]).toEqual([2, 1]);
    jest.advanceTimersByTime(WINDOW_MS - 1);
    expect([admitted('a', 1), summaries]).toEqual([0, []]);
    jest.advanceTimersByTime(1);
    expect(summaries).toEqual([['a', 4]]);
    expect([admitted('a', 3), admitted('b', 3)]).toEqual([2, 2]);
  });

  it('summarizes a flood once a second, and nothing after its end', () => {
    for (let second = 0; second < 3; second++) {
      admitted('a', 10);
      jest.advanceTimersByTime(WINDOW_MS);
    }
    jest.advanceTimersByTime(10 * WINDOW_MS);
    expect(summaries).toEqual([
      ['a', 8],
      ['a', 8],
      ['a', 8],
    ]);
  });

  it('has no timer while nothing is left out', () => {
    admitted('a', 2);
    expect(jest.getTimerCount()).toBe(0);
    admitted('a', 2);
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(WINDOW_MS);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('summarizes before the next line, where the timer comes late', () => {
    admitted('a', 3);
    // The process was busy: the timer has not fired yet.
    const later = performance.now() + 2 * WINDOW_MS;
    jest.spyOn(performance, 'now').mockReturnValue(later);
    expect([admitted('a', 1), summaries]).toEqual([1, [['a', 1]]]);
    jest.restoreAllMocks();
  });

  it('counts so many kinds apart, and all others together', () => {
    for (let n = 0; n < MAX_KINDS; n++) expect(admitted(`k${n}`, 3)).toBe(2);
    expect([admitted('x', 1), admitted('y', 1), admitted('z', 1)]).toEqual([1, 1, 0]);
    expect(admitted('k0', 1)).toBe(0);
    jest.advanceTimersByTime(WINDOW_MS);
    expect(summaries.at(-1)).toEqual(['', 1]);
    expect(summaries).toHaveLength(MAX_KINDS + 1);
  });
});
