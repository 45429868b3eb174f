import { GateError } from '@nestgate/protocol';
import type { Pending, PendingOwner, RequestPool } from './pending.js';

const MAX_GENERATION = 2 ** 32 - 1;
/** An empty table with more slots than this releases them. */
const KEPT_SLOTS = 1_024;

/**
 * The requests that wait for answers of one peer. A request is removed from the table before it ends, so that it ends once.
 *
 * The key of a request is its series, generation and slot. The slot is its index in the table. The generation increases with each
 * request; when its 32 bits are used up, the table starts another series. A series belongs to one table, and a table belongs to one
 * connection to one boot of a peer. A key is therefore never used twice. An answer that is late, or that comes over an earlier
 * connection, finds no request.
 */
export class RequestTable implements PendingOwner {
  private readonly slots: (Pending | undefined)[] = [];
  /** Free slots: the first {@link freeCount} entries. The array keeps its length, because V8 would copy one that grows and shrinks. */
  private readonly free: number[] = [];
  private freeCount = 0;
  private series: number;
  private generation = 0;
  private count = 0;
  /** Waiting requests by the number of their batch. Created when the peer reports missing batches. */
  private byBatch: Map<number, Pending[]> | undefined = undefined;

  constructor(private readonly pool: RequestPool) {
    this.series = pool.nextSeries();
  }

  /** Number of waiting requests. */
  get size(): number {
    return this.count;
  }

  /**
   * Adds a request, and assigns its key.
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
   * Removes and returns the request with this key; `undefined` when no such request waits.
   * @throws {GateError} `LINK_CORRUPT` when the request is for another operation. It continues to wait.
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

  /** Removes a request. */
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
      // An exception must not affect other requests, or the timer or driver that called.
      this.pool.reportDefect(defect);
    }
  }

  extend(pending: Pending, deadline: number): void {
    if (pending.table !== this) return;
    const { wheel } = this.pool;
    wheel.remove(pending);
    wheel.add(pending, deadline);
  }

  /** Ends all requests. */
  abort(error: GateError): void {
    for (const pending of this.waiting()) this.end(pending, error);
  }

  /** Ends the requests that were sent. */
  abortSent(error: GateError): void {
    for (const pending of this.waiting()) if (pending.batch !== 0) this.end(pending, error);
  }

  /** Ends the requests that were sent with the batches `first` to `last`. */
  abortBatches(first: number, last: number, error: GateError): void {
    // Batch numbers wrap around after 2^32.
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

  /** The index is kept until the next request is added, unless a request was not sent yet. */
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

  /** A copy of the waiting requests, without requests that are added while they end. */
  private waiting(): Pending[] {
    return this.count === 0 ? [] : this.slots.filter(pending => pending !== undefined);
  }
}
