import type { ClientAgent } from '../connection/client-agent.js';

/**
 * The part of `heartOverTimer` that one tick adds at most to the heartbeat's own time. A process that was stopped did not read
 * its sockets, so that time says nothing about its clients: what they sent meanwhile is read after the tick.
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
 * Pings clients, and ends those that have been silent, or have taken nothing, for too long. It reads the socket's byte counter instead of noting
 * each message, so that it costs nothing on the way of a frame. Silence is measured in the time that this process has run.
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
    // A client is looked at five times in the shorter of the two times, but at least every 5 s.
    const roundMs = Math.min(times.pingInterval, times.heartOverTimer, 25_000) / 5;
    this.tickMs = Math.max(1, Math.round(roundMs / BUCKETS));
  }

  add(agent: ClientAgent): void {
    this.bucketOf(agent).add(agent);
    agent.startHeartbeat(this.clock);
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
    for (const agent of this.buckets[this.cursor] as Set<ClientAgent>) {
      try {
        if (agent.silentFor(now) >= heartOverTimer) {
          this.onDead(agent);
        } else {
          agent.pingWhenDue(now, pingInterval);
          agent.cutWhenStuck(now, heartOverTimer);
        }
      } catch (error) {
        // The others of this tick have nothing to do with it.
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
    return this.buckets[agent.serial % BUCKETS] as Set<ClientAgent>;
  }
}
