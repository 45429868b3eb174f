import { ByteWriter } from './bytes.js';
import { BATCH_HEADER_BYTES, writeBatchHeader } from './envelope.js';

/** A batch this large leaves at once instead of waiting for the end of the turn. */
const MAX_BATCH_BYTES = 256 * 1024;

/** A batch of messages that is ready to leave. */
export interface Batch {
  readonly frame: Buffer;
  readonly messages: number;
  /** That of the outlet while it gathered. */
  readonly number: number;
}

/** Batches begun in this process. */
let begun = 0;

/** Where messages gather until the end of the turn. */
export class Outlet {
  readonly writer = new ByteWriter();
  /** Messages in the batch that gathers now. */
  gathered = 0;
  /** Names the batch that gathers now, or was the last to: no other batch has this number. */
  number = 0;
  /** When the batch that gathers now began, of `performance.now()`. */
  begunAt = 0;

  /** Makes room for a batch's header, before its first message. */
  prepare(): void {
    if (this.writer.length > 0) return;
    this.begunAt = performance.now();
    writeBatchHeader(this.writer, this.begunAt);
    this.number = ++begun;
  }

  /** True when the gathered batch should not grow any more. */
  get isFull(): boolean {
    return this.writer.length >= MAX_BATCH_BYTES;
  }

  /** The finished batch, or `undefined` when nothing has gathered. */
  take(): Batch | undefined {
    if (this.writer.length <= BATCH_HEADER_BYTES) return undefined;
    const messages = this.gathered;
    this.gathered = 0;
    return { frame: this.writer.take(), messages, number: this.number };
  }
}
