import { afterEach, describe, expect, it } from '@jest/globals';
import { MetricsModule } from '@nestgate-app/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateCounters } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { Test } from '@nestjs/testing';
import {
  GatewayHttpModule,
  HandlerObservers,
  type ObservedHandler,
  WorkerModule,
  WebhookMetrics,
  WebhookModule,
} from '@nestgate/worker';
import { Registry } from 'prom-client';
import { examplesOf, fencesOf, read } from '../support/docs-support.js';
import { StatsController } from './support/metrics-examples.js';
import { MetricsPage, scrape } from './support/metrics-support.js';

/** A row of the tables: name, type, label, what it is, when to look. */
type Row = readonly [name: string, type: string, label: string, what: string, when: string];

const page = read('docs/metrics.md');
const sections = new Map(page.split(/^## /m).map(part => [/^.*/.exec(part)?.[0] ?? '', part]));

function rowsOf(section: string): Row[] {
  const rows = Array.from((sections.get(section) ?? '').matchAll(/^\| `(.*) \|$/gm), match => `\`${match[1]}`);
  return rows.map(row => row.split('|').map(cell => cell.replaceAll('`', '').trim()) as unknown as Row);
}

const TABLES = ['Every app', 'Gates', 'Handlers', 'HTTP API', 'Webhooks', 'The process'];
const documented = (...names: string[]) =>
  Object.fromEntries(names.flatMap(rowsOf).map(([name, type, label]) => [name, `${type} ${label}`]));

/** Every metric that a page has, with its type and label. */
const exposed = (metrics: MetricsPage) =>
  Object.fromEntries(
    [...metrics.families.values()].map(({ name, type }) => [
      name,
      `${type} ${
        metrics
          .labelNames(name)
          .filter(label => label !== 'le')
          .join() || '–'
      }`,
    ]),
  );

async function timeOneHandler(observers: HandlerObservers): Promise<void> {
  const handler: ObservedHandler = { call: () => undefined };
  await observers.wrap(new Map([['a/b', handler]]));
  const { call } = handler;
  call(undefined, undefined as never);
}

describe('docs/metrics.md', () => {
  let cluster: TestCluster | undefined;

  afterEach(() => cluster?.close());

  it('has a row for every metric of a gate, and for no other', async () => {
    cluster = await createTestCluster({
      handlers: {
        imports: [
          HandlersModule,
          MetricsModule.forRoot({ handlerTimes: true }),
          GatewayHttpModule.forRoot({}),
          WebhookModule.forRoot({
            endpoints: [{ url: 'http://127.0.0.1:9/', secret: 'x'.repeat(24), topics: ['a/b'] }],
          }),
        ],
        controllers: [StatsController],
      },
    });
    await fetch(`http://127.0.0.1:${cluster.gate.port}/nestgate/v1/nothing`, { method: 'POST' });
    const webhooks: object = cluster.gate.app.get(WebhookMetrics, { strict: false });
    const counts = webhooks as Record<'delivered' | 'failed' | 'dropped', Map<string, number>>;
    counts.delivered.set('message', 1);
    counts.failed.set('timeout', 1);
    counts.dropped.set('full', 1);
    await timeOneHandler(cluster.gate.app.get(HandlerObservers));
    // A metric shows its label when there is something to show.
    const counters = cluster.gate.app.get(GateCounters);
    counters.add('frames_refused', 'NO_ROUTE');
    counters.add('frames_abandoned', 'client_gone');
    counters.add('reads_paused', 'unanswered');
    counters.add('packs_dropped', 'closed');
    counters.add('slow_clients', 'stalled');
    counters.add('answers_dropped', 'client_gone');
    counters.add('handshakes_refused', 400);
    counters.add('connections_closed', 1008);
    counters.add('events_lost', 'connect');
    counters.add('storage_failures', 'error');
    counters.add('binds_refused', 'revoked');
    counters.add('claims_refused', 'clock');
    counters.add('logins_probed', 'silent');
    counters.add('revocations_forgotten', 'full');
    counters.add('calls_dropped', 'stale');
    counters.add('sessions_detached', 1006);
    counters.add('sessions_resumed', 'here');
    counters.add('sessions_moved', 'away');
    counters.add('clients_rebalanced', 'worker');
    counters.add('moves_in_doubt', 'link');
    counters.add('resumes_refused', 'RESUME_DENIED');
    counters.add('sessions_expired', 'expired');
    counters.add('receipts_refused', 'full');
    counters.add('resume_gaps', 'overrun');
    counters.add('streams_ended', 'end');
    counters.add('items_dropped', 'ended');
    counters.add('frames_ignored', 'cancel');
    counters.add('limits_exceeded', 'groups');
    counters.add('sessions_spooled', 'read');
    counters.add('spools_refused', 'torn');
    cluster.gate.app.get(LinkNode).defects.report('nothing', 'handler');
    expect(exposed(await scrape(cluster.gate.port))).toEqual(documented(...TABLES));

    const stats = await fetch(`http://127.0.0.1:${cluster.gate.port}/stats`);
    expect(await stats.json()).toMatchObject({ clients: 0, waitingBytes: 0, dropped: { closed: 1 }, running: 0 });
  });

  it('says what a worker has', async () => {
    const registry = new Registry();
    const imports = [WorkerModule.forRoot({}), MetricsModule.forRoot({ registry, handlerTimes: true })];
    const module = await Test.createTestingModule({ imports }).compile();
    await module.init();
    module.get(LinkNode).defects.report('nothing', 'handler');
    await timeOneHandler(module.get(HandlerObservers));
    try {
      const metrics = new MetricsPage(await registry.metrics());
      expect(exposed(metrics)).toEqual(documented('Every app', 'Handlers', 'The process'));
    } finally {
      await module.close();
    }
  });

  it('says of every metric what it is, and once', () => {
    const rows = TABLES.flatMap(rowsOf);
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.filter(row => row.length !== 5 || row[3] === '')).toEqual([]);
    expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length);
  });

  it('shows no code that the tests do not run', () => {
    const known = new Set(examplesOf(read('test/e2e/metrics/support/metrics-examples.ts')).values());
    const fences = fencesOf(page);
    expect(fences.length).toBe(known.size);
    expect(fences.filter(({ language, code }) => language !== 'ts' || !known.has(code))).toEqual([]);
  });
});
