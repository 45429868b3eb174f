import type { Mark, Acknowledgement } from '../wire/envelope.js';

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
