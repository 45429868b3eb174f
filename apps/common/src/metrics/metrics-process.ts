import type { MetricRow } from './metrics-rows.js';

const US_PER_SECOND = 1e6;
const MS_PER_SECOND = 1_000;

/** What the process knows of itself. */
export interface ProcessFigures {
  readonly cpu: NodeJS.CpuUsage;
  readonly memory: NodeJS.MemoryUsage;
  readonly startedAt: number;
}

/**
 * The usual metrics of a process, by their usual names, as far as they are cheap. `collectDefaultMetrics` of prom-client is
 * not: it lists the open files one by one with each scrape, and a client is one; and it watches each garbage collection.
 */
export const PROCESS_ROWS: readonly MetricRow<ProcessFigures>[] = [
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time used by the process, its own and that of the system for it.',
    read: ({ cpu }) => (cpu.user + cpu.system) / US_PER_SECOND,
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Memory of the process that is in RAM.',
    read: ({ memory }) => memory.rss,
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'When the process was started, since the epoch.',
    read: ({ startedAt }) => startedAt / MS_PER_SECOND,
  },
  {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    help: 'Memory that JavaScript uses.',
    read: ({ memory }) => memory.heapUsed,
  },
  {
    name: 'nodejs_heap_size_total_bytes',
    type: 'gauge',
    help: 'Memory that is set aside for JavaScript.',
    read: ({ memory }) => memory.heapTotal,
  },
  {
    name: 'nodejs_external_memory_bytes',
    type: 'gauge',
    help: 'Memory outside of the heap that JavaScript holds: buffers above all.',
    read: ({ memory }) => memory.external,
  },
];

/** The figures as they are now. */
export function processFigures(): ProcessFigures {
  return { cpu: process.cpuUsage(), memory: process.memoryUsage(), startedAt: performance.timeOrigin };
}
