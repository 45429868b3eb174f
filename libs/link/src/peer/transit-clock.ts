/** How long the shortest transit is remembered, in milliseconds: a clock that has been set is forgiven after that. */
const WINDOW_MS = 30_000;

/**
 * How long a batch was on its way beyond the usual, without clocks that agree: the transits of one peer are compared with
 * the shortest recent one. A worker that was stopped must detect that the batches in its sockets are old.
 */
export class TransitClock {
  private shortest = Number.POSITIVE_INFINITY;
  private shortestBefore = Number.POSITIVE_INFINITY;
  private windowEnd = 0;

  /** The delay of a batch in milliseconds: 0 for the fastest. Both times are of `performance.now()`, each of its own machine. */
  delayOf(sentAt: number, receivedAt: number): number {
    if (receivedAt >= this.windowEnd) {
      // A long silence says nothing about transits: then only what comes now counts.
      this.shortestBefore = receivedAt < this.windowEnd + WINDOW_MS ? this.shortest : Number.POSITIVE_INFINITY;
      this.shortest = Number.POSITIVE_INFINITY;
      this.windowEnd = receivedAt + WINDOW_MS;
    }
    const transit = receivedAt - sentAt;
    // What a peer says may be no time at all: remembered, it would be the shortest for good.
    if (!Number.isFinite(transit)) return 0;
    this.shortest = Math.min(this.shortest, transit);
    return transit - Math.min(this.shortest, this.shortestBefore);
  }
}
