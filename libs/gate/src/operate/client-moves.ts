import type { ReportDefect } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import type { GateCounters } from '../gate-counters.js';
import { ResumableConnection } from '../resume/resumable-connection.js';

/** Interval at which clients are asked, in milliseconds. */
const TICK_MS = 100;
/** How long a client may take to move, in milliseconds. One that takes longer stays where it is. */
const WITHIN_MS = 10_000;

/** Asks resumable clients to go on on another gate, so many in a second. They keep their sessions, and lose no message. */
export class ClientMoves {
  private left = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly hub: { all(): Iterable<ClientAgent> },
    private readonly counters: GateCounters,
    private readonly reportDefect: ReportDefect,
  ) {}

  /** Asks so many clients, in place of those that another call still wanted to ask. Returns how many will be asked. */
  begin(clients: number, perSecond: number): number {
    this.stop();
    this.left = Math.min(clients, [...this.movable()].length);
    if (this.left === 0) return 0;
    const perTick = Math.max(1, Math.round((perSecond * TICK_MS) / 1_000));
    this.timer = setInterval(() => this.askSome(perTick), Math.max(TICK_MS, 1_000 / perSecond)).unref();
    return this.left;
  }

  stop(): void {
    clearInterval(this.timer);
    this.left = 0;
  }

  private askSome(most: number): void {
    let asked = 0;
    for (const connection of this.movable()) {
      try {
        connection.askToMove(WITHIN_MS);
      } catch (error) {
        this.reportDefect(error, 'move');
      }
      this.counters.add('clients_rebalanced', 'gate');
      this.left--;
      if (++asked >= most || this.left === 0) break;
    }
    // Fewer than there were may be left.
    if (asked === 0 || this.left === 0) this.stop();
  }

  private *movable(): Generator<ResumableConnection> {
    for (const { connection } of this.hub.all()) {
      const isMovable =
        connection instanceof ResumableConnection &&
        connection.isWelcomed &&
        !connection.isAway &&
        !connection.isMoving &&
        !connection.isHandedOver;
      if (isMovable) yield connection;
    }
  }
}
