import type { GateCounters } from '../gate-counters.js';

/** What a burst budget needs to know; shared by all of a gate. */
export interface BurstLimits {
  /** Up to here no queue is a burst, in bytes. */
  readonly sendBuffBytes: number;
  /** What one queue may hold, in bytes. Not more than `sendBuffBytes`: there are no bursts. */
  readonly sendBurstBytes: number;
  /** What all queues above their soft bound may hold together, in bytes. */
  readonly sendBurstTotalBytes: number;
  /** How long a socket may take nothing while its queue is above its soft bound, in milliseconds. */
  readonly slowClientTimeout: number;
}

/** A queue that may hold more than its soft bound for a while. */
export interface Bursting {
  /** Its place in the budget while it is above its soft bound. Only the budget writes it. */
  burst: Burst | undefined;
  /** Accepted bytes at the time when its client was found to be slow. Only the budget writes it. */
  slowAt: number;
  /** What it costs to hold what waits, in bytes. */
  readonly heldBytes: number;
  /** True while it holds more than its soft bound. */
  readonly isAboveSoftBound: boolean;
  /** Increases when its client reads data. */
  readonly takenBytes: number;
  /** Its client is slow: the queue has to go back within its soft bound, at once. */
  onSlow(): void;
  /** A look at it has thrown: its client ends, and the others of the look are looked at all the same. Never throws. */
  onDefect(error: unknown): void;
}

/** A queue above its soft bound. */
export interface Burst {
  readonly queue: Bursting;
  /** What it counts in the budget. */
  bytes: number;
  accepted: number;
  progressAt: number;
}

/** Sockets are looked at so many times in `slowClientTimeout`. */
const LOOKS = 20;
/** A look that comes later than so many of its intervals: the process has stood still, which is nobody's lack of progress. */
const MAX_LATE = 2;

/**
 * Lets queues hold more than their soft bound as long as their clients make progress. It has a bound for one queue, one for
 * all together, and ends those whose socket takes nothing.
 */
export class BurstBudget {
  /** The one that was seen to make progress longest ago first. */
  private readonly bursts = new Set<Burst>();
  private readonly everyMs: number;
  private total = 0;
  private timer: NodeJS.Timeout | undefined;
  /** The time that this process has run while there was a burst. */
  private clock = 0;
  private lookedAt = 0;

  constructor(
    private readonly limits: BurstLimits,
    private readonly counters: GateCounters,
  ) {
    this.everyMs = limits.slowClientTimeout / LOOKS;
  }

  /** What all bursts hold, in bytes. */
  get bytes(): number {
    return this.total;
  }

  /** Whether a queue above its soft bound may take so many bytes more. The policy for slow clients acts when it may not. */
  admits(queue: Bursting, bytes: number): boolean {
    const { sendBuffBytes, sendBurstBytes } = this.limits;
    // One that has been slow has to take something first.
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

  /** What a burst holds has changed. */
  update(burst: Burst): void {
    const { queue } = burst;
    if (queue.isAboveSoftBound) this.set(burst, queue.heldBytes);
    else this.end(burst);
  }

  /** A queue is a burst no more. */
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

  /** Ends bursts whose clients have made progress longer ago than this one's until there is room; false when there is none. */
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

  /** One that has made progress goes to the end, once for each time that the clock moves: no call looks at all. */
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
    // A copy: what has made progress goes to the end.
    for (const burst of Array.from(this.bursts)) {
      if (burst.queue.burst !== burst) continue;
      try {
        this.noteProgress(burst);
        // A timer may be early by a part of a millisecond.
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
