/** Moments within one millisecond. */
const STEPS = 1_024;
/**
 * How far ahead of this node's clock a moment of another node may be, in milliseconds: clocks may be an hour off in either direction.
 * One that is further ahead would move the clocks of all nodes, and they would never go back.
 */
const MAX_AHEAD_MS = 4 * 3_600_000;

/**
 * A hybrid logical clock: moments that grow with the time, and that are later than every moment of another node that has
 * been observed, however its clock goes. A moment is milliseconds since the epoch times 1024, and a count. The time of day is read
 * once: setting it later changes no order.
 */
export class HybridClock {
  private last = 0;

  /** A moment later than all before. */
  next(): number {
    this.last = Math.max(this.last + 1, physicalNow());
    return this.last;
  }

  /** Whether this can be a moment of another node: a safe integer, and not too far ahead. */
  accepts(moment: unknown): moment is number {
    return (
      Number.isSafeInteger(moment) &&
      (moment as number) >= 0 &&
      (moment as number) <= physicalNow() + MAX_AHEAD_MS * STEPS
    );
  }

  /** Another node has told this moment. One that this clock does not {@link accepts | accept} changes nothing. */
  observe(moment: number): void {
    if (moment > this.last && this.accepts(moment)) this.last = moment;
  }
}

function physicalNow(): number {
  return Math.floor((performance.timeOrigin + performance.now()) * STEPS);
}
