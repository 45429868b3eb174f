/** What a frame costs beside its bytes: the objects that stand for it. */
export const FRAME_BYTES = 128;
/** What its place in a ring costs. */
export const SLOT_BYTES = 16;

/** A frame in rings. The members of a group share one. */
export interface SharedFrame {
  readonly bytes: Uint8Array;
  /** How many rings have it. */
  rings: number;
}

/**
 * Counts what the rings of all sessions hold. A frame that goes to many clients is put into their rings one after another, and is
 * counted once.
 */
export class RingBudget {
  private held = 0;
  private last: SharedFrame | undefined;
  /** While sessions are read from disk: the frames that several of them have. */
  private shared: Map<Uint8Array, SharedFrame> | undefined;

  /**
   * @param limit What all rings may hold, in bytes.
   * @param onFull Called when they hold more; it makes room by clearing rings.
   */
  constructor(
    private readonly limit: number,
    private readonly onFull: () => void = () => undefined,
  ) {}

  /** What all rings hold, in bytes. */
  get bytes(): number {
    return this.held;
  }

  get isOver(): boolean {
    return this.held > this.limit;
  }

  /** Takes a frame for one ring. */
  hold(bytes: Uint8Array): SharedFrame {
    this.held += SLOT_BYTES;
    let frame = this.last;
    if (!frame || frame.bytes !== bytes || frame.rings === 0) {
      frame = this.shared?.get(bytes);
      if (!frame || frame.rings === 0) {
        frame = { bytes, rings: 0 };
        this.shared?.set(bytes, frame);
        this.held += bytes.length + FRAME_BYTES;
      }
      this.last = frame;
    }
    frame.rings++;
    return frame;
  }

  /** Frames that are put into rings by `fill` are counted once, in whatever order that happens. */
  shareAll(fill: () => void): void {
    this.shared = new Map();
    try {
      fill();
    } finally {
      this.shared = undefined;
    }
  }

  /** Makes room when there is too much. */
  settle(): void {
    if (this.held > this.limit) this.onFull();
  }

  /** A ring has let go of a frame. */
  release(frame: SharedFrame): void {
    this.held -= SLOT_BYTES;
    if (--frame.rings > 0) return;
    this.held -= frame.bytes.length + FRAME_BYTES;
    // It would keep the bytes alive.
    if (this.last === frame) this.last = undefined;
  }
}
