/** Moments within one millisecond. */
const STEPS = 1_024;

/**
 * A hybrid logical clock: moments that grow with the time, and that are later than every moment of another node that has
 * been heard of, however its clock goes. A moment is milliseconds since the epoch times 1024, and a count.
 */
export class HybridClock {
  private last = 0;

  /** A moment later than all before. */
  next(): number {
    this.last = Math.max(this.last + 1, Date.now() * STEPS);
    return this.last;
  }

  /** Another node's moment has been heard of. */
  observe(moment: number): void {
    if (Number.isSafeInteger(moment) && moment > this.last) this.last = moment;
  }
}
