/** Bytes that may be under way to a peer. What is beyond waits in this process, where questions can overtake it. */
export const WINDOW_BYTES = 1024 * 1024;
/** How often a peer is asked what it has taken, in bytes. */
const MARK_BYTES = WINDOW_BYTES / 4;

/**
 * What is under way to one peer: sent, and not known to be taken. Every so many bytes a mark goes along, with how many bytes
 * have been sent so far; the peer gives it back when it has come so far. Marks say where a peer stands and not how much it
 * has taken since, so that one that is lost is made good by the next.
 */
export class FlowWindow {
  private sent = 0;
  private taken = 0;
  private marked = 0;

  get isOpen(): boolean {
    return this.sent - this.taken < WINDOW_BYTES;
  }

  /** Notes what is sent; true when a mark should go with it. */
  note(bytes: number): boolean {
    this.sent += bytes;
    return this.sent - this.marked >= MARK_BYTES;
  }

  /** The mark for what has been sent so far. */
  mark(): number {
    this.marked = this.sent;
    return this.sent;
  }

  /** The peer has given back a mark. One that nobody has made changes nothing. */
  noteTaken(mark: number): void {
    if (mark > this.taken && mark <= this.sent) this.taken = mark;
  }

  /** Nothing is under way any more: it has arrived, or was lost with the connection. */
  reset(): void {
    this.taken = this.sent;
    this.marked = this.sent;
  }
}
