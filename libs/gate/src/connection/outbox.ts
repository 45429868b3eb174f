import type { SlowClientPolicy } from '../gate-options.js';
import type { Connection } from './connection.js';
import type { Drainable, DrainQueue } from './drain-queue.js';

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
 * The frames that wait to be written to one client. Bounded by count and bytes, counting what the socket holds and the
 * operating system has not taken.
 */
export class Outbox implements Drainable {
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
  ) {}

  /** True when all frames are with the socket, taken by the operating system or not. */
  get isEmpty(): boolean {
    return this.first === undefined;
  }

  /** Frames not yet taken by the operating system. */
  get pendingPacks(): number {
    return this.waiting + (this.connection.writableLength > 0 ? this.writtenPacks : 0);
  }

  /** Bytes not yet taken by the operating system. */
  get pendingBytes(): number {
    return this.bytes + this.connection.writableLength;
  }

  add(frame: Uint8Array): EnqueueResult {
    this.dropped = 0;
    let result: EnqueueResult = 'taken';
    if (!this.fits(frame)) {
      // A burst within one turn is not a slow client: only what the socket will not take counts.
      this.drain();
      if (!this.fits(frame)) {
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

  /** Writes everything in one go, unless the socket still holds an earlier write: then at its drain. */
  drain(): void {
    this.listed = false;
    const { first, rest } = this;
    if (!first) return;
    const { connection } = this;
    // Others write to the socket too.
    if (connection.writableLength > 0) {
      this.mayHold = true;
      connection.awaitDrain();
      return;
    }
    const data = rest && rest.length > 0 ? this.queue.merge(first, rest, this.bytes) : first;
    this.writtenPacks = this.clear();
    connection.write(data);
    this.mayHold = connection.writableLength > 0;
  }

  /** Forgets what waits, and says how many frames that were. */
  clear(): number {
    const { waiting } = this;
    this.first = undefined;
    if (this.rest && waiting > 1) this.rest.length = 0;
    this.bytes = 0;
    return waiting;
  }

  private get waiting(): number {
    return this.first ? 1 + (this.rest?.length ?? 0) : 0;
  }

  private fits(frame: Uint8Array): boolean {
    return this.hasRoom(frame, this.waiting, this.bytes);
  }

  /** Whether there is room beside so much in the queue. An empty outbox takes any one frame, however large. */
  private hasRoom(frame: Uint8Array, packs: number, bytes: number): boolean {
    const writableLength = this.mayHold ? this.connection.writableLength : 0;
    if (packs === 0 && writableLength === 0) return true;
    const held = writableLength > 0 ? this.writtenPacks : 0;
    const { sendPackBuffNum, sendBuffBytes } = this.limits;
    return packs + held < sendPackBuffNum && bytes + writableLength + frame.length <= sendBuffBytes;
  }

  /** Makes room for a frame; false, and nothing is dropped, when the socket alone holds too much. */
  private dropOldest(frame: Uint8Array): boolean {
    if (!this.hasRoom(frame, 0, 0)) return false;
    while (this.first && !this.fits(frame)) {
      this.bytes -= this.first.length;
      this.first = this.rest?.shift();
      this.dropped++;
    }
    return true;
  }
}
