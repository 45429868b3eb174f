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

  add(item: Drainable): void {
    this.dirty.push(item);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(this.drainAll);
  }

  private readonly drainAll = (): void => {
    this.scheduled = false;
    const items = this.dirty;
    this.dirty = [];
    for (const item of items) item.drain();
  };
}
