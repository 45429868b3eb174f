import type { GateCounters } from '../gate-counters.js';

/** The options that bound bursts; shared by all queues of a gate. */
export interface BurstLimits {
  /** The soft bound of a queue: above this a queue is a burst, in bytes. */
  readonly sendBuffBytes: number;
  /** The hard bound of one queue, in bytes. If it is not larger than `sendBuffBytes`, there are no bursts. */
  readonly sendBurstBytes: number;
  /** The bound of all queues above their soft bound together, in bytes. */
  readonly sendBurstTotalBytes: number;
  /** How long a client may read nothing while its queue is above the soft bound, in milliseconds. */
  readonly slowClientTimeout: number;
}

/** A queue that may hold more than its soft bound for a while. */
export interface Bursting {
  /** Its entry in the budget while it is above its soft bound. Only the budget writes it. */
  burst: Burst | undefined;
  /** Accepted bytes at the time when its client was found to be slow. Only the budget writes it. */
  slowAt: number;
  /** Memory of the queued messages, in bytes. */
  readonly heldBytes: number;
  /** True while the queue is above its soft bound. */
  readonly isAboveSoftBound: boolean;
  /** Increases when its client reads data. */
  readonly takenBytes: number;
  /** The client is slow: the queue must return within its soft bound immediately. */
  onSlow(): void;
  /** Checking the queue has thrown: its client ends, and the check continues with the other queues. Never throws. */
  onDefect(error: unknown): void;
}

/** A queue above its soft bound. */
export interface Burst {
  readonly queue: Bursting;
  /** Its bytes in the total of the budget. */
  bytes: number;
  accepted: number;
  progressAt: number;
}

/** Number of checks of each burst within `slowClientTimeout`. */
const LOOKS = 20;
/** A check that is later than this number of intervals means that the process was paused. The pause does not count against clients. */
const MAX_LATE = 2;

/**
 * Lets queues exceed their soft bound as long as their clients read. It bounds each queue and the total of all queues, and ends
 * the bursts of clients that read nothing.
 */
export class BurstBudget {
  /** Ordered by the time of the last progress, oldest first. */
  private readonly bursts = new Set<Burst>();
  private readonly everyMs: number;
  private total = 0;
  private timer: NodeJS.Timeout | undefined;
  /** The time for which this process has run while there was a burst, without pauses. */
  private clock = 0;
  private lookedAt = 0;

  constructor(
    private readonly limits: BurstLimits,
    private readonly counters: GateCounters,
  ) {
    this.everyMs = limits.slowClientTimeout / LOOKS;
  }

  /** Memory of all bursts, in bytes. */
  get bytes(): number {
    return this.total;
  }

  /** Whether a queue may grow by this number of bytes above its soft bound. If not, the policy for slow clients acts. */
  admits(queue: Bursting, bytes: number): boolean {
    const { sendBuffBytes, sendBurstBytes } = this.limits;
    // A client that was slow has to read something first.
    if (sendBurstBytes <= sendBuffBytes || queue.slowAt === queue.takenBytes) return false;
    const held = queue.heldBytes + bytes;
    if (held > sendBurstBytes) {
      this.counters.add('slow_clients', 'full');
      return false;
    }
    if (!this.makeRoom(queue, held - (queue.burst?.bytes ?? 0))) {
      this.counters.add('slow_clients', 'gate_full');
      return false;
    }
    this.set((queue.burst ??= this.begin(queue)), held);
    return true;
  }

  /** Notes that the size of a burst has changed. */
  update(burst: Burst): void {
    const { queue } = burst;
    if (queue.isAboveSoftBound) this.set(burst, queue.heldBytes);
    else this.end(burst);
  }

  /** Notes that a queue is no burst any more. */
  end(burst: Burst): void {
    if (!this.bursts.delete(burst)) return;
    this.total -= burst.bytes;
    burst.queue.burst = undefined;
    if (this.bursts.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private begin(queue: Bursting): Burst {
    if (!this.timer) {
      this.lookedAt = performance.now();
      this.timer = setInterval(this.look, this.everyMs).unref();
    }
    const burst: Burst = { queue, bytes: 0, accepted: queue.takenBytes, progressAt: this.clock };
    this.bursts.add(burst);
    return burst;
  }

  private set(burst: Burst, bytes: number): void {
    this.total += bytes - burst.bytes;
    burst.bytes = bytes;
  }

  /** Ends the bursts of clients that have not read for longer than this one, until there is room. False when there is not enough. */
  private makeRoom(queue: Bursting, bytes: number): boolean {
    const { sendBurstTotalBytes } = this.limits;
    if (this.total + bytes <= sendBurstTotalBytes) return true;
    if (queue.burst) this.noteProgress(queue.burst);
    while (this.total + bytes > sendBurstTotalBytes) {
      const slowest = this.slowest();
      if (!slowest || slowest.progressAt >= (queue.burst?.progressAt ?? this.clock)) return false;
      this.cut(slowest, 'gate_full');
    }
    return true;
  }

  /** Moves bursts with progress to the end of the list, once for each step of the clock, so that a call does not check all of them. */
  private slowest(): Burst | undefined {
    for (const burst of this.bursts) {
      const { progressAt } = burst;
      this.noteProgress(burst);
      if (burst.progressAt === progressAt) return burst;
    }
    return undefined;
  }

  private noteProgress(burst: Burst): void {
    const { takenBytes } = burst.queue;
    if (takenBytes === burst.accepted) return;
    burst.accepted = takenBytes;
    if (burst.progressAt === this.clock) return;
    burst.progressAt = this.clock;
    this.bursts.delete(burst);
    this.bursts.add(burst);
  }

  private readonly look = (): void => {
    const now = performance.now();
    this.clock += Math.min(now - this.lookedAt, MAX_LATE * this.everyMs);
    this.lookedAt = now;
    // A copy: bursts with progress are moved to the end.
    for (const burst of Array.from(this.bursts)) {
      if (burst.queue.burst !== burst) continue;
      try {
        this.noteProgress(burst);
        // A timer may fire a fraction of a millisecond early.
        if (this.clock - burst.progressAt >= this.limits.slowClientTimeout - 1) this.cut(burst, 'stalled');
        else this.update(burst);
      } catch (error) {
        this.end(burst);
        burst.queue.onDefect(error);
      }
    }
  };

  private cut(burst: Burst, why: string): void {
    this.counters.add('slow_clients', why);
    burst.queue.slowAt = burst.queue.takenBytes;
    burst.queue.onSlow();
    this.end(burst);
  }
}
