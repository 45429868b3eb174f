import { describe, expect, it } from '@jest/globals';
import { NatsLink } from '../drivers/nats/nats-link.js';
import { Linger } from './linger.js';

/** Turns at a fixed rate, and what the decisions were. */
class Turns {
  readonly linger = new Linger();
  now = 1_000;

  /** Returns in how many turns messages waited. Those that wait leave after a millisecond, as by the timer of the node. */
  run(ms: number, perMs: number, messages = 1): number {
    let waited = 0;
    let leavesAt = Number.POSITIVE_INFINITY;
    for (const end = this.now + ms; this.now < end; this.now += 1 / perMs) {
      if (this.now >= leavesAt) this.leave();
      this.linger.gathered += messages;
      if (this.linger.waits(this.now)) {
        waited++;
        if (leavesAt <= this.now || leavesAt === Number.POSITIVE_INFINITY) leavesAt = this.now + 1;
      } else {
        this.leave();
        leavesAt = Number.POSITIVE_INFINITY;
      }
    }
    this.leave();
    return waited;
  }

  private leave(): void {
    this.linger.end();
  }
}

describe('Linger', () => {
  it('is used on NATS, unless it is turned off', () => {
    expect(new NatsLink({ url: 'nats://a' }).lingers).toBe(true);
    expect(new NatsLink({ url: 'nats://a', lingers: false }).lingers).toBe(false);
  });

  it.each([0.01, 0.5, 1.5])('has nothing wait at %d turns per millisecond', perMs => {
    expect(new Turns().run(3_000, perMs)).toBe(0);
  });

  it.each([3, 5, 20])('has messages wait at %d turns per millisecond, after a window of 50 ms', perMs => {
    const turns = new Turns();
    expect(turns.run(45, perMs)).toBe(0);
    expect(turns.run(2_000, perMs)).toBeGreaterThan(2_000 * perMs * 0.8);
  });

  it('has nothing wait while each turn sends several messages: they share a batch already', () => {
    expect(new Turns().run(2_000, 5, 4)).toBe(0);
  });

  it('lets 16 messages leave at the end of their turn', () => {
    const turns = new Turns();
    turns.run(200, 5);
    turns.linger.gathered = 15;
    expect(turns.linger.waits(turns.now)).toBe(true);
    turns.linger.gathered = 16;
    expect(turns.linger.waits(turns.now)).toBe(false);
  });

  it('stops with the first turn after the rate has dropped', () => {
    const turns = new Turns();
    turns.run(200, 5);
    turns.now += 60;
    expect(turns.run(3_000, 0.5)).toBe(0);
  });

  it('stops for a second when waiting makes the rate drop: the senders wait for answers', () => {
    const turns = new Turns();
    expect(turns.run(50, 5)).toBe(0);
    const slowed = turns.run(101, 2.5);
    expect(slowed).toBeGreaterThan(0);
    expect(turns.run(900, 5)).toBe(0);
    expect(turns.run(300, 5)).toBeGreaterThan(0);
  });

  it('measures the rate without waiting every second', () => {
    const turns = new Turns();
    turns.run(200, 5);
    let longest = 0;
    let without = 0;
    for (let n = 0; n < 150; n++) {
      without = turns.run(10, 5) === 0 ? without + 10 : 0;
      longest = Math.max(longest, without);
    }
    expect(longest).toBeGreaterThanOrEqual(30);
    expect(longest).toBeLessThanOrEqual(60);
  });
});
