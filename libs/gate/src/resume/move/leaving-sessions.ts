import { setTimeout as delay } from 'node:timers/promises';
import type { LinkNode } from '@nestgate/link';
import { moveContract, type Peer } from '@nestgate/link/internal';
import { CLOSE } from '@nestgate/protocol';
import type { Hub } from '../../hub/hub.js';
import { wireOf } from './departures.js';
import { ResumableConnection } from '../resumable-connection.js';

/** So many clients are asked to move at once, and so many sessions are offered at once. */
const AT_ONCE = 20;
/** The time between two of these, in milliseconds: 1,000 clients per second. */
const PACE_MS = 20;
/** An offer that nobody has taken up is repeated to another gate after so many milliseconds. */
const AGAIN_MS = 1_000;
/** The part of the time after which clients that have not moved lose their connection. Their sessions are then handed over. */
const ASKING_PART = 0.6;

/** What a gate that stops needs of its sessions. */
export interface LeavingHost {
  readonly node: LinkNode;
  readonly hub: Hub;
  /** Sessions that are on their way to another gate. */
  readonly departing: number;
  /** False when a node is there that does not know how sessions move. */
  readonly mayMove: boolean;
  ticketFor(connection: ResumableConnection): string;
}

/**
 * Moves the sessions of a gate that stops to other gates: it asks their clients to reconnect elsewhere, and hands those that are without
 * a connection over.
 */
export class LeavingSessions {
  private readonly offered = new Map<ResumableConnection, number>();
  private turn = 0;

  constructor(private readonly host: LeavingHost) {}

  /** Resolves when all sessions have moved, when there is no gate that could take them, or after `limitMs`. */
  async leave(limitMs: number): Promise<void> {
    const { host } = this;
    const end = performance.now() + limitMs;
    const cutAt = performance.now() + limitMs * ASKING_PART;
    while (performance.now() < end) {
      const gates = this.otherGates();
      const sessions = this.sessions();
      if (gates.length === 0 || !host.mayMove || (sessions.length === 0 && host.departing === 0)) return;
      const now = performance.now();
      let left = AT_ONCE;
      for (const connection of sessions) {
        if (left === 0) break;
        if (!connection.isAway && !connection.isMoving) {
          connection.askToMove(Math.max(0, Math.round(cutAt - now)));
          left--;
        } else if (!connection.isAway && now >= cutAt) {
          connection.loseSocket(CLOSE.moved.code, CLOSE.moved.reason);
          left--;
        } else if (connection.isAway && !(now - (this.offered.get(connection) ?? -Infinity) < AGAIN_MS)) {
          this.offer(connection, gates, now);
          left--;
        }
      }
      await delay(PACE_MS);
    }
  }

  /** Those that no other gate is taking. */
  private sessions(): ResumableConnection[] {
    const sessions: ResumableConnection[] = [];
    for (const { connection } of this.host.hub.all()) {
      if (connection instanceof ResumableConnection && !connection.isHandedOver && connection.isWelcomed)
        sessions.push(connection);
    }
    return sessions;
  }

  private otherGates(): Peer[] {
    const { node } = this.host;
    if (!node.isUp) return [];
    return [...node.peers.values()].filter(
      ({ info }) => info.role === 'gate' && !info.draining && info.id !== node.info.id,
    );
  }

  private offer(connection: ResumableConnection, gates: readonly Peer[], now: number): void {
    this.offered.set(connection, now);
    const { agent, queue, openedAs: userId } = connection;
    const { sessionId: clientId } = agent.sessionState.origin;
    const ticket = this.host.ticketFor(connection);
    const gate = gates[this.turn++ % gates.length] as Peer;
    gate.notify(moveContract.offer, [{ clientId, ticket, seen: queue.acked, wire: wireOf(connection), userId }]);
  }
}
