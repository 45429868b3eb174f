import { type LinkNode, type Peer, PendingCall, sessionContract } from '@nestgate/link';

/** How often it is looked whether this process has stood still, in milliseconds. */
const LOOK_MS = 250;
/** From so long a pause on, a gate may have taken this worker for dead: it waits for three signs of life, one each second. */
const PAUSE_MS = 2_000;
/** How long a gate may take to say that it has not, in milliseconds. */
const ANSWER_MS = 5_000;

/** What becomes of a gate's frames that were held. */
export interface GateTrustEvents {
  /** The gate still counts on this worker: its frames can be started. */
  onTrusted(gate: Peer): void;
  /** The gate does not, or cannot be asked: it tells its clients of the loss, or has already. */
  onGivenUp(gate: Peer): void;
}

/**
 * Notices that this process has stood still: it was stopped, or a handler has kept it busy for too long. Gates may have
 * given it up meanwhile, and told the clients whose frames it has, and those whose frames wait in its sockets. Nothing of a
 * gate is to be started then before it has answered.
 */
export class GateTrust {
  private readonly suspects = new Set<Peer>();
  private lookedAt = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly events: GateTrustEvents,
  ) {}

  start(): void {
    this.lookedAt = performance.now();
    const look = this.node.defects.guard('worker.trust', () => this.look(performance.now()));
    this.timer = setInterval(look, LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /**
   * Whether frames of a gate can be started at `now`, of `performance.now()`. Looks at the clock itself: a process that goes on may
   * come to its sockets, and to the timers of its handlers, before anything else.
   */
  has(gate: Peer, now: number): boolean {
    if (this.timer) this.look(now);
    return this.suspects.size === 0 || !this.suspects.has(gate);
  }

  /** A gate has left, or has lost its connection: it comes back as another peer. */
  forget(id: string): void {
    for (const gate of this.suspects) if (gate.info.id === id) this.suspects.delete(gate);
  }

  /** By the time of day, which counts what a suspended machine has missed; when it is set forward, gates are asked in vain. */
  private look(now: number): void {
    const pause = now - this.lookedAt;
    this.lookedAt = now;
    if (pause <= PAUSE_MS) return;
    for (const peer of this.node.peers.values()) {
      if (peer.isSelf || peer.info.role !== 'gate' || this.suspects.has(peer)) continue;
      this.suspects.add(peer);
      this.ask(peer).catch((error: unknown) => this.node.reportDefect(error, 'worker.trust'));
    }
  }

  private async ask(gate: Peer): Promise<void> {
    const counts = await this.hasAnswered(gate);
    if (!this.suspects.delete(gate)) return;
    if (counts) this.events.onTrusted(gate);
    else this.events.onGivenUp(gate);
  }

  /** A question that cannot be sent is not answered. */
  private async hasAnswered(gate: Peer): Promise<boolean> {
    const pending = new PendingCall(sessionContract.sync);
    try {
      this.node.request(gate, sessionContract.sync, undefined, pending, performance.now() + ANSWER_MS);
      await pending.promise;
      return true;
    } catch {
      return false;
    }
  }
}
