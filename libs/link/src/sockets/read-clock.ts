/**
 * The time at which bytes arrived. All frames of one read share one look at the clock, which costs as much as the way of a frame
 * through the router.
 */
export class ReadClock {
  private isReading = false;
  private readAt = 0;

  /** A read begins: the next look at the clock counts for all of it. */
  begin(): void {
    this.isReading = true;
    this.readAt = 0;
  }

  /** The read has ended. */
  end(): void {
    this.isReading = false;
  }

  /** The time of the read in progress, or of now outside of one; in milliseconds of `performance.now()`. */
  now(): number {
    if (!this.isReading) return performance.now();
    if (this.readAt === 0) this.readAt = performance.now();
    return this.readAt;
  }
}
