import { GateError } from '@nestgate/protocol';
import { DeadlineWheel } from './deadline-wheel.js';
import type { Peer } from './peer.js';
import type { Pending } from './pending.js';

/** Requests that may wait at a time. */
const MAX_SLOTS = 1 << 20;
/** How often a slot gives another number before it begins again. */
const MAX_TURNS = 1 << 11;

/**
 * The requests of a node that wait for an answer. Each leaves the table before it ends, so that it ends once. A correlation
 * number says where a request stands, and in its upper bits the how manieth it is there, so that a late answer to the one
 * before is not taken for its own.
 */
export class RequestTable {
  private readonly slots: (Pending | undefined)[] = [];
  private readonly free: number[] = [];
  private readonly wheel = new DeadlineWheel(item => this.abort(item as Pending, new GateError('TIMEOUT')));
  private turn = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /**
   * Adds a request; returns its correlation number, which no other waiting one has.
   * @throws {GateError} `LIMIT_EXCEEDED` when too many wait already.
   */
  add(pending: Pending, peer: Peer, deadline: number): number {
    const slot = this.free.pop() ?? this.slots.length;
    if (slot >= MAX_SLOTS) throw new GateError('LIMIT_EXCEEDED', 'Too many requests wait for an answer');
    // Never 0, which is no correlation.
    this.turn = (this.turn % (MAX_TURNS - 1)) + 1;
    this.slots[slot] = pending;
    pending.correlation = this.turn * MAX_SLOTS + slot;
    pending.peer = peer;
    this.count++;
    this.wheel.add(pending, deadline);
    return pending.correlation;
  }

  /** The request that a peer answers; `undefined` when there is none, or it was another peer that was asked. */
  take(correlation: number, peer: Peer): Pending | undefined {
    const pending = this.slots[correlation % MAX_SLOTS];
    if (pending?.correlation !== correlation || pending.peer !== peer) return undefined;
    this.remove(pending);
    return pending;
  }

  /** Takes a request out that could not be sent. */
  remove(pending: Pending): void {
    const slot = pending.correlation % MAX_SLOTS;
    this.slots[slot] = undefined;
    this.free.push(slot);
    this.count--;
    this.wheel.remove(pending);
    pending.correlation = 0;
  }

  /** Ends what waits for one peer. */
  abortPeer(peer: Peer, error: GateError): void {
    for (const pending of this.waiting()) if (pending.peer === peer) this.abort(pending, error);
  }

  /** Ends what was in one batch to a peer. */
  abortBatch(peer: Peer, batch: number, error: GateError): void {
    for (const pending of this.waiting()) {
      if (pending.peer === peer && pending.batch === batch) this.abort(pending, error);
    }
  }

  /** Ends everything, and the timer. */
  close(error: GateError): void {
    for (const pending of this.waiting()) this.abort(pending, error);
    this.wheel.stop();
  }

  /** Those that wait now: what one of them begins when it ends is not among them. */
  private waiting(): Pending[] {
    return this.slots.filter(pending => pending !== undefined);
  }

  private abort(pending: Pending, error: GateError): void {
    if (pending.correlation === 0) return;
    this.remove(pending);
    pending.fail(error);
  }
}
