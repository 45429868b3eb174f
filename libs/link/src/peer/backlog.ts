import type { Batch } from './outlet.js';
import { present } from '../common/checked.js';

/** Maximum number of bytes that wait for one peer. Further messages are refused. */
const MAX_WAITING_BYTES = 128 * 1024 * 1024;
/** Acknowledgement batches are cleared away in lots of this many. */
const COMPACT_AFTER = 1_000;

/** Batches that wait until the peer has acknowledged earlier ones. */
export class Backlog {
  private readonly batches: Batch[] = [];
  private head = 0;
  private bytes = 0;

  get isEmpty(): boolean {
    return this.batches.length === this.head;
  }

  /** Bytes that wait. */
  get size(): number {
    return this.bytes;
  }

  /** Messages that wait; counted when asked for, not when they come. */
  get messages(): number {
    let messages = 0;
    for (let at = this.head; at < this.batches.length; at++) messages += present(this.batches[at]).messages;
    return messages;
  }

  /** False, and the batch is not kept, when too much waits already. */
  push(batch: Batch): boolean {
    if (this.bytes + batch.bytes > MAX_WAITING_BYTES) return false;
    this.batches.push(batch);
    this.bytes += batch.bytes;
    return true;
  }

  shift(): Batch | undefined {
    const batch = this.batches[this.head];
    if (!batch) return undefined;
    this.head++;
    this.bytes -= batch.bytes;
    if (this.isEmpty || this.head >= COMPACT_AFTER) {
      this.batches.splice(0, this.head);
      this.head = 0;
    }
    return batch;
  }

  /** Drops everything; returns how many messages that was. */
  clear(): number {
    let messages = 0;
    for (let batch = this.shift(); batch; batch = this.shift()) messages += batch.messages;
    return messages;
  }
}
