import type { SessionTurn } from '../contracts/move-contract.js';
import { parseClientId } from '../client-id.js';
import type { NodeId } from '../link.js';
import type { Peer } from '../peer/peer.js';
import { Signal } from './signal.js';

/** Maximum number of sessions. Above it the entry with the oldest move is removed. */
const MAX_HOLDERS = 100_000;

/** The gate that has a session which another gate created. */
export interface Holder {
  readonly peer: Peer;
  /** The serial of the client on that gate. */
  readonly serial: number;
  readonly generation: number;
}

/** The current gates of sessions that have moved from the gate that their id names. Bounded; empty when no session has moved. */
export class Holders {
  /** Emits the announcements of gates about sessions that have moved to them. */
  readonly turns: Signal<{ readonly peer: Peer; readonly sessions: readonly SessionTurn[] }>;
  /** True when entries were removed because of the bound. */
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

  /** Calls back when the first session has moved; immediately when one is known already. */
  onFirst(callback: () => void): void {
    if (this.sessions.size > 0) callback();
    else this.first.on(callback);
  }

  /** The gate of a session that has moved. `undefined` when it has not moved, is not known, or its gate is not on the link. */
  find(clientId: string): Holder | undefined {
    const holder = this.sessions.get(clientId);
    return holder && this.peers.get(holder.peer.info.id) === holder.peer ? holder : undefined;
  }

  /** The last known gate of a session that has moved, even if that gate is not on the link. */
  known(clientId: string): Holder | undefined {
    return this.sessions.get(clientId);
  }

  /** Sessions have moved to a gate. Entries with a higher generation stay. */
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
