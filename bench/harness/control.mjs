/**
 * Loaded before the main file of each server: answers what the harness asks about the process, and ends the process when the
 * harness is gone. It costs nothing while nobody asks.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const NS_PER_MS = 1e6;
/** How often the loop is looked at while it is watched, in milliseconds. It counts as a part of each delay. */
const RESOLUTION_MS = 5;

/** @type {import('node:perf_hooks').IntervalHistogram | undefined} */
let loop;

/** @type {Readonly<Record<string, () => object>>} */
const answers = {
  usage: () => {
    global.gc?.();
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return { busyMs: (user + system) / 1_000, rss, heapUsed };
  },
  /** Starts to watch the event loop. */
  watch: () => {
    loop ??= monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    loop.reset();
    loop.enable();
    return {};
  },
  /** The longest time in which the event loop stood still since then. */
  stall: () => {
    loop?.disable();
    return { ms: Math.max(0, (loop?.max ?? 0) / NS_PER_MS - RESOLUTION_MS) };
  },
};

process.on('message', (/** @type {unknown} */ question) => {
  const answer = answers[String(question)];
  if (answer) process.send?.({ answer: answer() });
});
process.on('disconnect', () => process.exit());
process.channel?.unref();
