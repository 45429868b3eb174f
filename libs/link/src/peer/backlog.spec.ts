import { describe, expect, it } from '@jest/globals';
import { Backlog } from './flow-window.js';

const batch = (messages: number, bytes = 10) => ({
  frame: Buffer.alloc(0),
  bytes,
  messages,
  lastRequest: undefined,
  leavesGap: false,
});

describe('Backlog', () => {
  it('gives back what it was given, in order', () => {
    const backlog = new Backlog();
    const seen: number[] = [];
    for (let n = 1; n <= 5_000; n++) {
      expect(backlog.push(batch(n))).toBe(true);
      if (n % 3 === 0) seen.push(backlog.shift()?.messages ?? 0);
    }
    for (let next = backlog.shift(); next; next = backlog.shift()) seen.push(next.messages);
    expect(seen).toEqual(Array.from({ length: 5_000 }, (_, n) => n + 1));
    expect(backlog.isEmpty).toBe(true);
  });

  it('is bounded by bytes, and has room again for what has left', () => {
    const backlog = new Backlog();
    const large = batch(1, 32 * 1024 * 1024);
    for (let n = 0; n < 4; n++) expect(backlog.push(large)).toBe(true);
    expect(backlog.push(batch(1))).toBe(false);
    backlog.shift();
    expect(backlog.push(large)).toBe(true);
  });

  it('says how many messages were dropped with it', () => {
    const backlog = new Backlog();
    for (const messages of [3, 4, 5]) backlog.push(batch(messages));
    expect([backlog.messages, backlog.size]).toEqual([12, 30]);
    backlog.shift();
    expect([backlog.messages, backlog.size]).toEqual([9, 20]);
    expect(backlog.clear()).toBe(9);
    expect(backlog.isEmpty).toBe(true);
    expect(backlog.clear()).toBe(0);
    expect([backlog.messages, backlog.size]).toEqual([0, 0]);
  });
});
