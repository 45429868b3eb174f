import type { GateError } from '@nestgate/protocol';
import type { LinkFrame } from '../link.js';
import { ByteWriter } from '../wire/bytes.js';
import { BATCH_HEADER_BYTES, numberBatch, writeBatchHeader } from '../wire/envelope.js';
import type { Pending } from './pending.js';

/** A batch of this size is sent immediately, not at the end of the turn. */
const MAX_BATCH_BYTES = 64 * 1024;

/** A batch of messages that is ready to be sent. */
export interface Batch {
  readonly frame: LinkFrame;
  readonly bytes: number;
  readonly messages: number;
  /** The last request of the batch; the others are linked from it. */
  readonly lastRequest: Pending | undefined;
  readonly leavesGap: boolean;
}

/** Collects messages into a batch until the end of the turn. */
export class Outlet {
  readonly writer = new ByteWriter();
  /** Number of messages in the current batch. */
  gathered = 0;
  /** Start of the current batch, of `performance.now()`. */
  begunAt = 0;
  /** Whether the peer must detect the loss of the current batch, for example because it has answers to requests of the peer. */
  leavesGap = false;
  private lastRequest: Pending | undefined;

  /** Writes the header of a new batch, before its first message. */
  prepare(): void {
    if (this.writer.length > 0) return;
    this.begunAt = performance.now();
    writeBatchHeader(this.writer, this.begunAt);
  }

  /** Notes that the message written last is this request. */
  addRequest(pending: Pending): void {
    pending.previousInBatch = this.lastRequest;
    this.lastRequest = pending;
  }

  /** True when the current batch should not grow any more. */
  get isFull(): boolean {
    return this.writer.size >= MAX_BATCH_BYTES;
  }

  /** The finished batch, or `undefined` without messages. */
  take(): Batch | undefined {
    const bytes = this.writer.size;
    if (bytes <= BATCH_HEADER_BYTES) return undefined;
    const { gathered: messages, lastRequest, leavesGap } = this;
    this.gathered = 0;
    this.lastRequest = undefined;
    this.leavesGap = false;
    return { frame: this.writer.takeParts(), bytes, messages, lastRequest, leavesGap };
  }
}

/** Unlinks the requests of a batch, and gives each of them the batch's number. */
export function noteSent({ lastRequest }: Batch, number: number): void {
  for (let pending = lastRequest; pending;) {
    const before: Pending | undefined = pending.previousInBatch;
    pending.batch = number;
    // A waiting request must not retain settled ones in memory.
    pending.previousInBatch = undefined;
    pending = before;
  }
}

/** Ends the requests of a batch that was not sent, in the order in which they were written. */
export function endRequests({ lastRequest }: Batch, error: GateError): void {
  const requests: Pending[] = [];
  for (let pending = lastRequest; pending; pending = pending.previousInBatch) requests.push(pending);
  for (const pending of requests.toReversed()) {
    pending.previousInBatch = undefined;
    pending.table?.end(pending, error);
  }
}

/** Half of the range of batch numbers: a difference above it is negative. */
const HALF = 2 ** 31;

/** Result instead of a number of missing batches: the numbers of the peer have started again. */
export const BEGUN_AGAIN = -1;

/** The numbers of the batches to and from one peer, and the number of messages received from it. */
export class BatchNumbers {
  /** Messages received from the peer, and the id of this count: see {@link Acknowledgement}. */
  received = 0;
  count = newCount();
  private sequenceOut = 0;
  private sequenceIn = 0;

  /** Numbers the next batch to the peer, and returns the number. */
  assign({ frame }: Batch): number {
    this.sequenceOut = (this.sequenceOut + 1) >>> 0 || 1;
    numberBatch(Buffer.isBuffer(frame) ? frame : (frame[0] as Buffer), this.sequenceOut);
    return this.sequenceOut;
  }

  /** Takes back the last number: its batch was not sent. */
  takeBack(): void {
    this.sequenceOut = (this.sequenceOut - 1) >>> 0;
  }

  /**
   * The number of batches that are missing before this one. Numbers start with 1 when two nodes connect; casts have none.
   * {@link BEGUN_AGAIN} when the number goes back: the peer has lost this node and started again, which this node has not detected.
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

/** A random id distinguishes the counts of a peer, so that nothing has to be kept of earlier ones. */
function newCount(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
