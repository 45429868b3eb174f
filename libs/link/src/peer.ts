import { Backlog } from './backlog.js';
import { clientIdPrefix } from './client-id.js';
import { CastTally } from './cast-tally.js';
import { Congestion } from './congestion.js';
import { numberBatch } from './envelope.js';
import { FlowWindow } from './flow-window.js';
import type { NodeInfo } from './link.js';
import { type Batch, Outlet } from './outlet.js';
import type { RequestPool } from './request-pool.js';
import { RequestTable } from './request-table.js';
import { TransitClock } from './transit-clock.js';

/** Half of the numbers that batches may have: what is further ahead is behind. */
const HALF = 2 ** 31;

/** Instead of a number of missing batches: the numbers of the peer have begun again. */
export const BEGUN_AGAIN = -1;

/** One peer as its node sees it: what it said of itself, and what is on its way to it. */
export class Peer {
  /** How late its batches come. */
  readonly transit = new TransitClock();
  /** Messages in their order. */
  readonly main = new Outlet();
  /** Questions and their answers: they wait for nothing. */
  readonly urgent = new Outlet();
  readonly window = new FlowWindow();
  /** What of the casts of each side has reached the other. */
  readonly casts = new CastTally();
  readonly backlog = new Backlog();
  readonly congestion = new Congestion();
  /** What waits for its answers. */
  readonly requests: RequestTable;
  /** True when the node has lost it: nothing is sent to it any more. */
  isLost = false;
  /** True while the driver itself holds too much for it. */
  isDriverFull = false;
  /** True while the peer is listed for the flush at the end of this turn. */
  listed = false;
  /** What the ids of its clients start with, if it is a gate. */
  readonly clientPrefix: string;
  private sequenceOut = 0;
  private sequenceIn = 0;
  /** Messages received of it, and the number of this count: see {@link Taken}. */
  received = 0;
  count = newCount();

  constructor(
    public info: NodeInfo,
    /** True for the node itself: its frames never leave the process. */
    readonly isSelf: boolean,
    pool: RequestPool,
  ) {
    this.requests = new RequestTable(pool);
    this.clientPrefix = clientIdPrefix(info.id, info.epoch);
  }

  /** Settles when more should be sent to it; `undefined` when it may be now. */
  whenDrained(): Promise<void> | undefined {
    return this.congestion.whenOver();
  }

  /** Whether what is sent now leaves at once. */
  get isFlowing(): boolean {
    return this.backlog.isEmpty && this.window.isOpen;
  }

  /** Gives a batch its place among those that this peer gets, and returns it. */
  number(batch: Batch): number {
    this.sequenceOut = (this.sequenceOut + 1) >>> 0 || 1;
    const { frame } = batch;
    numberBatch(Buffer.isBuffer(frame) ? frame : (frame[0] as Buffer), this.sequenceOut);
    return this.sequenceOut;
  }

  /** The batch that was numbered last was not sent. */
  takeBackNumber(): void {
    this.sequenceOut = (this.sequenceOut - 1) >>> 0;
  }

  /**
   * How many batches are missing before this one: numbers begin with 1 when two nodes meet, and casts have none.
   * {@link BEGUN_AGAIN} when the number goes back: the other side has taken this one for lost and begun again, without this
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
