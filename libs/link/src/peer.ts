import { writeBatchHeader } from './envelope.js';
import type { NodeInfo } from './link.js';
import { Outlet } from './outlet.js';
import { TransitClock } from './transit-clock.js';

/** One peer as its node sees it: what it said of itself, and the batch that gathers for it. */
export class Peer extends Outlet {
  /** How late its batches come. */
  readonly transit = new TransitClock();
  private sequenceOut = 0;
  private sequenceIn = 0;

  constructor(
    public info: NodeInfo,
    /** True for the node itself: its frames never leave the process. */
    readonly isSelf: boolean,
  ) {
    super();
  }

  override prepare(): void {
    if (this.writer.length === 0) writeBatchHeader(this.writer, this.sequenceOut + 1, Date.now());
  }

  override takeBatch(): Buffer | undefined {
    const batch = super.takeBatch();
    if (batch) this.sequenceOut = (this.sequenceOut + 1) >>> 0;
    return batch;
  }

  /** How many batches are missing between the last one seen and this one. Casts have no number among them. */
  gapBefore(sequence: number): number {
    if (sequence === UNNUMBERED) return 0;
    const gap = (sequence - this.sequenceIn - 1) >>> 0;
    this.sequenceIn = sequence;
    return gap;
  }
}

/** The sequence of a batch that goes to a channel: each gate sees only those of the channels that it has joined. */
export const UNNUMBERED = 0;
