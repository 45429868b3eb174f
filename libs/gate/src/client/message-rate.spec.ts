import { describe, expect, it } from '@jest/globals';
import { MessageRate, type RateVerdict } from './frame-intake.js';

const START = 1_700_000_000_000;

/** What becomes of a message every `everyMs` for `forMs`: the verdicts with the times at which they were first given. */
function send(rate: MessageRate, from: number, everyMs: number, forMs: number): Map<RateVerdict, number> {
  const first = new Map<RateVerdict, number>();
  for (let at = 0; at <= forMs; at += everyMs) {
    const verdict = rate.check(START + from + at);
    if (!first.has(verdict)) first.set(verdict, at);
  }
  return first;
}

describe('MessageRate', () => {
  it('lets twice the rate through at once', () => {
    const rate = new MessageRate(10, START);
    const verdicts = Array.from({ length: 21 }, () => rate.check(START));
    expect(verdicts).toEqual([...Array.from({ length: 20 }, () => 'pass'), 'limited']);
  });

  it('never limits a client at its rate', () => {
    expect([...send(new MessageRate(10, START), 0, 100, 60_000).keys()]).toEqual(['pass']);
  });

  it('closes who has been over the rate for 10 s, not before', () => {
    const verdicts = send(new MessageRate(10, START), 0, 10, 30_000);
    const limited = verdicts.get('limited') ?? Number.NaN;
    // The burst of 20 and what trickles in meanwhile.
    expect(limited).toBeGreaterThanOrEqual(190);
    expect(limited).toBeLessThanOrEqual(240);
    expect(verdicts.get('close')).toBe(limited + 10_000);
  });

  it('forgives after a pause of more than a second', () => {
    const rate = new MessageRate(10, START);
    expect(send(rate, 0, 10, 9_000).has('limited')).toBe(true);
    const again = send(rate, 9_960, 10, 12_000);
    expect(again.get('close')).toBe((again.get('limited') ?? Number.NaN) + 10_000);
  });

  it('does not forgive a pause of less than a second', () => {
    const rate = new MessageRate(10, START);
    send(rate, 0, 10, 9_800);
    expect(send(rate, 10_700, 10, 1_000).has('close')).toBe(true);
  });
});
