import type { GateError } from '@nestgate/protocol';
import { ByteWriter } from '../wire/bytes.js';
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../wire/envelope.js';
import type { LinkFrame } from '../link.js';
import type { Pending } from './pending.js';

/** A batch this large leaves at once instead of waiting for the end of the turn. */
const MAX_BATCH_BYTES = 64 * 1024;

/** A batch of messages that is ready to leave. */
export interface Batch {
  readonly frame: LinkFrame;
  readonly bytes: number;
  readonly messages: number;
  /** The last of its requests, from which the others are found. */
  readonly lastRequest: Pending | undefined;
  readonly leavesGap: boolean;
}

/** Gathers messages until the end of the turn. */
export class Outlet {
  readonly writer = new ByteWriter();
  /** Messages in the batch that gathers now. */
  gathered = 0;
  /** Start of the current batch, of `performance.now()`. */
  begunAt = 0;
  /** Whether there is something in the current batch that the peer must not miss unseen, as answers to its requests. */
  leavesGap = false;
  private lastRequest: Pending | undefined;

  /** Makes room for a batch's header, before its first message. */
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

  /** The finished batch, or `undefined` when nothing has gathered. */
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
    // A waiting request must not keep settled ones in memory.
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
