const EMPTY = new Uint8Array(0);

/** Something that writes out what has gathered in it. */
export interface Drainable {
  drain(): void;
}

/**
 * Merges writes: whoever has something to send lists itself, and all are drained in one microtask, after the chunk of
 * input that made them write has been worked off. One socket gets one write for all its frames of that chunk.
 */
export class DrainQueue {
  private dirty: Drainable[] = [];
  private scheduled = false;
  private lastFrames: readonly Uint8Array[] = [];
  private lastData: Uint8Array = EMPTY;

  add(item: Drainable): void {
    this.dirty.push(item);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(this.drainAll);
  }

  /** Several frames as one piece. Members of a group get the same ones one after another, and share the piece. */
  merge(frames: readonly Uint8Array[], bytes: number): Uint8Array {
    if (!this.areLast(frames)) {
      this.lastFrames = frames;
      this.lastData = Buffer.concat(frames, bytes);
    }
    return this.lastData;
  }

  private areLast(frames: readonly Uint8Array[]): boolean {
    const { lastFrames } = this;
    if (frames.length !== lastFrames.length) return false;
    for (let i = 0; i < frames.length; i++) if (frames[i] !== lastFrames[i]) return false;
    return true;
  }

  private readonly drainAll = (): void => {
    this.scheduled = false;
    const items = this.dirty;
    this.dirty = [];
    for (const item of items) item.drain();
    // Kept for one drain only: it would pin what has long been sent.
    this.lastFrames = [];
    this.lastData = EMPTY;
  };
}
