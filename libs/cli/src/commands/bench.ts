import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Command } from 'commander';
import { connect, type GateClient, GateError, whenOnline } from '@nestgate/client';
import { WebSocket } from 'ws';
import { Output, parseDuration } from '../output.js';
import { parseBody, positive } from './cluster.js';

const NS_PER_MS = 1e6;
const PERCENTILES = [50, 90, 99, 99.9] as const;
/** Interval at which requests that are due are sent, in milliseconds. */
const TICK_MS = 1;

interface BenchOptions {
  readonly topic: string;
  readonly body: unknown;
  readonly clients: number;
  readonly rate: number;
  readonly for: number;
  readonly token?: string;
  readonly json?: boolean;
}

/** What a run has measured. Latency counts from when a request was due, so that a gate that stands still is not left out. */
export interface BenchResult {
  readonly sent: number;
  readonly answered: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly perSecond: number;
  readonly latencyMs: Readonly<Record<string, number>>;
}

/** Adds `bench`. */
export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .description('sends requests at a fixed rate, and measures how long the answers take')
    .argument('<url>', 'WebSocket URL of a gate')
    .requiredOption('--topic <topic>', 'topic of the requests')
    .option('--body <json>', 'body of the requests', parseBody, {})
    .option('--clients <n>', 'connections', positive, 10)
    .option('--rate <n>', 'requests per second, of all clients together', positive, 1_000)
    .option('--for <duration>', 'how long', parseDuration, 10_000)
    .option('--token <token>', 'token of the clients')
    .option('--json', 'writes JSON')
    .action(async (url: string, options: BenchOptions) => {
      const result = await bench(url, options);
      new Output(options.json === true).fields(result);
      if (result.answered === 0) process.exitCode = 1;
    });
}

async function bench(url: string, options: BenchOptions): Promise<BenchResult> {
  const { token } = options;
  const clients = Array.from({ length: options.clients }, () =>
    connect(url, { WebSocket, resume: false, ...(token !== undefined && { token: () => token }) }),
  );
  try {
    const signal = AbortSignal.timeout(15_000);
    await Promise.all(clients.map(client => whenOnline(client, { signal })));
    return await load(clients, options);
  } finally {
    for (const client of clients) client.close();
  }
}

async function load(clients: readonly GateClient[], options: BenchOptions): Promise<BenchResult> {
  const latency: RecordableHistogram = createHistogram();
  const failed = new Map<string, number>();
  const pending = new Set<Promise<void>>();
  const total = Math.ceil((options.rate * options.for) / 1_000);
  const start = performance.now();
  let sent = 0;
  const send = (): void => {
    const due = start + (sent * 1_000) / options.rate;
    const client = clients[sent++ % clients.length];
    if (!client) return;
    const request = client
      .request(options.topic, options.body, { timeoutMs: 10_000, whenOffline: 'fail' })
      .then(
        () => latency.record(Math.max(1, Math.round((performance.now() - due) * NS_PER_MS))),
        (error: unknown) => {
          const code = error instanceof GateError ? error.code : 'INTERNAL';
          failed.set(code, (failed.get(code) ?? 0) + 1);
        },
      )
      .finally(() => pending.delete(request));
    pending.add(request);
  };
  for (let due = 0; due < total; await new Promise(resolve => setTimeout(resolve, TICK_MS))) {
    due = Math.min(total, Math.floor(((performance.now() - start) * options.rate) / 1_000) + 1);
    for (let missing = due - sent; missing > 0; missing--) send();
  }
  await Promise.all(pending);
  const seconds = (performance.now() - start) / 1_000;
  const ms = (ns: number): number => Math.round(ns / 1_000) / 1_000;
  const { count } = latency;
  return {
    sent,
    answered: count,
    failed: Object.fromEntries(failed),
    perSecond: Math.round(count / seconds),
    latencyMs:
      count === 0
        ? {}
        : {
            ...Object.fromEntries(PERCENTILES.map(p => [`p${p}`, ms(latency.percentile(p))])),
            max: ms(latency.max),
          },
  };
}
