/** Bytes that may be under way to a peer. What is beyond waits in this process, where questions can overtake it. */
export const WINDOW_BYTES = 1024 * 1024;
/** How often a peer is asked what it has taken, in bytes. */
const MARK_BYTES = WINDOW_BYTES / 4;
/** Marks that are remembered until they are given back; of older ones only the newest would tell anything new. */
const MAX_MARKS = 16;

/** Where a mark stands. */
interface Mark {
  readonly bytes: number;
  readonly batches: number;
}

/**
 * What is under way to one peer: sent, and not known to be taken. Every so many bytes a mark goes along, with how many bytes
 * have been sent so far; the peer gives it back when it has come so far. Marks say where a peer stands and not how much it
 * has taken since, so that one that is lost is made good by the next.
 */
export class FlowWindow {
  private sent = 0;
  private sentBatches = 0;
  private taken = 0;
  private takenBatches = 0;
  private marked = 0;
  private readonly marks: Mark[] = [];

  get isOpen(): boolean {
    return this.sent - this.taken < WINDOW_BYTES;
  }

  /** Batches of which it is not known whether they have been taken. */
  get untakenBatches(): number {
    return this.sentBatches - this.takenBatches;
  }

  /** Notes a batch that is sent; true when a mark should go with it. */
  note(bytes: number): boolean {
    this.sent += bytes;
    this.sentBatches++;
    return this.sent - this.marked >= MARK_BYTES;
  }

  /** The mark for what has been sent so far. */
  mark(): number {
    this.marked = this.sent;
    this.marks.push({ bytes: this.sent, batches: this.sentBatches });
    if (this.marks.length > MAX_MARKS) this.marks.shift();
    return this.sent;
  }

  /** The peer has given back a mark. One that nobody has made changes nothing. */
  noteTaken(mark: number): void {
    const at = this.marks.findIndex(({ bytes }) => bytes === mark);
    const found = this.marks[at];
    if (!found) return;
    this.marks.splice(0, at + 1);
    this.taken = found.bytes;
    this.takenBatches = found.batches;
  }

  /** Nothing is under way any more: it has arrived, or was lost with the connection. */
  reset(): void {
    this.taken = this.sent;
    this.takenBatches = this.sentBatches;
    this.marked = this.sent;
    this.marks.length = 0;
  }
}
