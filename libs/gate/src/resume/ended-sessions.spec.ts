import { describe, expect, it } from '@jest/globals';
import { EndedSessions } from './ended-sessions.js';

const at = (endedAt: number) => ({ generation: 0, confirmed: 0, closeCode: 4002, endedAt });

describe('EndedSessions', () => {
  it('remembers how sessions have ended, for a while', () => {
    const ended = new EndedSessions(10, 1_000);
    ended.add('g.e.1', at(100));
    expect(ended.find('g.e.1', 1_100)).toEqual(at(100));
    expect(ended.find('g.e.1', 1_101)).toBeUndefined();
    expect(ended.find('g.e.2', 100)).toBeUndefined();
  });

  it('is bounded by count and time: the oldest go first', () => {
    const ended = new EndedSessions(3, 1_000);
    for (const serial of [1, 2, 3, 4]) ended.add(`g.e.${serial}`, at(100 + serial));
    expect([1, 2, 3, 4].filter(serial => ended.find(`g.e.${serial}`, 110))).toEqual([2, 3, 4]);
    ended.add('g.e.5', at(2_000));
    expect(ended.size).toBe(1);
  });
});
