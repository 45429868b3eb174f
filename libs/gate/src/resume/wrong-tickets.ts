import { TokenBucket } from '../admission/token-bucket.js';

/** Wrong tickets of one address that are answered like any other refusal, per second and at once. */
const RATE = 1;
const BURST = 30;
/** Addresses that are known; with one more all begin again. */
const MAX_ADDRESSES = 10_000;

/** Limits how many wrong tickets an address may show. */
export class WrongTickets {
  private readonly buckets = new Map<string, TokenBucket>();

  /** Notes one; false when there are too many. */
  admits(address: string, now: number): boolean {
    let bucket = this.buckets.get(address);
    if (!bucket) {
      if (this.buckets.size >= MAX_ADDRESSES) this.buckets.clear();
      this.buckets.set(address, (bucket = new TokenBucket(RATE, BURST, now)));
    }
    return bucket.take(now);
  }
}
