import { GateError } from '@nestgate/protocol';
import type { Pending, PendingOwner } from './pending.js';
import type { RequestPool } from './request-pool.js';

const MAX_GENERATION = 2 ** 32 - 1;
/** An empty table with more slots than this gives them back. */
const KEPT_SLOTS = 1_024;

/**
 * The requests that wait for the answers of one peer. Each leaves the table before it ends, so that it ends once.
 *
 * An answer names its request by series, generation and slot. The slot says where it stands. The generation grows with each
 * request; when its 32 bits are used up, the table begins another series. A series belongs to one table, which belongs to
 * one connection to one boot of a peer. So no two requests ever have the same name, and an answer that comes late, or by
 * way of an earlier connection, finds nothing.
 */
export class RequestTable implements PendingOwner {
  private readonly slots: (Pending | undefined)[] = [];
  private readonly free: number[] = [];
  private series: number;
  private generation = 0;
  private count = 0;

  constructor(private readonly pool: RequestPool) {
    this.series = pool.nextSeries();
  }

  /** Requests that wait now. */
  get size(): number {
    return this.count;
  }

  /**
   * Adds a request, and gives it its name.
   * @throws {GateError} `LIMIT_EXCEEDED` when too many requests of the node wait already.
   */
  add(pending: Pending, operationId: number, deadline: number): void {
    const { pool } = this;
    if (pool.size >= pool.limit) throw new GateError('LIMIT_EXCEEDED', 'Too many requests wait for an answer');
    if (this.generation === MAX_GENERATION) {
      this.generation = 0;
      this.series = pool.nextSeries();
    }
    const slot = this.free.pop() ?? this.slots.length;
    this.slots[slot] = pending;
    pending.series = this.series;
    pending.generation = ++this.generation;
    pending.slot = slot;
    pending.operationId = operationId;
    pending.table = this;
    pending.batch = 0;
    this.count++;
    pool.size++;
    pool.wheel.add(pending, deadline);
  }

  /**
   * The request of this name, which is taken out; `undefined` when it does not wait (any more).
   * @throws {GateError} `LINK_CORRUPT` when it asked for another operation. It goes on waiting.
   */
  take(series: number, generation: number, slot: number, operationId: number): Pending | undefined {
    const pending = this.slots[slot];
    if (pending?.generation !== generation || pending.series !== series) return undefined;
    if (pending.operationId !== operationId) {
      throw new GateError('LINK_CORRUPT', `Operation ${pending.operationId} is answered as operation ${operationId}`);
    }
    this.remove(pending);
    return pending;
  }

  /** Takes a request out. */
  remove(pending: Pending): void {
    const { slot } = pending;
    this.slots[slot] = undefined;
    this.free.push(slot);
    this.count--;
    this.pool.size--;
    this.pool.wheel.remove(pending);
    pending.generation = 0;
    pending.table = undefined;
    if (this.count === 0 && this.slots.length > KEPT_SLOTS) {
      this.slots.length = 0;
      this.free.length = 0;
    }
  }

  /** Ends a request, unless it has ended. */
  end(pending: Pending, error: GateError): void {
    if (pending.table !== this) return;
    this.remove(pending);
    try {
      pending.fail(error);
    } catch (defect) {
      // The others, and the timer or driver that called, have nothing to do with it.
      this.pool.reportDefect(defect);
    }
  }

  /** Ends all. */
  abort(error: GateError): void {
    for (const pending of this.waiting()) this.end(pending, error);
  }

  /** Ends those that have been sent. */
  abortSent(error: GateError): void {
    for (const pending of this.waiting()) if (pending.batch !== 0) this.end(pending, error);
  }

  /** Ends those that were sent with the batches `first` to `last`. */
  abortBatches(first: number, last: number, error: GateError): void {
    const range = (last - first) >>> 0;
    for (const pending of this.waiting()) {
      // Numbers of batches begin again after 2^32.
      if (pending.batch !== 0 && (pending.batch - first) >>> 0 <= range) this.end(pending, error);
    }
  }

  /** Those that wait now: what one of them begins when it ends is not among them. */
  private waiting(): Pending[] {
    return this.count === 0 ? [] : this.slots.filter(pending => pending !== undefined);
  }
}
