import type { StreamReport } from './ledger.js';

const MIB = 1024 * 1024;

/** What a fault has cost, for the line that tells it. */
export interface Figures {
  readonly requests?: StreamReport;
  readonly pushes?: StreamReport;
  /** Anything else, by name: times in milliseconds where the name ends in `Ms`, memory in bytes where in `Rss`. */
  readonly [name: string]: StreamReport | number | string | undefined;
}

/** Prints one line that says what a fault has cost. Not through the console, which would make five of it. */
export function printFigures(fault: string, figures: Figures): void {
  const parts = Object.entries(figures).map(([name, value]) => `${name} ${format(name, value)}`);
  process.stdout.write(`faults | ${fault} | ${parts.join(' | ')}\n`);
}

function format(name: string, value: StreamReport | number | string | undefined): string {
  if (typeof value === 'object') {
    const { errors, ...counts } = value;
    const numbers = Object.entries(counts).map(([key, count]) => `${key} ${count}`);
    return [...numbers, JSON.stringify(errors)].join(' ');
  }
  if (typeof value === 'number' && name.endsWith('Rss'))
    return `${value < 0 ? '' : '+'}${(value / MIB).toFixed(1)} MiB`;
  if (typeof value === 'number' && name.endsWith('Ms')) return `${Math.round(value)} ms`;
  return String(value);
}
