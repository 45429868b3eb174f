import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** How often the delay is measured, in milliseconds. */
const RESOLUTION_MS = 20;
/** Readings this close to each other give the same figures, in milliseconds: several parts of one report ask for them. */
const SHARED_MS = 1_000;
const NS_PER_MS = 1e6;

/** How late the event loop has been, in milliseconds. */
export interface LoopDelayFigures {
  /** Half of the measurements were at most this late. */
  readonly p50: number;
  /** 99 of 100 measurements were at most this late. */
  readonly p99: number;
  /** The latest one. */
  readonly max: number;
}

const NOTHING_MEASURED: LoopDelayFigures = Object.freeze({ p50: 0, p99: 0, max: 0 });

/**
 * How late the event loop is: what a timer comes too late by. It is measured from the first reading on, so that it costs
 * nothing in an app that nobody watches; each reading is about the time since the one before.
 */
export class LoopDelay {
  private histogram: IntervalHistogram | undefined;
  private figures = NOTHING_MEASURED;
  private readAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The delay since the last reading; zeros at the first one, which starts the measuring. */
  read(): LoopDelayFigures {
    const now = this.now();
    if (now - this.readAt < SHARED_MS) return this.figures;
    this.readAt = now;
    if (this.histogram) {
      this.figures = figuresOf(this.histogram);
      this.histogram.reset();
    } else {
      this.histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.histogram.enable();
    }
    return this.figures;
  }

  /** Stops the measurement. A later reading starts it again. */
  stop(): void {
    this.histogram?.disable();
    this.histogram = undefined;
    this.figures = NOTHING_MEASURED;
    this.readAt = Number.NEGATIVE_INFINITY;
  }
}

function figuresOf(histogram: IntervalHistogram): LoopDelayFigures {
  // An empty histogram has no percentiles, but numbers in their place.
  if (histogram.max === 0) return NOTHING_MEASURED;
  return { p50: late(histogram.percentile(50)), p99: late(histogram.percentile(99)), max: late(histogram.max) };
}

/** Node measures from one timer to the next, which is never less than its resolution. */
function late(nanoseconds: number): number {
  return Math.max(0, nanoseconds / NS_PER_MS - RESOLUTION_MS);
}
