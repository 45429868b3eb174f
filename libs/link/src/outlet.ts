import { ByteWriter } from './bytes.js';
import { BATCH_HEADER_BYTES } from './envelope.js';
import type { SendResult } from './link.js';

/** A batch this large leaves at once instead of waiting for the end of the turn. */
const MAX_BATCH_BYTES = 256 * 1024;

/** Where messages leave a node: the batch that gathers, and whether more should be sent now. */
export abstract class Outlet {
  readonly writer = new ByteWriter();
  /** Messages in the batch that gathers now. */
  gathered = 0;
  /** True while it is listed for the flush at the end of this turn. */
  listed = false;
  private drained: Promise<void> | undefined;
  private onDrained: (() => void) | undefined;

  /** Makes room for a batch's header, before its first message. */
  abstract prepare(): void;

  /** True when the gathered batch should not grow any more. */
  get isFull(): boolean {
    return this.writer.length >= MAX_BATCH_BYTES;
  }

  /** The finished batch, or `undefined` when nothing gathered. */
  takeBatch(): Buffer | undefined {
    if (this.writer.length <= BATCH_HEADER_BYTES) return undefined;
    this.gathered = 0;
    return this.writer.take();
  }

  /** Notes what the driver said to a batch. */
  noteSend(result: SendResult): void {
    if (result !== 'congested' || this.drained) return;
    this.drained = new Promise(resolve => {
      this.onDrained = resolve;
    });
  }

  /** Settles when more can be sent; `undefined` when it can now. */
  whenDrained(): Promise<void> | undefined {
    return this.drained;
  }

  noteDrain(): void {
    this.onDrained?.();
    this.drained = undefined;
    this.onDrained = undefined;
  }
}
