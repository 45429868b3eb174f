import { present } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';

/**
 * Upper bound of the time that one tick adds to the heartbeat's own clock, as a part of `heartOverTimer`. A stopped process does not read
 * its sockets, so that its pause must not count as silence of clients: their input is read after the tick.
 */
const MAX_STEP = 1 / 4;

/** Clients are looked at in this many groups, so that no tick looks at all of them. */
const BUCKETS = 16;

/** The times of a heartbeat in milliseconds. */
export interface HeartbeatTimes {
  readonly pingInterval: number;
  readonly heartOverTimer: number;
}

/**
 * Pings clients, and closes those that sent nothing, or read nothing, for too long. It reads the byte counter of the socket, so that it adds
 * no work to the hot path. Silence is measured in the running time of this process.
 */
export class Heartbeat {
  private readonly buckets: Set<ClientAgent>[] = Array.from({ length: BUCKETS }, () => new Set());
  private readonly tickMs: number;
  private timer: NodeJS.Timeout | undefined;
  private cursor = 0;
  private size = 0;
  private clock = 0;
  private tickedAt = 0;

  constructor(
    private readonly times: HeartbeatTimes,
    private readonly onDead: (agent: ClientAgent) => void,
  ) {
    // A client is checked five times in the shorter of the two times, but at least every 5 s.
    const roundMs = Math.min(times.pingInterval, times.heartOverTimer, 25_000) / 5;
    this.tickMs = Math.max(1, Math.round(roundMs / BUCKETS));
  }

  add(agent: ClientAgent): void {
    this.bucketOf(agent).add(agent);
    agent.liveness.start(this.clock);
    if (this.size++ > 0) return;
    this.tickedAt = performance.now();
    this.timer = setInterval(() => this.tick(), this.tickMs).unref();
  }

  remove(agent: ClientAgent): void {
    if (!this.bucketOf(agent).delete(agent)) return;
    if (--this.size === 0) clearInterval(this.timer);
  }

  private tick(): void {
    const now = this.advance();
    const { heartOverTimer, pingInterval } = this.times;
    this.cursor = (this.cursor + 1) % BUCKETS;
    for (const agent of present(this.buckets[this.cursor])) {
      try {
        const { liveness } = agent;
        if (liveness.silentFor(now, agent.isPaused) >= heartOverTimer) {
          this.onDead(agent);
        } else {
          liveness.pingWhenDue(now, pingInterval);
          if (liveness.isStuck(now, heartOverTimer)) agent.cutStuck();
        }
      } catch (error) {
        // An error affects only its own client.
        agent.onDefect(error, 'heartbeat');
      }
    }
  }

  /** The time of the heartbeat, which the agents' times are of too. */
  private advance(): number {
    const now = performance.now();
    this.clock += Math.min(now - this.tickedAt, this.times.heartOverTimer * MAX_STEP);
    this.tickedAt = now;
    return this.clock;
  }

  private bucketOf(agent: ClientAgent): Set<ClientAgent> {
    return present(this.buckets[agent.serial % BUCKETS]);
  }
}
