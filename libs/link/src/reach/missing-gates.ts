import type { NodeId, NodeInfo, UnreachedGate } from '../link.js';
import { present } from '../common/checked.js';

/**
 * How long a gate that was lost counts as missing, in milliseconds: it may be out of reach and come back with its clients.
 * After that it is taken for dead, and its clients for gone.
 */
const GRACE_MS = 2_000;
/** The same after the link as a whole was down, when all gates come back at once and each in its own time. */
const RETURN_MS = 5_000;
/** Gates remembered at most, missing ones and dead ones each: the oldest are forgotten. */
const MAX_MISSING = 1_000;

/**
 * What is known of a boot of a gate that is not on the link: `missing` while it may come back, `lost` once it is taken for
 * dead, `gone` when it has left properly, another boot has taken its place, or there never was such a gate.
 */
export type GateFate = 'missing' | 'lost' | 'gone';

/**
 * The gates that are out of reach: those that disconnected without a leave message, and those that the link is configured
 * to reach and does not. An answer without theirs is not taken for a whole one. While the link as a whole is down, no
 * gate is taken for dead.
 */
export class MissingGates {
  private readonly lost = new Map<NodeId, { readonly epoch: string; until: number }>();
  private readonly dead = new Map<NodeId, string>();
  private unreached: readonly UnreachedGate[] = [];
  private isUp = true;

  /** Whether any gate may be out of reach; quick to say, and asked for every push to all gates. */
  private get isNotEmpty(): boolean {
    return this.lost.size > 0 || this.unreached.length > 0;
  }

  /** The link as a whole has gone down or come back; the others have their time to come back too. */
  noteStatus(isUp: boolean): void {
    this.isUp = isUp;
    if (isUp) for (const entry of this.lost.values()) entry.until = performance.now() + RETURN_MS;
  }

  /** What the link is configured to reach, and does not. */
  noteUnreached(gates: readonly UnreachedGate[]): void {
    this.unreached = gates;
  }

  /** A gate has disconnected without a leave message. */
  add({ id, epoch }: NodeInfo): void {
    put(this.lost, id, { epoch, until: performance.now() + GRACE_MS });
  }

  /** A gate is on the link, this boot of it. */
  noteBack({ id, epoch }: NodeInfo): void {
    const before = this.lost.get(id)?.epoch ?? this.dead.get(id);
    this.lost.delete(id);
    if (before === epoch) this.dead.delete(id);
    else if (before !== undefined) put(this.dead, id, before);
  }

  /** Whether this boot of a gate was lost a moment ago, and may come back. */
  has(id: NodeId, epoch: string): boolean {
    this.expire();
    return this.lost.get(id)?.epoch === epoch;
  }

  /** What became of this boot of a gate, which is not on the link. `isOther`: another boot of it is. */
  fateOf(id: NodeId, epoch: string, isOther: boolean): GateFate {
    if (this.has(id, epoch)) return 'missing';
    if (this.dead.get(id) === epoch) return 'lost';
    // It may be one that was never reached, of which only the address is known.
    return !isOther && this.unreached.some(gate => !gate.wasReached) ? 'missing' : 'gone';
  }

  /** Whose answers are missing: gates lost a moment ago by id, those that were never reached by address. */
  ids(): NodeId[] {
    if (!this.isNotEmpty) return [];
    this.expire();
    const ids = new Set(this.lost.keys());
    for (const { name, wasReached } of this.unreached) if (!wasReached) ids.add(name);
    return [...ids];
  }

  /** The configured gates that were never reached, by address. */
  neverReached(): NodeId[] {
    return this.unreached.filter(gate => !gate.wasReached).map(({ name }) => name);
  }

  /**
   * How many gates a push to all of them misses: also those that are taken for dead, as long as the link is configured to
   * reach them. One may have clients again before this node has reached it.
   */
  get gaps(): number {
    if (!this.isNotEmpty) return 0;
    this.expire();
    let gaps = this.lost.size;
    for (const { name } of this.unreached) if (!this.lost.has(name)) gaps++;
    return gaps;
  }

  private expire(): void {
    if (!this.isUp || this.lost.size === 0) return;
    const now = performance.now();
    for (const [id, { epoch, until }] of this.lost) {
      if (until >= now) continue;
      this.lost.delete(id);
      put(this.dead, id, epoch);
    }
  }
}

/** Adds an entry as the newest one, within bounds. */
function put<T>(map: Map<NodeId, T>, id: NodeId, value: T): void {
  map.delete(id);
  map.set(id, value);
  const [oldest] = map.keys();
  if (map.size > MAX_MISSING) map.delete(present(oldest));
}
