/** How long the shortest transit time is kept, in milliseconds. After that a jump of a clock has no effect any more. */
const WINDOW_MS = 30_000;

/**
 * Measures the delay of batches without synchronized clocks: compares the transit times of one peer with the shortest recent one. A worker
 * that was paused must detect that the batches in its sockets are old.
 */
export class TransitClock {
  private shortest = Number.POSITIVE_INFINITY;
  private shortestBefore = Number.POSITIVE_INFINITY;
  private windowEnd = 0;

  /** The delay of a batch in milliseconds; 0 for the fastest. Each time is of `performance.now()` of its node. */
  delayOf(sentAt: number, receivedAt: number): number {
    if (receivedAt >= this.windowEnd) {
      // After a long silence the earlier transit times are outdated.
      this.shortestBefore = receivedAt < this.windowEnd + WINDOW_MS ? this.shortest : Number.POSITIVE_INFINITY;
      this.shortest = Number.POSITIVE_INFINITY;
      this.windowEnd = receivedAt + WINDOW_MS;
    }
    const transit = receivedAt - sentAt;
    // A malformed time must not be kept: it would stay the shortest.
    if (!Number.isFinite(transit)) return 0;
    this.shortest = Math.min(this.shortest, transit);
    return transit - Math.min(this.shortest, this.shortestBefore);
  }
}
