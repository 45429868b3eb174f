import type { NodeId, NodeInfo } from '../link.js';
import { present } from '../common/checked.js';

/** How long a lost gate may come back with its clients, in milliseconds, where that must not be overlooked. */
const RECENT_MS = 60_000;
/** Gates remembered at most: of the oldest it is not counted what they have missed. */
const MAX_ABSENT = 1_000;

/**
 * The gates that were lost, and how many pushes to uids, groups and all clients they have missed. Most are dead, and miss
 * nothing. One that comes back as the same boot was only out of reach: its clients were there all the time.
 */
export class AbsentGates {
  private pushes = 0;
  private readonly gates = new Map<
    NodeId,
    { readonly epoch: string; readonly since: number; readonly lostAt: number; counted: number }
  >();

  /** A push goes to all gates that have clients for it. */
  notePush(): void {
    this.pushes++;
  }

  /** A push has been counted already for this gate. */
  noteCounted(id: NodeId): void {
    const gate = this.gates.get(id);
    if (gate) gate.counted++;
  }

  add({ id, epoch }: NodeInfo): void {
    this.gates.delete(id);
    this.gates.set(id, { epoch, since: this.pushes, lostAt: performance.now(), counted: 0 });
    const [oldest] = this.gates.keys();
    if (this.gates.size > MAX_ABSENT) this.gates.delete(present(oldest));
  }

  /** The gates that were lost within a minute. */
  recent(): NodeId[] {
    const now = performance.now();
    return [...this.gates].filter(([, { lostAt }]) => now - lostAt < RECENT_MS).map(([id]) => id);
  }

  /** A gate is there. Returns how many pushes it has missed that nobody has counted. */
  return({ id, epoch }: NodeInfo): number {
    const gate = this.gates.get(id);
    if (!gate) return 0;
    this.gates.delete(id);
    return gate.epoch === epoch ? this.pushes - gate.since - gate.counted : 0;
  }
}
