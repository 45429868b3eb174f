import type { SlowClientPolicy } from '../gate-options.js';
import type { Burst, BurstBudget, Bursting } from './burst-budget.js';
import type { Connection } from './connection.js';
import type { DeferredSends } from './deferred-sends.js';
import type { Drainable, DrainQueue } from './drain-queue.js';

/**
 * At most this much is merged into one write. What is behind it stays in the queue, where the members of a group share their
 * frames, and is not copied for each client.
 */
const MAX_WRITE_BYTES = 64 * 1024;
/** A larger frame is written by itself: a write of its own costs less than the copy, and the memory that takes. */
const MAX_MERGED_BYTES = 8 * 1024;
/** What a frame costs beside its bytes: the object that stands for it, and its place in the queue. */
const PACK_BYTES = 128;

/** What an outbox needs to know, shared by all of a gate. */
export interface OutboxLimits {
  readonly sendPackBuffNum: number;
  readonly sendBuffBytes: number;
  readonly slowClientPolicy: SlowClientPolicy;
}

/**
 * What became of a frame: `taken`; `dropped`: taken in the place of older ones; `refused`: it was not taken; `overflow`: it
 * was not taken, and the client has to go.
 */
export type EnqueueResult = 'taken' | 'dropped' | 'refused' | 'overflow';

/**
 * The frames that wait to be written to one client, and those still being made. Bounded by count and bytes, counting what
 * the socket holds and the operating system has not taken. A burst may go beyond that bound, as far as the budget for bursts
 * allows; without one the bound is hard.
 */
export class Outbox implements Drainable, Bursting {
  burst: Burst | undefined = undefined;
  slowAt = -1;
  /** Messages that are still being made, and those behind them. */
  protected deferred: DeferredSends | undefined = undefined;
  private first: Uint8Array | undefined = undefined;
  /**
   * The frames behind the first one. One array for good: V8 comes to make arrays that are replaced each turn in the old
   * generation, where what they have held outlives them until the next full collection.
   */
  private rest: Uint8Array[] | undefined = undefined;
  private bytes = 0;
  private writtenPacks = 0;
  private listed = false;
  /** False when the socket has taken all that was written: then it need not be looked at, which for many clients is slow. */
  private mayHold = false;
  /** How many frames the last `add` has thrown away to make room. */
  dropped = 0;

  constructor(
    private readonly connection: Connection,
    private readonly queue: DrainQueue,
    private readonly limits: OutboxLimits,
    private readonly bursts?: BurstBudget,
  ) {}

  /** True when all frames are with the socket, taken by the operating system or not, and none is being made. */
  get isEmpty(): boolean {
    return this.first === undefined && !this.isDeferring;
  }

  /** Frames not yet taken by the operating system, those still being made included. */
  get pendingPacks(): number {
    const held = this.connection.writableLength > 0 ? this.writtenPacks : 0;
    return this.waiting + held + (this.deferred?.length ?? 0);
  }

  /** Bytes not yet taken by the operating system, those of frames still being made included. */
  get pendingBytes(): number {
    return this.bytes + this.connection.writableLength + (this.deferred?.bytes ?? 0);
  }

  get heldBytes(): number {
    return this.pendingBytes + (this.waiting + (this.deferred?.length ?? 0)) * PACK_BYTES;
  }

  get isAboveSoftBound(): boolean {
    const { sendPackBuffNum, sendBuffBytes } = this.limits;
    return this.pendingPacks > sendPackBuffNum || this.pendingBytes > sendBuffBytes;
  }

  get takenBytes(): number {
    return this.connection.takenBytes;
  }

  add(frame: Uint8Array): EnqueueResult {
    this.dropped = 0;
    let result: EnqueueResult = 'taken';
    if (!this.fits(frame)) {
      // A burst within one turn is not a slow client: only what the socket will not take counts.
      this.drain();
      if (!this.fits(frame) && !this.mayBurst(frame.length)) {
        const { slowClientPolicy } = this.limits;
        if (slowClientPolicy === 'disconnect') return 'overflow';
        if (slowClientPolicy === 'drop-newest' || !this.dropOldest(frame)) return 'refused';
        result = 'dropped';
      }
    }
    if (this.first) (this.rest ??= []).push(frame);
    else this.first = frame;
    this.bytes += frame.length;
    if (!this.listed) {
      this.listed = true;
      this.queue.add(this);
    }
    return result;
  }

  /** Writes what waits until the socket holds something of it; the rest at its drain. */
  drain(): void {
    this.listed = false;
    const { connection } = this;
    while (this.first) {
      // Others write to the socket too.
      if (connection.writableLength > 0) {
        this.mayHold = true;
        connection.awaitDrain();
        break;
      }
      try {
        connection.write(this.next(this.first));
      } catch (error) {
        // A frame of a custom wire that is none. It is lost, so that its connection must not go on.
        this.clear();
        this.onDefect(error);
        break;
      }
      this.mayHold = connection.writableLength > 0;
    }
    if (this.burst) this.bursts?.update(this.burst);
  }

  /** What waits cannot be written. */
  onDefect(_error: unknown): void {
    this.connection.destroy();
  }

  /** Forgets what waits, and says how many frames that were. */
  clear(): number {
    const { waiting } = this;
    const dropped = waiting + (this.deferred?.clear() ?? 0);
    this.first = undefined;
    if (this.rest && waiting > 1) this.rest.length = 0;
    this.bytes = 0;
    if (this.burst) this.bursts?.end(this.burst);
    return dropped;
  }

  /** The queue has to go back within its soft bound. */
  onSlow(): void {
    this.clear();
  }

  protected get isDeferring(): boolean {
    return this.deferred !== undefined && this.deferred.length > 0;
  }

  /** Whether a frame of this size may be queued, or made. */
  protected admits(size: number): boolean {
    return this.hasRoom(size, this.waiting, this.bytes) || this.mayBurst(size);
  }

  /** Drops frames until the queue is within its soft bound. Returns how many. */
  protected trim(which: 'oldest' | 'newest'): number {
    let { waiting: packs, bytes } = this;
    const total = packs;
    while (packs > 0 && !this.hasRoom(0, packs - 1, bytes)) {
      packs--;
      bytes -= this.frameAt(which === 'newest' ? packs : total - packs - 1).length;
    }
    if (which === 'oldest') {
      this.removeOldest(total - packs);
    } else {
      if (packs === 0) this.first = undefined;
      if (this.rest) this.rest.length = Math.max(0, packs - 1);
    }
    this.bytes = bytes;
    return total - packs;
  }

  /** What is written next: everything, or as much as goes into one write. */
  private next(first: Uint8Array): Uint8Array {
    const { rest, bytes } = this;
    if (!rest || rest.length === 0) {
      this.writtenPacks = 1;
      this.first = undefined;
      this.bytes = 0;
      return first;
    }
    if (bytes <= MAX_MERGED_BYTES) {
      this.writtenPacks = 1 + rest.length;
      const data = this.queue.merge(first, rest, bytes);
      this.first = undefined;
      rest.length = 0;
      this.bytes = 0;
      return data;
    }
    let size = first.length;
    let count = 0;
    if (size <= MAX_MERGED_BYTES) {
      for (; count < rest.length; count++) {
        const { length } = rest[count] as Uint8Array;
        if (length > MAX_MERGED_BYTES || size + length > MAX_WRITE_BYTES) break;
        size += length;
      }
    }
    this.writtenPacks = 1 + count;
    const parts = rest.splice(0, count + 1);
    this.first = parts.length > count ? parts.pop() : undefined;
    this.bytes -= size;
    return count > 0 ? this.queue.merge(first, parts, size) : first;
  }

  private get waiting(): number {
    return this.first ? 1 + (this.rest?.length ?? 0) : 0;
  }

  private frameAt(index: number): Uint8Array {
    return (index === 0 ? this.first : this.rest?.[index - 1]) as Uint8Array;
  }

  private fits(frame: Uint8Array): boolean {
    return this.hasRoom(frame.length, this.waiting, this.bytes);
  }

  private mayBurst(size: number): boolean {
    return this.bursts !== undefined && this.bursts.admits(this, size + PACK_BYTES);
  }

  /** Whether there is room beside so much in the queue. An empty outbox takes any one frame, however large. */
  private hasRoom(size: number, waitingPacks: number, waitingBytes: number): boolean {
    const writableLength = this.mayHold ? this.connection.writableLength : 0;
    let packs = waitingPacks;
    let bytes = waitingBytes;
    if (this.deferred) {
      packs += this.deferred.length;
      bytes += this.deferred.bytes;
    }
    if (packs === 0 && writableLength === 0) return true;
    const held = writableLength > 0 ? this.writtenPacks : 0;
    const { sendPackBuffNum, sendBuffBytes } = this.limits;
    return packs + held < sendPackBuffNum && bytes + writableLength + size <= sendBuffBytes;
  }

  /**
   * Makes room for a frame; false, and nothing is dropped, when the socket alone holds too much. A burst gives as much as
   * the frame costs; any other queue has to be within its soft bound with it.
   */
  private dropOldest(frame: Uint8Array): boolean {
    const size = frame.length;
    const { burst, waiting } = this;
    let packs = waiting;
    let { bytes } = this;
    const cost = (): number => bytes + packs * PACK_BYTES;
    const most = cost() - size - PACK_BYTES;
    if (burst ? most < 0 : !this.hasRoom(size, 0, 0)) return false;
    while (packs > 0 && (burst ? cost() > most : !this.hasRoom(size, packs, bytes))) {
      bytes -= this.frameAt(waiting - packs).length;
      packs--;
    }
    this.dropped = waiting - packs;
    this.removeOldest(this.dropped);
    this.bytes = bytes;
    return true;
  }

  /** In one go: a queue may be long, and taking one off its front moves all the others. */
  private removeOldest(count: number): void {
    if (count === 0) return;
    const removed = this.rest?.splice(0, count);
    this.first = removed?.length === count ? removed.pop() : undefined;
  }
}
