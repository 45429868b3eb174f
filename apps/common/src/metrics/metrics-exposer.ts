import { Counter, Gauge, type Registry } from 'prom-client';
import type { MetricRow } from './metrics-rows.js';

/** Registers a metric for each row; their values are read when the registry is. */
export function expose<S>(registry: Registry, rows: readonly MetricRow<S>[], figures: () => S): void {
  for (const row of rows) {
    const { name, help, label, type } = row;
    const config = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] };
    const values = (): [labels: Record<string, string>, value: number][] => valuesOf(row, figures());
    if (type === 'counter') {
      // They have been counted elsewhere: each reading puts the whole count in the place of the last one.
      const metric: Counter = new Counter({
        ...config,
        collect: () => {
          metric.reset();
          for (const [labels, value] of values()) metric.inc(labels, value);
        },
      });
    } else {
      const metric: Gauge = new Gauge({
        ...config,
        collect: () => {
          metric.reset();
          for (const [labels, value] of values()) metric.set(labels, value);
        },
      });
    }
  }
}

/**
 * Reads once for all metrics of a scrape, which a registry collects in one go: to look at all clients for each of twenty
 * figures would hold up the app.
 */
export function oncePerScrape<S>(read: () => S): () => S {
  let last: { readonly figures: S } | undefined;
  return () => {
    if (!last) {
      last = { figures: read() };
      queueMicrotask(() => (last = undefined));
    }
    return last.figures;
  };
}

function valuesOf<S>(row: MetricRow<S>, figures: S): [Record<string, string>, number][] {
  const { label } = row;
  const value = row.read(figures);
  if (typeof value === 'number') return [[{}, value]];
  return Object.entries(value).map(([key, each]) => [{ [label as string]: key }, each]);
}
