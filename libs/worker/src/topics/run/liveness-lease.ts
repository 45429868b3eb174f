import type { LinkNode } from '@nestgate/link';
import { type Peer, PendingCall, sessionContract } from '@nestgate/link/internal';

/** Interval at which the worker checks for a pause of its own process, in milliseconds. */
const LOOK_MS = 250;
/** Pause after which a gate may consider this worker dead: gates expect a heartbeat each second and tolerate three missing. */
const PAUSE_MS = 2_000;
/** Time limit for the answer of a gate, in milliseconds. */
const ANSWER_MS = 5_000;

/** Decisions about the held frames of a gate. */
export interface LivenessLeaseEvents {
  /** The gate still considers this worker alive: its frames can be started. */
  onRenewed(gate: Peer): void;
  /** The gate has given up this worker or is unreachable. It answers the affected requests with `WORKER_LOST`. */
  onExpired(gate: Peer): void;
}

/**
 * Detects a pause of this process: it was stopped, or a handler blocked the event loop. During the pause gates may have
 * considered the worker dead and answered its requests with `WORKER_LOST`. After a pause the worker therefore holds the
 * frames of each gate until that gate has confirmed that it still considers the worker alive.
 */
export class LivenessLease {
  private readonly suspects = new Set<Peer>();
  private lookedAt = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly events: LivenessLeaseEvents,
  ) {}

  start(): void {
    this.lookedAt = performance.now();
    const look = this.node.defects.guard('worker.lease', () => this.look(performance.now()));
    this.timer = setInterval(look, LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /**
   * Whether frames of a gate can be started at `now`, of `performance.now()`. Checks for a pause first: a process that
   * continues may read its sockets before the timer of this class runs.
   */
  has(gate: Peer, now: number): boolean {
    if (this.timer) this.look(now);
    return this.suspects.size === 0 || !this.suspects.has(gate);
  }

  /** Removes a gate that has left or lost its connection. It returns as another peer. */
  forget(id: string): void {
    for (const gate of this.suspects) if (gate.info.id === id) this.suspects.delete(gate);
  }

  private look(now: number): void {
    const pause = now - this.lookedAt;
    this.lookedAt = now;
    if (pause <= PAUSE_MS) return;
    for (const peer of this.node.remotes.values()) {
      if (!peer.isGate || this.suspects.has(peer)) continue;
      this.suspects.add(peer);
      this.ask(peer).catch((error: unknown) => this.node.reportDefect(error, 'worker.lease'));
    }
  }

  private async ask(gate: Peer): Promise<void> {
    const counts = await this.hasAnswered(gate);
    if (!this.suspects.delete(gate)) return;
    if (counts) this.events.onRenewed(gate);
    else this.events.onExpired(gate);
  }

  /** Returns false when the query cannot be sent, fails or times out. */
  private async hasAnswered(gate: Peer): Promise<boolean> {
    const pending = new PendingCall(sessionContract.sync);
    try {
      gate.request(sessionContract.sync, undefined, pending, performance.now() + ANSWER_MS);
      await pending.promise;
      return true;
    } catch {
      return false;
    }
  }
}
