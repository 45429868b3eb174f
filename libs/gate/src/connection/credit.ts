import type { Connection } from './connection.js';
import { FrameHold } from './frame-hold.js';
import { OpenIds } from './open-ids.js';

/**
 * How many frames of one client may be on their way, and the frames that are beyond that. Past the credit the client's
 * socket is not read, so that TCP slows it down.
 */
export class Credit {
  /** Frames whose handler has not settled. */
  unanswered = 0;
  /** True while the gate does not read this client. */
  isPaused = false;
  private blocks = 0;
  private onSettled: (() => void) | undefined;
  private hold: FrameHold | undefined;
  /** The ids of unanswered requests; allocated with the first one. */
  private ids: OpenIds | undefined;

  constructor(
    private readonly limit: number,
    private readonly connection: Connection,
  ) {}

  /** True when nothing is on its way and nothing waits. */
  get isIdle(): boolean {
    return this.unanswered === 0 && this.blocks === 0 && !this.hold;
  }

  /** Whether a request with this id is unanswered. */
  hasId(id: number): boolean {
    return this.ids?.has(id) ?? false;
  }

  /** True when a frame may be taken now; else it is kept, behind those that are kept already. */
  admits(frame: Buffer): boolean {
    if (!this.isSpent && !this.hold) return true;
    (this.hold ??= new FrameHold()).push(frame);
    if (!this.isPaused) {
      // Pausing does not stop the chunk in hand, which is why there is a hold; it is never larger than that chunk.
      this.isPaused = true;
      this.connection.pause();
    }
    return false;
  }

  /** Keeps all frames until {@link unblock}. */
  block(): void {
    this.blocks++;
  }

  unblock(): void {
    this.blocks--;
  }

  /** Keeps all frames until those that are on their way have settled; then `next` is called, once. */
  blockUntilSettled(next: () => void): void {
    this.blocks++;
    this.onSettled = next;
  }

  begin(id: number): void {
    if (id > 0) (this.ids ??= new OpenIds()).add(id);
    this.unanswered++;
  }

  end(id: number): void {
    this.ids?.delete(id);
    if (--this.unanswered > 0 || !this.onSettled) return;
    const next = this.onSettled;
    this.onSettled = undefined;
    this.blocks--;
    next();
  }

  /** The next kept frame that may be taken; `undefined` when there is none. The socket is read again when none is kept. */
  next(): Buffer | undefined {
    if (this.hold && !this.isSpent) {
      const frame = this.hold.shift();
      if (this.hold.isEmpty) this.hold = undefined;
      return frame;
    }
    if (this.isPaused && !this.hold) {
      this.isPaused = false;
      this.connection.resume();
    }
    return undefined;
  }

  /** Forgets what is kept: the client is leaving. */
  clear(): void {
    this.hold = undefined;
    this.onSettled = undefined;
  }

  private get isSpent(): boolean {
    return this.blocks > 0 || this.unanswered >= this.limit;
  }
}
