import { GateError } from '@nestgate/protocol';
import { DeadlineWheel } from './deadline-wheel.js';
import type { Peer } from './peer.js';
import type { Pending } from './pending.js';

/** The requests of a node that wait for an answer. Each leaves the table before it ends, so that it ends once. */
export class RequestTable {
  private readonly waiting = new Map<number, Pending>();
  private readonly wheel = new DeadlineWheel(item => this.abort(item as Pending, new GateError('TIMEOUT')));
  private lastCorrelation = 0;

  get size(): number {
    return this.waiting.size;
  }

  /** A correlation number that no waiting request has. */
  nextCorrelation(): number {
    do this.lastCorrelation = (this.lastCorrelation + 1) >>> 0;
    while (this.lastCorrelation === 0 || this.waiting.has(this.lastCorrelation));
    return this.lastCorrelation;
  }

  add(pending: Pending, peer: Peer, correlation: number, deadline: number): void {
    pending.correlation = correlation;
    pending.peer = peer;
    this.waiting.set(correlation, pending);
    this.wheel.add(pending, deadline);
  }

  /** The request that a peer answers; `undefined` when there is none, or it was another peer that was asked. */
  take(correlation: number, peer: Peer): Pending | undefined {
    const pending = this.waiting.get(correlation);
    if (!pending || pending.peer !== peer) return undefined;
    this.remove(pending);
    return pending;
  }

  /** Ends what waits for one peer. */
  abortPeer(peer: Peer, error: GateError): void {
    for (const pending of this.waiting.values()) if (pending.peer === peer) this.abort(pending, error);
  }

  /** Ends everything, and the timer. */
  close(error: GateError): void {
    for (const pending of this.waiting.values()) this.abort(pending, error);
    this.wheel.stop();
  }

  private abort(pending: Pending, error: GateError): void {
    this.remove(pending);
    pending.fail(error);
  }

  private remove(pending: Pending): void {
    this.waiting.delete(pending.correlation);
    this.wheel.remove(pending);
    pending.correlation = 0;
  }
}
