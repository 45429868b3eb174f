import type { LinkNode } from '@nestgate/link';
import { type Codec, type Peer, Pending, type SessionTurn, turnContract } from '@nestgate/link/internal';
import type { GateError } from '@nestgate/protocol';

/** Sessions that come within so many milliseconds are told together, and so many at once. */
const BATCH_MS = 20;
const MAX_BATCH = 500;
/** How long a node has to say that it sends to the new gate from now on, in milliseconds. */
export const TURN_MS = 500;
/** How much longer an answer that is late is waited for, in milliseconds. A node that takes longer is usually lost by then. */
const LATE_MS = 10_000;

/** What becomes of a turn. */
export interface TurnSource {
  /** What is told. */
  readonly turn: SessionTurn;
  /** The turn is on its way to these nodes. */
  sent(peers: readonly Peer[]): void;
  /** A node has not turned in time, and what it sends to this gate may be what it has sent to the other one. It may still turn. */
  late(peer: Peer): void;
  /** A node sends to this gate from now on; not `sure`: it may not, or does not know how. */
  turned(peer: Peer, isSure: boolean): void;
}

/** A turn of which it does not matter who has followed it. */
export function announcement(turn: SessionTurn): TurnSource {
  return { turn, sent: () => undefined, late: () => undefined, turned: () => undefined };
}

/** Tells all nodes which sessions have come to this gate, many at once. */
export class Turns {
  private waiting: TurnSource[] = [];
  private timer: NodeJS.Timeout | undefined;
  /** Nodes that do not know how sessions move. */
  private readonly unable = new WeakSet<Peer>();

  constructor(private readonly node: LinkNode) {}

  /** Whether all nodes know how sessions move, as far as is known. */
  get isKnownByAll(): boolean {
    for (const peer of this.node.peers.values()) if (this.unable.has(peer)) return false;
    return true;
  }

  /** Tells all nodes: at once, or, when others were told a moment ago, together with the next ones. */
  add(source: TurnSource): void {
    this.waiting.push(source);
    if (!this.timer) {
      this.send();
      this.timer = setTimeout(
        this.node.defects.guard('resume.turn', () => this.endBatch()),
        BATCH_MS,
      );
    } else if (this.waiting.length >= MAX_BATCH) this.send();
  }

  /** Tells one node about sessions that all others know to be here. */
  async tell(peer: Peer, sources: readonly TurnSource[]): Promise<void> {
    for (let at = 0; at < sources.length || at === 0; at += MAX_BATCH)
      await this.ask(peer, sources.slice(at, at + MAX_BATCH));
  }

  /** Settles when everything that a node has sent to this one before has come. */
  async barrier(peer: Peer): Promise<void> {
    await this.ask(peer, []);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = [];
  }

  private endBatch(): void {
    this.timer = undefined;
    if (this.waiting.length === 0) return;
    this.send();
    this.timer = setTimeout(
      this.node.defects.guard('resume.turn', () => this.endBatch()),
      BATCH_MS,
    );
  }

  private send(): void {
    const sources = this.waiting;
    this.waiting = [];
    const peers = [...this.node.peers.values()];
    for (const source of sources) source.sent(peers);
    for (const peer of peers) {
      this.ask(peer, sources).catch((error: unknown) => this.node.reportDefect(error, 'resume.turn'));
    }
  }

  private ask(peer: Peer, sources: readonly TurnSource[]): Promise<void> {
    return new Promise(resolve => {
      const end = (error: GateError | undefined): void => {
        const code = error?.code;
        if (code === 'UNKNOWN_OPERATION') this.unable.add(peer);
        // One that is gone sends nothing more.
        const isGone = code === 'NODE_LOST' && this.node.peers.get(peer.info.id) !== peer;
        for (const source of sources) source.turned(peer, !error || isGone);
        resolve();
      };
      const call = new TurnCall(end, () => {
        for (const source of sources) source.late(peer);
        resolve();
      });
      const sessions = sources.map(({ turn }) => turn);
      peer.request(turnContract.turn, { sessions }, call, performance.now() + TURN_MS);
    });
  }
}

/** Waits for a node to turn. What it sends to this gate follows in the same batch: therefore this is no promise. */
class TurnCall extends Pending<void> {
  private isLate = false;

  constructor(
    private readonly onEnd: (error: GateError | undefined) => void,
    private readonly onLate: () => void,
  ) {
    super();
  }

  /** The answer still says from where on the node sends to this gate. */
  override expire(): void {
    if (this.isLate) {
      super.expire();
      return;
    }
    this.isLate = true;
    this.table?.extend(this, performance.now() + LATE_MS);
    this.onLate();
  }

  override get result(): Codec<void> {
    return turnContract.turn.result;
  }

  override succeed(): void {
    this.onEnd(undefined);
  }

  override fail(error: GateError): void {
    this.onEnd(error);
  }
}
