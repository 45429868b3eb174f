import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, isLong, LINKS, type LinkKind } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { sumReports } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';

/** How long a request may take here, in milliseconds. */
const REQUEST_MS = 1_000;
const BLOCK_MS = 5_000;
const VICTIMS = 10;
/** What each request of a victim carries: enough to be seen, if it were kept. */
const FILL = 'x'.repeat(40_000);
const MAX_HEAP = 4 * 1024 * 1024;
const FRAMES = 15;
const ROUNDS = isLong ? 5 : 2;
const OVER: readonly LinkKind[] = isLong ? LINKS : ['tcp'];

const reportOf = (clients: readonly LedgerClient[]) => sumReports(clients.map(({ requests }) => requests.report()));
const areDone = (clients: readonly LedgerClient[]) => clients.every(({ requests }) => requests.log.open.length === 0);

describe.each(OVER)('handlers over %s', link => {
  let cluster: FaultCluster;

  beforeAll(async () => {
    cluster = await FaultCluster.start({ link, gates: 1, gate: { requestTimeout: REQUEST_MS } });
  });
  afterAll(() => cluster.end());

  it('that throw, reject or never resolve get each request one coded answer in time, keep nothing, and harm nobody', async () => {
    const gate = cluster.gates[0]!;
    const neighbours = await cluster.connect(0, 6);
    const victims = await cluster.connect(0, VICTIMS);
    const load = new Load(neighbours);
    /** Every victim asks so many times; resolves when all have their answers. */
    const failAll = async (how: string, fill = '') => {
      for (const victim of victims) for (let i = 0; i < FRAMES; i++) victim.ask('work/fail', { how, fill });
      await waitUntil(`answers to "${how}"`, () => areDone(victims), REQUEST_MS * 3);
    };
    const heaps: number[] = [];
    // What is seen twice as large the second time is kept.
    for (let round = 0; round < ROUNDS; round++) {
      for (const how of ['throw', 'reject']) await failAll(how, FILL);
      // Small, because their time is measured from when they are sent.
      await failAll('never');
      const sizes = await Promise.all([gate, ...cluster.workers].map(node => node.heap()));
      heaps.push(sizes.reduce((sum, size) => sum + size, 0));
    }
    const told = await victims[0]!.exchange('work/fail', { how: 'throw', payload: { session: 'ada', seq: 0 } });
    await load.flows(5);
    await load.stop();

    const each = ROUNDS * VICTIMS * FRAMES;
    const heapRss = (heaps.at(-1) as number) - (heaps[0] as number);
    const { unanswered } = await gate.state();
    const lateMs = Math.max(
      ...victims.flatMap(({ requests }) => requests.log.failed.map(({ at, settledAt }) => settledAt - at)),
    );
    printFigures(`handlers that fail, ${link}`, {
      requests: load.report(),
      failed: reportOf(victims),
      lateMs,
      heapRss,
      unanswered,
    });
    expect(reportOf(victims)).toMatchObject({
      dup: 0,
      foreign: 0,
      received: 0,
      errors: { INTERNAL: 2 * each, TIMEOUT: each },
    });
    expect(victims.map(({ requests }) => requests.lateAfter(REQUEST_MS))).toEqual(victims.map(() => 0));
    expect(told.error).toEqual({ code: 'INTERNAL', message: expect.not.stringContaining('secret') });
    // One at a time, and each takes all the time there is: those behind the first have never begun.
    const effects = cluster.effects();
    expect(effects.repeated).toEqual([]);
    expect(effects.expired(victims)).toEqual([]);
    expect(unanswered).toBe(0);
    expect(heapRss).toBeLessThan(MAX_HEAP);
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    for (const node of [gate, ...cluster.workers]) expect(node.isOver).toBe(false);
    for (const client of [...victims, ...neighbours]) expect(client.closedWith).toBeUndefined();
  });
  it('that block their worker for 5 s fail what waits behind them in time, and nothing of that is started later', async () => {
    const clients = await cluster.connect(0, 12);
    const load = new Load(clients, { everyMs: 150, window: 40, workMs: 5 });
    await load.flows(5);
    const [blocker, bystander] = await cluster.connect(0, 2);
    blocker!.ask('work/do', { ms: 0 });
    await waitUntil('the blocker to have a worker', () => areDone([blocker!]));
    const victim = cluster.workers.find(({ id }) => id === cluster.effects().workerOf(blocker!, Date.now()))!;
    const blockedAt = Date.now();
    blocker!.ask('work/fail', { how: 'block', ms: BLOCK_MS });
    for (let i = 0; i < 5; i++) blocker!.ask('work/do', { ms: 0 });
    await waitUntil('the block to begin', () => cluster.effects().of(blocker!, 2).length > 0);
    const hit = clients.filter(client => cluster.effects().workerOf(client, blockedAt) === victim.id);
    await waitUntil('the block to end', () => Date.now() > blockedAt + BLOCK_MS + 200, BLOCK_MS + 1_000);
    await cluster.isWhole();
    await load.flows(3);
    await load.stop();
    // It serves again.
    const newcomers = await cluster.connect(0, 4);
    for (const client of newcomers) client.ask('work/do', { ms: 0 });
    await waitUntil('the newcomers to be served', () => areDone(newcomers));

    const effects = cluster.effects();
    const all = [...clients, blocker!];
    const requests = reportOf(all);
    const spared = clients.filter(client => !hit.includes(client));
    const expired = effects.expired(all);
    printFigures(`handler blocks for ${BLOCK_MS} ms, ${link}`, {
      requests,
      sparedSlowestMs: latencyOf(spared, blockedAt).max,
      hit: hit.length,
      expired: expired.length,
      repeated: effects.repeated.length,
    });
    expect(hit.length).toBeGreaterThan(0);
    expect(spared.length).toBeGreaterThan(0);
    expect(reportOf(spared)).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(requests).toMatchObject(NO_DEFECTS);
    expect(requests.errors['TIMEOUT']).toBeGreaterThan(0);
    expect(
      Object.keys(requests.errors).filter(code => !['TIMEOUT', 'WORKER_LOST', 'NO_WORKER'].includes(code)),
    ).toEqual([]);
    expect(all.map(client => client.requests.lateAfter(REQUEST_MS))).toEqual(all.map(() => 0));
    expect(expired.slice(0, 5)).toEqual([]);
    expect(effects.repeated).toEqual([]);
    expect(reportOf(newcomers)).toMatchObject({ received: newcomers.length, errors: {} });
    expect(newcomers.some(client => effects.workerOf(client, Date.now()) === victim.id)).toBe(true);
    expect(victim.isOver).toBe(false);
    for (const client of [...all, bystander!]) expect(client.closedWith).toBeUndefined();
  });
});
