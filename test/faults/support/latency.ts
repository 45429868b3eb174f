import type { LedgerClient } from './ledger-client.js';

/** How long clients waited for their answers, in milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How long these clients waited for the replies to what they asked from one moment to another. */
export function latencyOf(clients: readonly LedgerClient[], from: number, to = Date.now()): Latency {
  const times = clients
    .flatMap(({ requests }) => requests.log.intents)
    .filter(({ at, outcome }) => at >= from && at < to && outcome !== undefined)
    .map(({ at, settledAt }) => settledAt - at)
    .sort((a, b) => a - b);
  if (times.length === 0) throw new Error('Nobody was answered in this time');
  const at = (part: number) => times[Math.floor(times.length * part)] as number;
  return { p50: at(0.5), p99: at(0.99), max: times.at(-1) as number };
}
