import type { SessionTurn } from '../contracts/move-contract.js';
import { parseClientId } from '../client-id.js';
import type { NodeId } from '../link.js';
import type { Peer } from '../peer/peer.js';
import { Signal } from './signal.js';

/** Sessions that are remembered: those that have moved longest ago are forgotten. */
const MAX_HOLDERS = 100_000;

/** The gate that has a session which was born on another one. */
export interface Holder {
  readonly peer: Peer;
  /** The serial of the client on that gate. */
  readonly serial: number;
  readonly generation: number;
}

/** Where the sessions are that have moved from the gate which their id names. Bounded; empty where no session has moved. */
export class Holders {
  /** Emits what gates say about sessions that have come to them. */
  readonly turns: Signal<{ readonly peer: Peer; readonly sessions: readonly SessionTurn[] }>;
  /** True when some that were known are not any more. */
  hasForgotten = false;
  private readonly sessions = new Map<string, Holder>();
  private readonly first: Signal<void>;

  constructor(
    private readonly peers: ReadonlyMap<NodeId, Peer>,
    onDefect: (error: unknown) => void,
    private readonly maxHolders = MAX_HOLDERS,
  ) {
    this.turns = new Signal(onDefect);
    this.first = new Signal(onDefect);
  }

  get size(): number {
    return this.sessions.size;
  }

  /** Calls back once a session is known to have moved, or at once when one is. */
  onFirst(callback: () => void): void {
    if (this.sessions.size > 0) callback();
    else this.first.on(callback);
  }

  /** Where a session is that has moved; `undefined` when it has not, that is not known, or that gate is not on the link. */
  find(clientId: string): Holder | undefined {
    const holder = this.sessions.get(clientId);
    return holder && this.peers.get(holder.peer.info.id) === holder.peer ? holder : undefined;
  }

  /** Where a session was last that has moved, whether that gate is on the link or not. */
  known(clientId: string): Holder | undefined {
    return this.sessions.get(clientId);
  }

  /** Sessions have come to a gate. What is known of a higher generation stays. */
  note(peer: Peer, sessions: readonly SessionTurn[]): void {
    for (const { clientId, serial, generation } of sessions) {
      if (!parseClientId(clientId)) continue;
      const known = this.find(clientId);
      if (known && known.generation > generation) continue;
      this.sessions.delete(clientId);
      this.sessions.set(clientId, { peer, serial, generation });
      if (this.sessions.size === 1) this.first.emit();
    }
    for (const oldest of this.sessions.keys()) {
      if (this.sessions.size <= this.maxHolders) break;
      this.sessions.delete(oldest);
      this.hasForgotten = true;
    }
  }

  /** A session has ended. */
  forget(clientId: string): void {
    this.sessions.delete(clientId);
  }
}
