import { TokenBucket } from '../admission/token-bucket.js';

/** How long a client may go on over its rate before it is closed, in milliseconds. */
const PATIENCE_MS = 10_000;
/** A pause this long ends a period of being over the rate, in milliseconds. */
const PAUSE_MS = 1_000;

export type RateVerdict = 'pass' | 'limited' | 'close';

/** Message rate of one client: a token bucket with a burst of twice the rate, and a close after 10 s above it. */
export class MessageRate {
  private readonly bucket: TokenBucket;
  private limitedSince = 0;
  private limitedLast = 0;

  constructor(perSecond: number, now: number) {
    this.bucket = new TokenBucket(perSecond, perSecond * 2, now);
  }

  check(now: number): RateVerdict {
    if (this.bucket.take(now)) return 'pass';
    if (now - this.limitedLast > PAUSE_MS) this.limitedSince = now;
    this.limitedLast = now;
    return now - this.limitedSince >= PATIENCE_MS ? 'close' : 'limited';
  }
}
