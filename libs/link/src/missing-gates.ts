import type { NodeId, NodeInfo } from './link.js';

/**
 * How long a gate that was lost counts as missing, in milliseconds: it may be out of reach and come back with its clients.
 * After that it is taken for dead, and its clients for gone.
 */
const GRACE_MS = 2_000;
/** The same after the link as a whole was down, when all gates come back at once and each in its own time. */
const RETURN_MS = 5_000;
/** Gates remembered at most: the oldest are taken for dead. */
const MAX_MISSING = 1_000;

/**
 * The gates that went without a goodbye, so that an answer without theirs is not taken for a whole one. While the link as
 * a whole is down nobody is taken for dead.
 */
export class MissingGates {
  private readonly lost = new Map<NodeId, { readonly epoch: string; until: number }>();
  private isUp = true;

  get isNotEmpty(): boolean {
    return this.lost.size > 0;
  }

  /** The link as a whole has gone down or come back; the others have their time to come back too. */
  noteStatus(isUp: boolean): void {
    this.isUp = isUp;
    if (isUp) for (const entry of this.lost.values()) entry.until = performance.now() + RETURN_MS;
  }

  add({ id, epoch }: NodeInfo): void {
    this.lost.delete(id);
    this.lost.set(id, { epoch, until: performance.now() + GRACE_MS });
    const [oldest] = this.lost.keys();
    if (this.lost.size > MAX_MISSING) this.lost.delete(oldest as NodeId);
  }

  /** The gate is back. */
  delete(id: NodeId): void {
    this.lost.delete(id);
  }

  /** Whether this boot of a gate is missing. */
  has(id: NodeId, epoch: string): boolean {
    return this.ids().includes(id) && this.lost.get(id)?.epoch === epoch;
  }

  ids(): NodeId[] {
    if (this.lost.size === 0) return [];
    const now = performance.now();
    if (this.isUp) for (const [id, { until }] of this.lost) if (until < now) this.lost.delete(id);
    return [...this.lost.keys()];
  }
}
