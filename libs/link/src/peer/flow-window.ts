import { present } from '../common/checked.js';
import type { Acknowledgement, Mark } from '../wire/envelope.js';
import type { Batch } from './outlet.js';

/** Bytes that may be unacknowledged per peer. More waits in the backlog, where queries can overtake it. */
export const WINDOW_BYTES = 1024 * 1024;
/** Interval of acknowledgement requests, in bytes. */
const MARK_BYTES = WINDOW_BYTES / 4;

/**
 * The messages in flight to one peer: sent, and not acknowledged. The sender requests an acknowledgement with a mark: every so many
 * bytes, and twice a second while a message is not acknowledged. All numbers are totals, so that the next mark or answer replaces
 * a lost one. Messages that were sent before a mark and not received are missing; messages that were not acknowledged when a peer was lost
 * are uncertain. Both are counted.
 */
export class FlowWindow {
  private sent = 0;
  private taken = 0;
  private marked = 0;
  private messages = 0;
  private received = 0;
  private missing = 0;
  /** The receiver's count, and how many messages earlier counts of it had come to. */
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

  /** The mark for what has been sent so far. */
  mark(): Mark {
    this.marked = this.sent;
    return { bytes: this.sent, messages: this.messages };
  }

  /** The peer has answered a mark. Returns how many more messages are known to be missing. Impossible answers change nothing. */
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

  /** Empties the window after a reconnect: messages have arrived or were lost. The peer is still asked which. */
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

  /** Settles when it is over; `undefined` when there is none. */
  whenOver(): Promise<void> | undefined {
    return this.over;
  }
}
