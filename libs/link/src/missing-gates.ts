import type { NodeId, NodeInfo } from './link.js';

/**
 * How long a gate that was lost counts as missing, in milliseconds: it may be out of reach and come back with its clients.
 * After that it is taken for dead, and its clients for gone.
 */
const GRACE_MS = 2_000;
/** Gates remembered at most: the oldest are taken for dead. */
const MAX_MISSING = 1_000;

/**
 * The gates that went without a goodbye, so that an answer without theirs is not taken for a whole one. While the link as
 * a whole is down nobody is taken for dead.
 */
export class MissingGates {
  private readonly lost = new Map<NodeId, { readonly epoch: string; at: number }>();
  private isUp = true;

  get isNotEmpty(): boolean {
    return this.lost.size > 0;
  }

  /** The link as a whole has gone down or come back; the others have their time to come back too. */
  noteStatus(isUp: boolean): void {
    this.isUp = isUp;
    if (isUp) for (const entry of this.lost.values()) entry.at = Date.now();
  }

  add({ id, epoch }: NodeInfo): void {
    this.lost.delete(id);
    this.lost.set(id, { epoch, at: Date.now() });
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
    const earliest = Date.now() - GRACE_MS;
    if (this.isUp) for (const [id, { at }] of this.lost) if (at < earliest) this.lost.delete(id);
    return [...this.lost.keys()];
  }
}
