import { numberBatch } from '../wire/envelope.js';
import type { Batch } from './outlet.js';

/** Half of the numbers that batches may have: what is further ahead is behind. */
const HALF = 2 ** 31;

/** Instead of a number of missing batches: the numbers of the peer have begun again. */
export const BEGUN_AGAIN = -1;

/** The numbers of the batches to and from one peer, and how many messages it has sent. */
export class BatchNumbers {
  /** Messages received of the peer, and the number of this count: see {@link Acknowledgement}. */
  received = 0;
  count = newCount();
  private sequenceOut = 0;
  private sequenceIn = 0;

  /** Gives a batch its place among those that the peer gets, and returns it. */
  assign({ frame }: Batch): number {
    this.sequenceOut = (this.sequenceOut + 1) >>> 0 || 1;
    numberBatch(Buffer.isBuffer(frame) ? frame : (frame[0] as Buffer), this.sequenceOut);
    return this.sequenceOut;
  }

  /** The batch that was numbered last was not sent. */
  takeBack(): void {
    this.sequenceOut = (this.sequenceOut - 1) >>> 0;
  }

  /**
   * How many batches are missing before this one: numbers begin with 1 when two nodes meet, and casts have none.
   * {@link BEGUN_AGAIN} when the number goes back: the other side has lost this node and begun again, without this
   * one having noticed.
   */
  gapBefore(sequence: number): number {
    if (sequence === 0) return 0;
    const expected = (this.sequenceIn + 1) >>> 0 || 1;
    const gap = (sequence - expected) >>> 0;
    this.sequenceIn = sequence;
    if (gap < HALF) return gap;
    this.received = 0;
    this.count = newCount();
    return BEGUN_AGAIN;
  }
}

/** Counts of one peer are told apart by chance: nothing else need be remembered of those before. */
function newCount(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
