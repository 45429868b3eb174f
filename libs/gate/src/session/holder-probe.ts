import { CLOSE } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import type { GateCounters } from '../gate-counters.js';

/** How long a client may take to answer, in milliseconds that this process has run. */
export const PROBE_MS = 2_000;
/** How often the clients that are probed are looked at. */
const LOOK_MS = 25;
/** What one look adds at most to the time of a probe. A process that was stopped did not read its sockets. */
const MAX_STEP_MS = 250;

/** One client that is asked whether it is alive. */
class Probe {
  readonly isAlive: Promise<boolean>;
  isSettled = false;
  private resolve!: (isAlive: boolean) => void;
  private readonly bytesRead: number;
  private readonly takenBytes: number;
  /** Something waits for the client that the operating system has not taken: what it takes from now on, the client has made room for. */
  private readonly isFull: boolean;

  constructor(
    readonly agent: ClientAgent,
    readonly startedAt: number,
  ) {
    this.isAlive = new Promise(resolve => (this.resolve = resolve));
    const { connection } = agent;
    this.bytesRead = connection.bytesRead;
    this.takenBytes = connection.takenBytes;
    this.isFull = connection.writableLength > 0;
  }

  /** Whether the client has sent anything, or has taken any of what waited for it, since the probe began. */
  get isHeard(): boolean {
    const { connection, isPaused } = this.agent;
    // The socket of this client is paused, so that an answer cannot be read.
    if (isPaused || connection.bytesRead !== this.bytesRead) return true;
    return this.isFull && connection.takenBytes > this.takenBytes;
  }

  settle(isAlive: boolean): void {
    this.isSettled = true;
    this.resolve(isAlive);
  }
}

/**
 * Pings clients, and closes those that send nothing for {@link PROBE_MS}. A client is pinged at most once in that time, for any number
 * of requests. No timer runs while no client is probed.
 */
export class HolderProbes {
  /** By client; each stays until its time is over, so that its outcome serves those who ask meanwhile. */
  private readonly probes = new Map<ClientAgent, Probe>();
  private timer: NodeJS.Timeout | undefined;
  /** The time of the probes, which does not pass while the process is stopped. */
  private clock = 0;
  private lookedAt = 0;

  constructor(private readonly counters: GateCounters) {}

  /**
   * Resolves with `true` when the client answers, or cannot be pinged: its protocol has no ping, or its connect hooks still run. Resolves
   * with `false` when it was closed or has disconnected.
   */
  async isAlive(agent: ClientAgent): Promise<boolean> {
    if (agent.isClosed) return false;
    if (agent.isAway) {
      // The session has no connection: it gives way to the newer login.
      this.counters.add('logins_probed', 'away');
      agent.close(CLOSE.replaced.code, CLOSE.replaced.reason);
      return false;
    }
    if (!agent.isShaked || agent.connection.hasPing === false) {
      this.counters.add('logins_probed', 'no_ping');
      return true;
    }
    const probe = this.probes.get(agent) ?? this.start(agent);
    return (await probe.isAlive) && !agent.isClosed;
  }

  /** Ends all probes: their clients count as alive. */
  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const probe of this.probes.values()) probe.settle(true);
    this.probes.clear();
  }

  private start(agent: ClientAgent): Probe {
    if (!this.timer) {
      this.lookedAt = performance.now();
      this.timer = setInterval(() => this.look(), LOOK_MS).unref();
    }
    const probe = new Probe(agent, this.clock);
    agent.connection.ping();
    this.probes.set(agent, probe);
    return probe;
  }

  private look(): void {
    const now = performance.now();
    this.clock += Math.min(now - this.lookedAt, MAX_STEP_MS);
    this.lookedAt = now;
    for (const probe of this.probes.values()) {
      const { agent } = probe;
      try {
        this.judge(probe);
      } catch (error) {
        // An error affects only its own client.
        this.probes.delete(agent);
        agent.onDefect(error, 'login.probe');
        probe.settle(false);
      }
    }
    if (this.probes.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private judge(probe: Probe): void {
    const { agent } = probe;
    const isOver = this.clock - probe.startedAt >= PROBE_MS;
    if (!probe.isSettled) {
      if (agent.isClosed) {
        probe.settle(false);
      } else if (agent.isAway) {
        this.counters.add('logins_probed', 'away');
        agent.close(CLOSE.replaced.code, CLOSE.replaced.reason);
        probe.settle(false);
      } else if (probe.isHeard) {
        this.counters.add('logins_probed', 'answered');
        probe.settle(true);
      } else if (isOver) {
        this.counters.add('logins_probed', 'silent');
        // The session of a silent client is not kept for this uid.
        const { code, reason } = agent.connection.session ? CLOSE.replaced : CLOSE.heartbeatTimeout;
        agent.close(code, reason);
        probe.settle(false);
      }
    }
    if (isOver || agent.isClosed) this.probes.delete(agent);
  }
}
