import { readFileSync } from 'node:fs';

/**
 * How long the main threads of these processes were ready to run and had no core to run on, in milliseconds, since they began. What a
 * process promises to do in a time it promises for when it runs: on a busy machine tests allow it this much more. Always 0 where
 * the system does not tell it, and for a process that is over.
 */
export function starvedMs(pids: readonly (number | undefined)[] = [process.pid]): number {
  return pids.reduce<number>((total, pid) => total + starvedMsOf(pid), 0);
}

function starvedMsOf(pid: number | undefined): number {
  try {
    // Time on a core, time on a run queue, and how often it ran; in nanoseconds.
    const [, waited] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
    return Number(waited) / 1e6 || 0;
  } catch {
    return 0;
  }
}

/** How often a {@link LoopWatch} looks, in milliseconds. */
const TICK_MS = 5;

/** Watches how late the event loop of this process is, less what the process itself waited for a core. */
export class LoopWatch {
  private delays: number[] = [];
  private at = performance.now();
  private starved = starvedMs();
  private readonly timer = setInterval(() => this.tick(), TICK_MS).unref();

  /** The 99th percentile and the worst since this was last asked, in milliseconds; then it starts again. */
  take(): { readonly p99: number; readonly max: number } {
    const delays = this.delays.sort((a, b) => a - b);
    this.delays = [];
    return { p99: delays[Math.floor(delays.length * 0.99)] ?? 0, max: delays.at(-1) ?? 0 };
  }

  end(): void {
    clearInterval(this.timer);
  }

  private tick(): void {
    const now = performance.now();
    const starved = starvedMs();
    this.delays.push(Math.max(0, now - this.at - TICK_MS - (starved - this.starved)));
    this.at = now;
    this.starved = starved;
  }
}
