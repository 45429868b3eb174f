import { GateError } from '@nestgate/protocol';
import type { Pending, PendingOwner, RequestPool } from './pending.js';

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
  /** Slots to be used again: the first {@link freeCount} of this list, which keeps its length. V8 would copy one that grows and shrinks. */
  private readonly free: number[] = [];
  private freeCount = 0;
  private series: number;
  private generation = 0;
  private count = 0;
  /** All that wait, by the batch that they were sent with: made when a batch is missed, for the others that are missed with it. */
  private byBatch: Map<number, Pending[]> | undefined = undefined;

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
    const slot = this.freeCount > 0 ? (this.free[--this.freeCount] as number) : this.slots.length;
    this.slots[slot] = pending;
    pending.series = this.series;
    pending.generation = ++this.generation;
    pending.slot = slot;
    pending.operationId = operationId;
    pending.table = this;
    pending.batch = 0;
    this.byBatch = undefined;
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
    this.free[this.freeCount++] = slot;
    this.count--;
    this.pool.size--;
    this.pool.wheel.remove(pending);
    pending.generation = 0;
    pending.table = undefined;
    if (this.count > 0) return;
    this.byBatch = undefined;
    if (this.slots.length > KEPT_SLOTS) {
      this.slots.length = 0;
      this.free.length = 0;
      this.freeCount = 0;
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

  extend(pending: Pending, deadline: number): void {
    if (pending.table !== this) return;
    const { wheel } = this.pool;
    wheel.remove(pending);
    wheel.add(pending, deadline);
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
    // Numbers of batches begin again after 2^32.
    const range = (last - first) >>> 0;
    const byBatch = this.byBatch ?? this.indexBatches();
    if (range < byBatch.size) {
      for (let at = 0; at <= range; at++) this.endBatch(byBatch, (first + at) >>> 0, error);
    } else {
      for (const batch of byBatch.keys()) if ((batch - first) >>> 0 <= range) this.endBatch(byBatch, batch, error);
    }
  }

  private endBatch(byBatch: Map<number, Pending[]>, batch: number, error: GateError): void {
    const sent = byBatch.get(batch);
    if (!sent) return;
    byBatch.delete(batch);
    for (const pending of sent) this.end(pending, error);
  }

  /** Kept until the next request is added, unless one of them is still to be sent. */
  private indexBatches(): Map<number, Pending[]> {
    const byBatch = new Map<number, Pending[]>();
    let areSent = true;
    for (const pending of this.waiting()) {
      const { batch } = pending;
      if (batch === 0) {
        areSent = false;
        continue;
      }
      const sent = byBatch.get(batch);
      if (sent) sent.push(pending);
      else byBatch.set(batch, [pending]);
    }
    if (areSent) this.byBatch = byBatch;
    return byBatch;
  }

  /** Those that wait now: what one of them begins when it ends is not among them. */
  private waiting(): Pending[] {
    return this.count === 0 ? [] : this.slots.filter(pending => pending !== undefined);
  }
}
