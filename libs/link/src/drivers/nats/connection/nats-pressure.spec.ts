import { beforeEach, describe, expect, it } from '@jest/globals';
import { NatsPressure } from './nats-pressure.js';

const HIGH_BYTES = 4 * 1024 * 1024;
const FULL_BYTES = 32 * 1024 * 1024;
const ASK_BYTES = 256 * 1024;

describe('NatsPressure', () => {
  let lows: number;
  let pressure: NatsPressure;
  /** The round trips that are under way. */
  let flushes: { resolve(): void; reject(error: Error): void }[];

  beforeEach(() => {
    [lows, flushes] = [0, []];
    pressure = new NatsPressure(() => lows++);
    pressure.attach({ flush: () => new Promise((resolve, reject) => flushes.push({ resolve, reject })) });
  });

  const settled = () => new Promise(resolve => setImmediate(resolve));
  async function confirm(count = flushes.length): Promise<void> {
    for (const { resolve } of flushes.splice(0, count)) resolve();
    await settled();
  }
  /** Hands over so many bytes, in pieces that are confirmed one by one. */
  const send = (bytes: number): void => {
    for (let left = bytes; left > 0; left -= ASK_BYTES) pressure.note(Math.min(left, ASK_BYTES));
  };

  it('has the server confirm every so many bytes, and not more often', () => {
    pressure.note(ASK_BYTES - 1);
    expect(flushes).toHaveLength(0);
    pressure.note(1);
    pressure.note(ASK_BYTES - 1);
    expect(flushes).toHaveLength(1);
    pressure.confirm();
    pressure.confirm();
    expect(flushes).toHaveLength(2);
  });

  it('is high and full above its bounds, and tells once when it is low again', async () => {
    send(HIGH_BYTES);
    expect(pressure.isHigh).toBe(false);
    pressure.note(1);
    expect([pressure.isHigh, pressure.isFull]).toEqual([true, false]);
    send(FULL_BYTES - HIGH_BYTES);
    expect(pressure.isFull).toBe(true);
    await confirm(flushes.length - HIGH_BYTES / 2 / ASK_BYTES - 1);
    expect([pressure.isFull, pressure.isHigh, lows]).toEqual([false, false, 0]);
    // Half of what is high is low.
    await confirm(1);
    expect(lows).toBe(1);
    await confirm();
    expect(lows).toBe(1);
  });

  it('tells nobody that it is low who was not told that it is high', async () => {
    send(HIGH_BYTES + ASK_BYTES);
    await confirm();
    expect(lows).toBe(0);
  });

  it('begins from nothing with another connection, to which nothing of the one before counts', async () => {
    send(HIGH_BYTES + ASK_BYTES);
    expect(pressure.isHigh).toBe(true);
    pressure.reset();
    expect([pressure.isHigh, lows]).toEqual([false, 1]);
    send(HIGH_BYTES);
    pressure.note(1);
    // What the connection before confirms only now.
    await confirm(HIGH_BYTES / ASK_BYTES + 1);
    expect(pressure.isHigh).toBe(true);
    await confirm();
    expect([pressure.isHigh, lows]).toEqual([false, 2]);
  });

  it('counts nothing as confirmed by a round trip that fails', async () => {
    send(HIGH_BYTES + ASK_BYTES);
    for (const { reject } of flushes.splice(0)) reject(new Error('closed'));
    await settled();
    expect([pressure.isHigh, lows]).toEqual([true, 0]);
  });

  it('tells nothing any more once it has stopped', async () => {
    send(HIGH_BYTES + ASK_BYTES);
    expect(pressure.isHigh).toBe(true);
    pressure.stop();
    await confirm();
    expect(lows).toBe(0);
  });
});
