import { describe, expect, it } from '@jest/globals';
import { TokenBucket } from './token-bucket.js';

/** How many of `attempts` at one moment get a token. */
function takeAt(bucket: TokenBucket, now: number, attempts = 100): number {
  let taken = 0;
  for (let i = 0; i < attempts; i++) if (bucket.take(now)) taken++;
  return taken;
}

describe('TokenBucket', () => {
  it('lets a burst of its capacity through, then nothing', () => {
    expect(takeAt(new TokenBucket(10, 30, 1_000), 1_000)).toBe(30);
  });

  it('fills up at its rate', () => {
    const bucket = new TokenBucket(10, 30, 1_000);
    takeAt(bucket, 1_000);
    expect(takeAt(bucket, 1_099)).toBe(0);
    expect(takeAt(bucket, 1_100)).toBe(1);
    expect(takeAt(bucket, 2_100)).toBe(10);
  });

  it('never holds more than its capacity', () => {
    const bucket = new TokenBucket(10, 30, 1_000);
    expect(takeAt(bucket, 1_000_000)).toBe(30);
  });

  it('loses no fraction of a token between calls', () => {
    const bucket = new TokenBucket(1, 1, 0);
    takeAt(bucket, 0);
    let taken = 0;
    for (let now = 1; now <= 64_000; now++) if (bucket.take(now)) taken++;
    expect(taken).toBeGreaterThanOrEqual(63);
    expect(taken).toBeLessThanOrEqual(64);
  });

  it('goes on at its rate after the clock was set back', () => {
    const bucket = new TokenBucket(10, 30, 3_600_000);
    takeAt(bucket, 3_600_000);
    expect(takeAt(bucket, 0)).toBe(0);
    expect(takeAt(bucket, 1_000)).toBe(10);
  });
});
