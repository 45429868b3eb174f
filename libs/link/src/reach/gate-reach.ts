import { GateError } from '@nestgate/protocol';
import type { NodeId, NodeInfo, UnreachedGate } from '../link.js';
import { AbsentGates } from './absent-gates.js';
import { FirstGate, GATE_WAIT_MS } from './first-gate.js';
import { type GateFate, MissingGates } from './missing-gates.js';

/** What a node can reach: whether its link is up, which gates are on it, and which of them are missing. */
export class GateReach {
  /** The configured gates that are out of reach now, and why; empty on links without such a list. */
  unreached: readonly UnreachedGate[] = [];
  /** What lost gates miss. */
  readonly absent = new AbsentGates();
  private readonly missing = new MissingGates();
  private readonly first: FirstGate;
  /** Between the opening and the closing of the node. */
  private isOpen = false;
  private isLinkUp = false;
  private gates = 0;

  /** `gateWait`: how long calls wait for the first gate, in milliseconds from the start of the node. */
  constructor(gateWait = GATE_WAIT_MS) {
    this.first = new FirstGate(gateWait);
  }

  /**
   * Whether there is a gate that can work with what it is sent. False before the link is open, after it is closed, and while
   * it is down as a whole.
   */
  get isUp(): boolean {
    return this.isLinkUp && this.isOpen && this.gates > 0;
  }

  /** Whether there is a gate on the link, this node included. */
  get hasGates(): boolean {
    return this.gates > 0;
  }

  /** Whether there has been a gate. */
  get hasHadGates(): boolean {
    return this.first.hasCome;
  }

  /** The gates whose answers are missing: lost a moment ago, or configured and never reached. */
  get missingIds(): readonly NodeId[] {
    return this.missing.ids();
  }

  /** Those of {@link missingIds} that were never reached, by address. */
  get neverReached(): readonly NodeId[] {
    return this.missing.neverReached();
  }

  /** How many gates a push to all of them misses; quick to say where it is none. */
  get missed(): number {
    return this.missing.gaps;
  }

  /** Whether this boot of a gate was lost a moment ago, and may come back. */
  isMissing(id: NodeId, epoch: string): boolean {
    return this.missing.has(id, epoch);
  }

  /** What became of a boot of a gate that is not on the link. `isOther`: another boot of it is. */
  fateOf(id: NodeId, epoch: string, isOther: boolean): GateFate {
    return this.missing.fateOf(id, epoch, isOther);
  }

  /** The node joins the link: the time in which calls wait for the first gate begins. */
  open(): void {
    this.isOpen = true;
    this.first.begin();
  }

  close(): void {
    this.isOpen = false;
  }

  /**
   * Waits for the first gate, within the time that a process has for that at its start, and for `waitMs` at most.
   * @throws {GateError} `LINK_UNAVAILABLE` when there was no gate by then, and what `opening` rejects with.
   */
  async untilGates(opening: Promise<void> | undefined, waitMs: number): Promise<void> {
    if (opening) await this.first.wait(opening, waitMs);
    if (!this.first.hasCome) throw new GateError('LINK_UNAVAILABLE', 'No gate is in reach');
  }

  /** The link as a whole has gone down or come back. False when that is no news. */
  noteStatus(isUp: boolean): boolean {
    if (this.isLinkUp === isUp) return false;
    this.isLinkUp = isUp;
    this.missing.noteStatus(isUp);
    return true;
  }

  /** So many gates are on the link, this node included. */
  noteGates(count: number): void {
    this.gates = count;
    if (count > 0) this.first.note();
  }

  /** What the link is configured to reach, and does not. */
  noteUnreached(gates: readonly UnreachedGate[]): void {
    this.unreached = gates;
    this.missing.noteUnreached(gates);
  }

  /** A gate has disconnected without a leave message. */
  noteLost(gate: NodeInfo): void {
    this.missing.add(gate);
    this.absent.add(gate);
  }

  /** A gate is on the link. Returns how many pushes it has missed that nobody has counted. */
  noteBack(gate: NodeInfo): number {
    this.missing.noteBack(gate);
    return this.absent.return(gate);
  }
}
