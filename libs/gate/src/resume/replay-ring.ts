import type { GapReason } from '@nestgate/protocol';
import type { RingBudget, SharedFrame } from './ring-budget.js';

/** Places of a ring that has its first frame. A power of two, as all later sizes are. */
const FIRST_PLACES = 16;
/** An empty ring with more places lets them go. */
const MAX_EMPTY_PLACES = 128;

/** What one ring may hold. The newest frame is kept however large it is. */
export interface RingLimits {
  readonly frames: number;
  readonly bytes: number;
}

/** Frames that cannot be sent any more. */
export interface RingGap {
  readonly from: number;
  readonly n: number;
  readonly why: GapReason;
}

/**
 * The frames of one session, numbered from 1: those to be written, and those that were written and may have to be written again. It is
 * the send queue and the replay buffer in one:
 *
 *     acked ≤ written ≤ top, and floor ≤ top + 1
 *
 * `floor` is the first frame that is kept. Without a loss it is `acked + 1`. When the ring is full it goes up; the frames between
 * `written` and `floor` are then a gap, which is told before the next frame is written.
 */
export class ReplayRing {
  /** The newest frame. */
  top = 0;
  /** The last frame that was given to the connection at hand. */
  written = 0;
  /** The last frame that the client is known to have. */
  acked = 0;
  /** Bytes of the frames that are kept. */
  keptBytes = 0;
  /** Bytes of the frames that are kept and wait to be written. */
  unwrittenBytes = 0;
  /** The number of the first frame that is kept; `top + 1` when none is. */
  floor = 1;
  /** Frame `n` is at `n` modulo the length, which is a power of two. No array is made for each frame, or for each acknowledgement. */
  private places: (SharedFrame | undefined)[] | undefined = undefined;
  private why: GapReason = 'overrun';

  constructor(
    private readonly limits: RingLimits,
    private readonly budget: RingBudget,
  ) {}

  /** How many frames are kept. */
  get kept(): number {
    return this.top + 1 - this.floor;
  }

  /** How many of them wait to be written. */
  get unwritten(): number {
    return Math.min(this.top - this.written, this.kept);
  }

  /** Whether the oldest frame has to go for one of this size. */
  isFullFor(size: number): boolean {
    return this.kept >= this.limits.frames || this.keptBytes + size > this.limits.bytes;
  }

  /** Adds a frame. Returns how many frames that were never written have been lost for it. */
  add(bytes: Uint8Array): number {
    const places = this.placesForOneMore();
    this.top++;
    places[this.top & (places.length - 1)] = this.budget.hold(bytes);
    this.keptBytes += bytes.length;
    this.unwrittenBytes += bytes.length;
    let lost = 0;
    while (this.kept > 1 && (this.kept > this.limits.frames || this.keptBytes > this.limits.bytes)) {
      if (this.floor > this.written) lost++;
      this.why = 'overrun';
      this.shift();
    }
    return lost;
  }

  /** The frames that the next write must be preceded by a notice about; `undefined` when there are none. */
  get gap(): RingGap | undefined {
    const n = this.floor - 1 - this.written;
    return n > 0 ? { from: this.written + 1, n, why: this.why } : undefined;
  }

  /** The client knows about the gap. */
  passGap(): void {
    this.written = Math.max(this.written, this.floor - 1);
  }

  /** Takes the frame behind the last written one, which counts as written now. There must be one, and no gap. */
  take(): Uint8Array {
    const { bytes } = this.next as SharedFrame;
    this.written++;
    this.unwrittenBytes -= bytes.length;
    return bytes;
  }

  /** The size of the frame that {@link take} takes; 0 when there is none. */
  get nextLength(): number {
    return this.next?.bytes.length ?? 0;
  }

  /** Whether a client that has been sent frames can have this many. */
  allows(seen: unknown): seen is number {
    return Number.isSafeInteger(seen) && (seen as number) >= 0 && (seen as number) <= this.top;
  }

  /**
   * The client has the frames up to this one. False for a number that cannot be: it is no integer, above `top`, or less than it was.
   * A client may have frames of its last connection that have not been written to this one: they are let go when they have.
   */
  ack(seen: unknown): boolean {
    if (!this.allows(seen) || seen < this.acked) return false;
    this.acked = Math.min(seen, this.written);
    while (this.kept > 0 && this.floor <= this.acked) this.shift();
    return true;
  }

  /** What follows is written to a new connection, from behind the last frame that the client has. `allows(seen)` is true. */
  rewind(seen: number): void {
    this.acked = seen;
    this.written = seen;
    while (this.kept > 0 && this.floor <= seen) this.shift();
    // All that is kept is behind it.
    this.unwrittenBytes = this.keptBytes;
  }

  /** The ring of a session that comes from another gate: the client has the frames up to `seen`, and `floor` is the first that follows. */
  startAt(seen: number, floor: number): void {
    this.acked = seen;
    this.written = seen;
    this.top = floor - 1;
    this.floor = floor;
  }

  /** The next frames are lost before they get here: so many. */
  skip(n: number, why: GapReason): void {
    this.clear(why);
    this.why = why;
    this.top += n;
    this.floor = this.top + 1;
  }

  /** Lets all frames go; returns how many that were never written are lost. */
  clear(why: GapReason): number {
    const lost = this.unwritten;
    if (this.kept > 0) this.why = why;
    while (this.kept > 0) this.shift();
    return lost;
  }

  private get next(): SharedFrame | undefined {
    const { places, written } = this;
    return places && written < this.top ? places[(written + 1) & (places.length - 1)] : undefined;
  }

  private placesForOneMore(): (SharedFrame | undefined)[] {
    const { places, floor, top, kept } = this;
    if (places && kept < places.length) return places;
    const size = places ? places.length * 2 : FIRST_PLACES;
    const grown = Array.from<undefined, SharedFrame | undefined>({ length: size }, () => undefined);
    if (places) for (let n = floor; n <= top; n++) grown[n & (size - 1)] = places[n & (places.length - 1)];
    this.places = grown;
    return grown;
  }

  private shift(): void {
    const places = this.places as (SharedFrame | undefined)[];
    const at = this.floor & (places.length - 1);
    const frame = places[at] as SharedFrame;
    const { length } = frame.bytes;
    if (this.floor > this.written) this.unwrittenBytes -= length;
    this.keptBytes -= length;
    places[at] = undefined;
    this.floor++;
    this.budget.release(frame);
    if (this.floor > this.top && places.length > MAX_EMPTY_PLACES) this.places = undefined;
  }
}
