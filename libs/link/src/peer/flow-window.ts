import { present } from '../common/checked.js';
import type { Acknowledgement, Mark } from '../wire/envelope.js';
import type { Batch } from './outlet.js';

/** Bytes that may be unacknowledged per peer. More waits in the backlog, where queries can overtake it. */
export const WINDOW_BYTES = 1024 * 1024;
/** Interval of acknowledgement requests, in bytes. */
const MARK_BYTES = WINDOW_BYTES / 4;

/**
 * The messages in flight to one peer: sent, and not acknowledged. The sender requests an acknowledgement with a mark, every 256 KiB, and
 * twice a second while a message is not acknowledged. All numbers are totals, so that the next mark or answer replaces a lost one.
 * Messages that were sent before a mark and not received are missing. Messages that are not acknowledged when the peer is lost are
 * uncertain. Both are counted.
 */
export class FlowWindow {
  private sent = 0;
  private taken = 0;
  private marked = 0;
  private messages = 0;
  private received = 0;
  private missing = 0;
  /** The id of the receiver's count, and the messages that its earlier counts had received. A receiver that restarts begins a new count. */
  private count: number | undefined;
  private earlier = 0;

  get isOpen(): boolean {
    return this.sent - this.taken < WINDOW_BYTES;
  }

  /** Whether every message is acknowledged or lost. */
  get isSettled(): boolean {
    return this.messages === this.received + this.missing;
  }

  /** Counts sent messages; returns true when a mark should follow. Casts are counted elsewhere: they are 0 messages here. */
  note(bytes: number, messages: number): boolean {
    this.sent += bytes;
    this.messages += messages;
    return this.sent - this.marked >= MARK_BYTES;
  }

  /** A mark with the totals so far. */
  mark(): Mark {
    this.marked = this.sent;
    return { bytes: this.sent, messages: this.messages };
  }

  /** Handles the answer to a mark. Returns the number of messages that are newly known to be missing. Impossible answers are ignored. */
  noteAcknowledgement({ bytes, messages, count, received }: Acknowledgement): number {
    if (bytes > this.taken && bytes <= this.sent) this.taken = bytes;
    if (count !== this.count) {
      this.count = count;
      this.earlier = this.received;
    }
    const total = this.earlier + received;
    if (!(total >= this.received && total <= this.messages)) return 0;
    this.received = total;
    if (!(messages <= this.messages)) return 0;
    const more = Math.max(0, messages - total - this.missing);
    this.missing += more;
    return more;
  }

  /** Empties the window after a reconnect: each message has arrived or was lost. The next mark finds out which. */
  reset(): void {
    this.taken = this.sent;
    this.marked = this.sent;
  }

  /** The peer is gone. Returns the number of uncertain messages. */
  lose(): number {
    const uncertain = Math.max(0, this.messages - this.received - this.missing);
    this.missing += uncertain;
    return uncertain;
  }
}

/** Maximum size of the backlog of one peer, in bytes. Further messages are refused. */
const MAX_WAITING_BYTES = 128 * 1024 * 1024;
/** The entries of sent batches are removed together, this many at a time. */
const COMPACT_AFTER = 1_000;

/** Batches that wait until the peer has acknowledged earlier messages. */
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

  /** Number of waiting messages. Counted on access, so that `push` costs nothing for it. */
  get messages(): number {
    let messages = 0;
    for (let at = this.head; at < this.batches.length; at++) messages += present(this.batches[at]).messages;
    return messages;
  }

  /** Adds a batch. False, and the batch is not kept, when the backlog is full. */
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

  /** Drops all batches. Returns the number of their messages. */
  clear(): number {
    let messages = 0;
    for (let batch = this.shift(); batch; batch = this.shift()) messages += batch.messages;
    return messages;
  }
}

/** A period of backpressure. Senders can wait for its end. */
export class Congestion {
  private over: Promise<void> | undefined;
  private finish: (() => void) | undefined;

  begin(): void {
    this.over ??= new Promise(resolve => {
      this.finish = resolve;
    });
  }

  end(): void {
    this.finish?.();
    this.over = undefined;
    this.finish = undefined;
  }

  /** Settles when backpressure ends; `undefined` without backpressure. */
  whenOver(): Promise<void> | undefined {
    return this.over;
  }
}
