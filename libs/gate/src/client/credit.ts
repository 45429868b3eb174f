import { copyOf, present } from '@nestgate/link/internal';
import type { Connection } from '../connection/connection.js';

/** A hold with this number of frames, or bytes, should not grow. */
const MANY = 64;
const MANY_BYTES = 64 * 1024;
/** Up to this number of ids, a linear search is faster than a set, which also creates garbage. */
const FEW = 32;

/**
 * Bounds the unanswered frames of one client, and holds the frames above the bound. Without credit the socket is paused, so that TCP
 * slows the client down.
 */
export class Credit {
  /** Frames whose handler has not settled. */
  unanswered = 0;
  /** Unanswered frames whose reply is a stream. Other frames do not wait for them. */
  streams = 0;
  /** Calls that the client has not answered. Each adds one frame to the credit, for the answer. */
  asks = 0;
  /** True while the socket is paused. */
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

  /** True when no frame is unanswered and none waits. */
  get isIdle(): boolean {
    return this.unanswered === 0 && this.blocks === 0 && !this.hold;
  }

  /** Whether a request with this id is unanswered. */
  hasId(id: number): boolean {
    return this.ids?.has(id) ?? false;
  }

  /** The ids of the unanswered requests. */
  get openIds(): readonly number[] {
    return this.ids?.values() ?? [];
  }

  /** True when frames wait. */
  get isHolding(): boolean {
    return this.hold !== undefined;
  }

  /** True when a frame may be processed now; else it has to be held. */
  get isFree(): boolean {
    return !this.isSpent && !this.hold;
  }

  /** Holds a frame, after earlier held ones. A client with streams is not paused immediately, because one of its next frames may cancel a stream. */
  keep(frame: Buffer): void {
    const hold = (this.hold ??= new FrameHold());
    hold.push(frame);
    if (!this.isPaused && (this.streams === 0 || hold.isLarge)) {
      // Pausing does not stop the current chunk: its remaining frames wait in the hold, which is never larger than the chunk.
      this.isPaused = true;
      this.connection.pause();
    }
  }

  /** Holds all frames until {@link unblock}. */
  block(): void {
    this.blocks++;
  }

  unblock(): void {
    this.blocks--;
  }

  /** Holds all frames until the unanswered ones have settled; then calls `next`, once. */
  blockUntilSettled(next: () => void): void {
    this.blocks++;
    this.onSettled = next;
  }

  /** Calls `next` when no frame is unanswered and no earlier callback waits for that. Until then no further frame is processed. */
  onceSettled(next: () => void): void {
    const before = this.onSettled;
    if (before) {
      this.onSettled = () => {
        before();
        this.onceSettled(next);
      };
    } else if (this.unanswered === 0) next();
    else this.blockUntilSettled(next);
  }

  begin(id: number): void {
    if (id > 0) (this.ids ??= new OpenIds()).add(id);
    this.unanswered++;
  }

  beginStream(id: number): void {
    this.streams++;
    this.begin(id);
  }

  endStream(id: number): void {
    this.streams--;
    this.end(id);
  }

  end(id: number): void {
    this.ids?.delete(id);
    this.unanswered--;
    this.noteSettled();
  }

  /** A frame begins once more, in `then`. In between it does not look as if it had settled. */
  restart(id: number, then: () => void): void {
    this.ids?.delete(id);
    this.unanswered--;
    then();
    this.noteSettled();
  }

  private noteSettled(): void {
    if (this.unanswered > this.streams || !this.onSettled) return;
    const next = this.onSettled;
    this.onSettled = undefined;
    this.blocks--;
    next();
  }

  /** The next held frame with credit; `undefined` without one. Resumes the socket when no frame is held. */
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

  /** Drops the held frames; unanswered ones continue. */
  dropHeld(): void {
    this.hold = undefined;
    this.isPaused = false;
  }

  /** Drops the held frames: the client is closing. */
  clear(): void {
    this.hold = undefined;
    this.onSettled = undefined;
  }

  private get isSpent(): boolean {
    return this.blocks > 0 || this.unanswered >= this.limit + this.asks;
  }
}

/** Frames that wait for credit, first in first out. */
export class FrameHold {
  private readonly frames: (Buffer | undefined)[] = [];
  private head = 0;
  private bytes = 0;

  get isEmpty(): boolean {
    return this.head === this.frames.length;
  }

  /** True when the socket has to be paused. */
  get isLarge(): boolean {
    return this.frames.length - this.head >= MANY || this.bytes >= MANY_BYTES;
  }

  push(frame: Buffer): void {
    this.bytes += frame.length;
    // A view would retain the whole chunk, or the pool of Node, that it is part of.
    this.frames.push(frame.buffer.byteLength > 2 * frame.length ? copyOf(frame, 0, frame.length) : frame);
  }

  shift(): Buffer | undefined {
    const frame = this.frames[this.head];
    this.frames[this.head++] = undefined;
    this.bytes -= frame?.length ?? 0;
    return frame;
  }
}

/** The ids of the unanswered requests of one client: usually few. */
export class OpenIds {
  private readonly few: number[] = [];
  private many: Set<number> | undefined = undefined;

  has(id: number): boolean {
    return this.indexOf(id) >= 0 || (this.many !== undefined && this.many.has(id));
  }

  /** Adds an id that is not there yet. */
  add(id: number): void {
    if (this.few.length < FEW) this.few.push(id);
    else (this.many ??= new Set()).add(id);
  }

  values(): number[] {
    return this.many ? [...this.few, ...this.many] : [...this.few];
  }

  delete(id: number): void {
    const { few } = this;
    const at = this.indexOf(id);
    if (at < 0) {
      this.many?.delete(id);
      return;
    }
    const last = present(few.pop());
    if (at < few.length) few[at] = last;
  }

  private indexOf(id: number): number {
    const { few } = this;
    for (let i = 0; i < few.length; i++) if (few[i] === id) return i;
    return -1;
  }
}
