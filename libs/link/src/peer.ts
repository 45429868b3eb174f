import { ByteWriter } from './bytes.js';
import { BATCH_HEADER_BYTES, writeBatchHeader } from './envelope.js';
import type { NodeInfo, SendResult } from './link.js';
import { TransitClock } from './transit-clock.js';

/** A batch this large leaves at once instead of waiting for the end of the turn. */
const MAX_BATCH_BYTES = 256 * 1024;

/** One peer as its node sees it: what it said of itself, and the batch that gathers for it. */
export class Peer {
  readonly writer = new ByteWriter();
  /** How late its batches come. */
  readonly transit = new TransitClock();
  /** Messages in the batch that gathers now. */
  gathered = 0;
  /** True while the peer is listed for the flush at the end of this turn. */
  listed = false;
  private sequenceOut = 0;
  private sequenceIn = 0;
  private drained: Promise<void> | undefined;
  private onDrained: (() => void) | undefined;

  constructor(
    public info: NodeInfo,
    /** True for the node itself: its frames never leave the process. */
    readonly isSelf: boolean,
  ) {}

  /** True when the gathered batch should not grow any more. */
  get isFull(): boolean {
    return this.writer.length >= MAX_BATCH_BYTES;
  }

  /** Makes room for a batch's header, before its first message. */
  prepare(): void {
    if (this.writer.length === 0) writeBatchHeader(this.writer, this.sequenceOut + 1, Date.now());
  }

  /** The finished batch, or `undefined` when nothing gathered. */
  takeBatch(): Buffer | undefined {
    if (this.writer.length <= BATCH_HEADER_BYTES) return undefined;
    this.sequenceOut = (this.sequenceOut + 1) >>> 0;
    this.gathered = 0;
    return this.writer.take();
  }

  /** How many batches are missing between the last one seen and this one. */
  gapBefore(sequence: number): number {
    const gap = (sequence - this.sequenceIn - 1) >>> 0;
    this.sequenceIn = sequence;
    return gap;
  }

  /** Notes what the driver said to a batch. */
  noteSend(result: SendResult): void {
    if (result !== 'congested' || this.drained) return;
    this.drained = new Promise(resolve => {
      this.onDrained = resolve;
    });
  }

  /** Settles when the peer can take more; `undefined` when it can now. */
  whenDrained(): Promise<void> | undefined {
    return this.drained;
  }

  noteDrain(): void {
    this.onDrained?.();
    this.drained = undefined;
    this.onDrained = undefined;
  }
}
