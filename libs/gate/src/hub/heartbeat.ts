import type { ClientAgent } from '../connection/client-agent.js';

/** Clients are looked at in this many groups, so that no tick looks at all of them. */
const BUCKETS = 16;

/** The times of a heartbeat in milliseconds. */
export interface HeartbeatTimes {
  readonly pingInterval: number;
  readonly heartOverTimer: number;
}

/**
 * Pings clients, and ends those that have been silent for too long. It reads the socket's byte counter instead of noting
 * each message, so that it costs nothing on the way of a frame.
 */
export class Heartbeat {
  private readonly buckets: Set<ClientAgent>[] = Array.from({ length: BUCKETS }, () => new Set());
  private readonly tickMs: number;
  private timer: NodeJS.Timeout | undefined;
  private cursor = 0;
  private size = 0;

  constructor(
    private readonly times: HeartbeatTimes,
    private readonly onDead: (agent: ClientAgent) => void,
  ) {
    // A client is looked at five times in the shorter of the two times, but at least every 5 s.
    const roundMs = Math.min(times.pingInterval, times.heartOverTimer, 25_000) / 5;
    this.tickMs = Math.max(1, Math.round(roundMs / BUCKETS));
  }

  add(agent: ClientAgent): void {
    this.bucketOf(agent).add(agent);
    if (this.size++ === 0) this.timer = setInterval(() => this.tick(), this.tickMs).unref();
  }

  remove(agent: ClientAgent): void {
    if (!this.bucketOf(agent).delete(agent)) return;
    if (--this.size === 0) clearInterval(this.timer);
  }

  private tick(): void {
    const now = Date.now();
    this.cursor = (this.cursor + 1) % BUCKETS;
    for (const agent of this.buckets[this.cursor] as Set<ClientAgent>) {
      if (agent.silentFor(now) >= this.times.heartOverTimer) this.onDead(agent);
      else agent.pingWhenDue(now, this.times.pingInterval);
    }
  }

  private bucketOf(agent: ClientAgent): Set<ClientAgent> {
    return this.buckets[agent.serial % BUCKETS] as Set<ClientAgent>;
  }
}
