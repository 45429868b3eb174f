import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { LoopDelay } from './loop-delay.js';

const BLOCK_MS = 150;

describe('LoopDelay', () => {
  let time = 0;
  const delay = new LoopDelay(() => time);

  afterEach(() => {
    delay.stop();
    jest.restoreAllMocks();
  });

  /** Reads as if two seconds had passed since the last time. */
  const readLater = () => {
    time += 2_000;
    return delay.read();
  };

  /** What is measured of a loop that is held up time and again. */
  async function whileBlocked(): Promise<ReturnType<typeof readLater>> {
    for (let attempt = 0; ; attempt++) {
      // What comes right after a reading may fall between two measurements.
      await new Promise(resolve => setTimeout(resolve, 60));
      const end = performance.now() + BLOCK_MS;
      while (performance.now() < end);
      await new Promise(resolve => setTimeout(resolve, 60));
      const figures = readLater();
      if (figures.max >= BLOCK_MS - 50 || attempt === 20) return figures;
    }
  }

  it('has nothing to say at the first reading, which starts it', async () => {
    expect(delay.read()).toEqual({ p50: 0, p99: 0, max: 0 });
    expect(readLater().max).toBeLessThan(5_000);
  });

  it('tells by how much the loop was late, and not of what it waited for anyway', async () => {
    delay.read();
    const figures = await whileBlocked();
    expect(figures.max).toBeGreaterThanOrEqual(BLOCK_MS - 50);
    expect(figures.p50).toBeLessThan(figures.max);
    expect(figures.p99).toBeGreaterThanOrEqual(figures.p50);
  });

  it('begins again with each reading, but gives readings close to each other the same', async () => {
    delay.read();
    const blocked = await whileBlocked();
    time += 500;
    expect(delay.read()).toEqual(blocked);
    // Nothing has been measured since.
    time += 600;
    expect(delay.read()).toEqual({ p50: 0, p99: 0, max: 0 });
  });
});
