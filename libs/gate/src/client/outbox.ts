import type { SlowClientPolicy } from '../gate-options.js';
import type { Burst, BurstBudget, Bursting } from './burst-budget.js';
import type { Connection } from '../connection/connection.js';
import type { DeferredSends } from './deferred-sends.js';
import type { Drainable, DrainQueue } from './drain-queue.js';

/**
 * Maximum number of bytes that are merged into one write. Further frames stay in the queue, where clients of a group share them, and are
 * not copied for each client.
 */
const MAX_WRITE_BYTES = 64 * 1024;
/** A larger frame has its own write, which costs less than a copy. */
const MAX_MERGED_BYTES = 8 * 1024;
/** Memory of a frame in addition to its bytes: its object and its entry in the queue. */
const PACK_BYTES = 128;
const NOTHING = new Uint8Array(0);

/** Entries of dropped frames are removed together: from this number on, when they are half of all. */
const MAX_DROPPED = 32;

/** Settings that all outboxes of a gate share. */
export interface OutboxLimits {
  readonly sendPackBuffNum: number;
  readonly sendBuffBytes: number;
  readonly slowClientPolicy: SlowClientPolicy;
}

/**
 * Result for a frame: `accepted`; `dropped`: accepted, and older frames were dropped for it; `refused`: not accepted; `overflow`: not
 * accepted, and the client must be closed.
 */
export type EnqueueResult = 'accepted' | 'dropped' | 'refused' | 'overflow';

/**
 * The frames that wait to be written to one client, and those that hooks still create. The bounds on count and bytes include data in the
 * socket that the operating system has not accepted. A burst may exceed the bounds within the burst budget; without a budget they are
 * hard.
 */
export class Outbox implements Drainable, Bursting {
  burst: Burst | undefined = undefined;
  slowAt = -1;
  /** Messages that hooks still create, and the messages that wait behind them. */
  protected deferred: DeferredSends | undefined = undefined;
  private first: Uint8Array | undefined = undefined;
  /**
   * The frames after the first one. The array is never replaced: V8 would allocate an array that is replaced on each turn in the old
   * generation, where its former contents survive until the next full collection.
   */
  private rest: Uint8Array[] | undefined = undefined;
  /** Index of the second frame in {@link rest}, after the dropped ones. Removing each of those would move all later frames. */
  private head = 0;
  private bytes = 0;
  private writtenPacks = 0;
  private listed = false;
  /** False when the socket has no unwritten data. Then it is not accessed, which would be slow for many clients. */
  private mayHold = false;
  /** Number of frames that the last `add` has dropped. */
  dropped = 0;

  constructor(
    private readonly connection: Connection,
    private readonly queue: DrainQueue,
    private readonly limits: OutboxLimits,
    private readonly bursts?: BurstBudget,
  ) {}

  /** True when all frames were written to the socket, and no hook still creates one. */
  get isEmpty(): boolean {
    return this.first === undefined && !this.isDeferring;
  }

  /** Frames that the operating system has not accepted, including those that hooks still create. */
  get pendingPacks(): number {
    const held = this.connection.writableLength > 0 ? this.writtenPacks : 0;
    return this.waiting + held + (this.deferred?.length ?? 0);
  }

  /** Bytes that the operating system has not accepted, including frames that hooks still create. */
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
    let result: EnqueueResult = 'accepted';
    if (!this.fits(frame)) {
      // A burst within one turn does not make a client slow: only data that the socket does not accept counts.
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

  /** Writes a frame to a connection that nothing has been written to. */
  protected writeFirst(frame: Uint8Array): void {
    this.writtenPacks = 1;
    this.connection.write(frame);
    this.mayHold = this.connection.writableLength > 0;
  }

  /** Writes queued frames until the socket has unwritten data; the rest follows on `drain`. */
  drain(): void {
    this.listed = false;
    const { connection } = this;
    while (this.first) {
      // Other code (`ws`, pongs) also writes to the socket.
      if (connection.writableLength > 0) {
        this.mayHold = true;
        connection.awaitDrain();
        break;
      }
      try {
        connection.write(this.next(this.first));
      } catch (error) {
        // An invalid frame of a custom wire. It is lost, so the connection must end.
        this.clear();
        this.onDefect(error);
        break;
      }
      this.mayHold = connection.writableLength > 0;
    }
    if (this.burst) this.bursts?.update(this.burst);
  }

  /** The queued frames cannot be written. */
  onDefect(_error: unknown): void {
    this.connection.destroy();
  }

  /** Drops the queued frames. Returns their number. */
  clear(): number {
    const { waiting } = this;
    const dropped = waiting + (this.deferred?.clear() ?? 0);
    this.first = undefined;
    if (this.rest && waiting > 1) this.empty(this.rest);
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

  /** Whether a frame of this size may be queued, or started by a hook. */
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
      if (this.rest) this.rest.length = Math.max(0, this.head + packs - 1);
    }
    this.bytes = bytes;
    return total - packs;
  }

  /** The next write: all frames, or as many as fit into one write. */
  private next(first: Uint8Array): Uint8Array {
    const { rest, bytes } = this;
    if (rest && this.head > 0) this.close(rest);
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
    return this.first ? 1 + (this.rest ? this.rest.length - this.head : 0) : 0;
  }

  private frameAt(index: number): Uint8Array {
    return (index === 0 ? this.first : this.rest?.[this.head + index - 1]) as Uint8Array;
  }

  private fits(frame: Uint8Array): boolean {
    return this.hasRoom(frame.length, this.waiting, this.bytes);
  }

  private mayBurst(size: number): boolean {
    return this.bursts !== undefined && this.bursts.admits(this, size + PACK_BYTES);
  }

  /** Whether `size` more bytes fit, with this many frames and bytes in the queue. An empty outbox accepts one frame of any size. */
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
   * Drops the oldest frames to make room for a new one. False, and nothing is dropped, when the data in the socket alone is too much.
   * A burst drops as many bytes as the new frame needs. Any other queue must be within its soft bound with the new frame.
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

  private removeOldest(count: number): void {
    if (count === 0) return;
    const { rest, waiting } = this;
    if (!rest || count === waiting) {
      this.first = undefined;
      if (rest) this.empty(rest);
      return;
    }
    const end = this.head + count;
    this.first = rest[end - 1];
    // Releases the dropped frames.
    for (let at = this.head; at < end; at++) rest[at] = NOTHING;
    this.head = end;
    if (end >= MAX_DROPPED && end * 2 >= rest.length) this.close(rest);
  }

  /** Removes the entries of dropped frames. */
  private close(rest: Uint8Array[]): void {
    rest.splice(0, this.head);
    this.head = 0;
  }

  private empty(rest: Uint8Array[]): void {
    rest.length = 0;
    this.head = 0;
  }
}
