/** Bytes that may be under way to a peer. What is beyond waits in this process, where questions can overtake it. */
export const WINDOW_BYTES = 1024 * 1024;
/** How often a peer is asked what it has taken, in bytes. */
const MARK_BYTES = WINDOW_BYTES / 4;

/** What a sender has sent to a peer so far. */
export interface Mark {
  readonly bytes: number;
  readonly messages: number;
}

/** The answer to a mark: what the receiver has got of the sender up to there. */
export interface Taken extends Mark {
  /** Names the count: a receiver that has taken the sender for lost counts from 0 again, under another number. */
  readonly count: number;
  /** Messages received under this number. */
  readonly received: number;
}

/**
 * What is under way to one peer: sent, and not acknowledged. The sender requests an acknowledgement with a mark: every so many
 * bytes, and twice a second while a message is not acknowledged. All numbers are totals, so that a lost mark or answer is made
 * good by the next one. What was sent before a mark and not received is missing; what was not acknowledged when a peer was
 * lost is uncertain. Both are counted in messages.
 */
export class FlowWindow {
  /** True while its node requests acknowledgements by time. */
  isWatched = false;
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

  /** Whether the fate of every message is known. */
  get isSettled(): boolean {
    return this.messages === this.received + this.missing;
  }

  /** Notes what is sent; true when a mark should go with it. Casts are counted elsewhere: they are 0 messages here. */
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
  noteTaken({ bytes, messages, count, received }: Taken): number {
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

  /** Nothing is under way any more: it has arrived, or was lost with the connection. The peer is still asked which. */
  reset(): void {
    this.taken = this.sent;
    this.marked = this.sent;
  }

  /** The peer is gone. Returns of how many messages it is not known whether they have arrived. */
  lose(): number {
    const uncertain = Math.max(0, this.messages - this.received - this.missing);
    this.missing += uncertain;
    return uncertain;
  }
}
