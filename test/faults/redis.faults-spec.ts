import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisProcess, waitUntil } from '@nestgate/testing';
import { DelayProxy } from '../e2e/support/storage-redis-support.js';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { sumReports } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';
import { PushFlow, pushOf } from './support/push-flow.js';
import { Starvation } from './support/starvation.js';

/** How long a bind may take to fail, how soon binds work again, and how late the gate's loop may be, in milliseconds. */
const FAIL_MS = 1_000;
const RECOVERED_MS = 3_000;
const LAG_MS = 50;
const OUTAGE_MS = isLong ? 15_000 : 1_000;
/** More than a command may take. In milliseconds. */
const SLOW_MS = 700;
/** Clients that bind at once when it has just failed. */
const CROWD = 20;

describe('a Redis under load', () => {
  let redis: RedisProcess;
  let proxy: DelayProxy;
  let cluster: FaultCluster;
  let load: Load;
  let pushes: PushFlow;
  let bound: LedgerClient[];
  let logins = 0;

  beforeAll(async () => {
    redis = await RedisProcess.start();
    proxy = await DelayProxy.start(redis.port);
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, storage: proxy.url });
    const [sender, ...others] = await cluster.connect(0, 3);
    bound = await cluster.connect(0, 8);
    for (const [i, client] of bound.entries()) await client.call('chat/login', { name: `bound-${i}` });
    pushes = await PushFlow.start(pushOf(sender!), 'group', [...bound, ...others]);
    load = new Load(bound);
  }, 120_000);
  afterAll(async () => {
    await load.stop();
    await pushes.stop();
    await cluster.end();
    proxy.end();
    await redis.end();
  });

  /** Binds a client to a uid that nobody has had. Resolves with the error's code, if there is one, and how long it took. */
  async function login(client: LedgerClient): Promise<{ code: string | undefined; ms: number }> {
    const before = performance.now();
    const { error } = await client.exchange('chat/login', { name: `late-${++logins}` });
    return { code: error?.code, ms: performance.now() - before };
  }

  const FAULTS: readonly [name: string, begin: () => Promise<void>, end: () => Promise<void>][] = [
    ['killed', () => redis.crash(), () => redis.restart()],
    ['ended in order', () => redis.shutDown(), () => redis.restart()],
    ['hung', async () => redis.suspend(), async () => redis.resume()],
    ['slow', async () => void (proxy.delayMs = SLOW_MS), async () => void (proxy.delayMs = 0)],
  ];

  it.each(FAULTS)(
    'that is %s disturbs nobody who is bound, and refuses binds in time',
    async (name, begin, end) => {
      await load.flows(10);
      const crowd = await cluster.connect(0, CROWD);
      const gate = cluster.gates[0]!;
      await gate.state();
      const starvation = new Starvation([...cluster.gates, ...cluster.workers]);
      const startedAt = Date.now();
      await begin();
      const refusals = await Promise.all(crowd.map(login));
      for (let i = 0; Date.now() < startedAt + OUTAGE_MS; i++) {
        refusals.push(await login(crowd[i % CROWD]!));
        await delay(20);
      }
      const { lagP99, lagMax } = await gate.state();
      const sessions = await Promise.all(crowd.map(client => client.call('session/get')));
      const whispered = await bound[0]!.call('chat/whisper', { to: 'bound-1', text: 'still there?' });
      const outageMs = Date.now() - startedAt;
      await load.flows(5);
      await end();
      const failLimit = FAIL_MS + starvation.ms;
      const recovery = new Starvation([...cluster.gates, ...cluster.workers]);
      const backAt = Date.now();
      await waitUntil('binds to work', async () => !(await login(crowd[0]!)).code, RECOVERED_MS + 5_000);
      const recoveryMs = Date.now() - backAt;
      const recoveryLimit = RECOVERED_MS + recovery.ms;
      await load.flows(5);
      const latency = latencyOf(bound, startedAt, backAt);

      const slowestMs = Math.max(...refusals.map(({ ms }) => ms));
      printFigures(`redis ${name} for ${outageMs} ms`, {
        binds: refusals.length,
        slowestMs,
        recoveryMs,
        answersP99Ms: latency.p99,
        lagP99Ms: lagP99,
        lagMaxMs: lagMax,
      });
      expect(refusals.filter(({ code }) => code !== 'STORAGE_UNAVAILABLE')).toEqual([]);
      expect(slowestMs).toBeLessThanOrEqual(failLimit);
      for (const session of sessions) expect(session).toMatchObject({ userId: '' });
      expect(whispered).toEqual({ delivered: 1 });
      expect(recoveryMs).toBeLessThanOrEqual(recoveryLimit);
      expect(lagP99).toBeLessThan(LAG_MS);
      expect(sumReports(bound.map(client => client.requests.report()))).toMatchObject({ dup: 0, errors: {} });
      for (const client of [...bound, ...crowd]) expect(client.closedWith).toBeUndefined();
    },
    120_000 + OUTAGE_MS,
  );

  it('has cost no message at all', async () => {
    await load.stop();
    await pushes.stop();
    printFigures('redis away four times', { requests: load.report(), pushes: pushes.ledger.total() });
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(pushes.ledger.total()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(pushes.ledger.total().received).toBeGreaterThan(0);
  });
});
