import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, isLong, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { sumReports } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { PushFlow, pushOf } from './support/push-flow.js';
import { Starvation } from './support/starvation.js';

/** Longer than a gate takes to notice it. */
const HUNG_MS = isLong ? 10_000 : 5_000;
/** After so many milliseconds nothing is sent to a hung worker any more, and what it had has ended. */
const OFF_ROUTES_MS = 4_000;

describe.each(LINKS)('a worker that hangs under load, over %s', link => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  async function connectAll(count: number): Promise<LedgerClient[]> {
    return [...(await cluster.connect(0, count)), ...(await cluster.connect(1, count))];
  }

  it('is off the routes in time, and does nothing late when it comes back', async () => {
    cluster = await FaultCluster.start({ link });
    const [hasty, steady] = [await connectAll(6), await connectAll(3)];
    const clients = [...hasty, ...steady];
    const flows: PushFlow[] = [];
    for (let i = 0; i < 4; i++) {
      const [sender, ...members] = [...(await cluster.connect(i % 2, 2)), ...(await cluster.connect(1 - (i % 2), 1))];
      flows.push(await PushFlow.start(pushOf(sender!), `group-${i}`, members));
    }
    // The worker hangs with frames in its handlers and behind them, and more come until it is off the routes.
    const loads = [new Load(hasty, { workMs: 60 }), new Load(steady, { everyMs: 150, window: 40 })];
    await Promise.all(loads.map(load => load.flows(4)));

    const victim = cluster.workers[0]!;
    const starvation = new Starvation([...cluster.gates, cluster.workers[1]!]);
    const stoppedAt = Date.now();
    victim.signal('SIGSTOP');
    const hit = clients.filter(client => cluster.effects().workerOf(client, stoppedAt) === victim.id);
    await cluster.isWithout(victim);
    const offRoutesLimit = OFF_ROUTES_MS + starvation.ms;
    const newcomers = await connectAll(2);
    for (const client of newcomers) client.ask('work/do', { ms: 0 });
    await waitUntil(
      'the newcomers to be served',
      () => newcomers.every(({ requests }) => requests.replied === 1),
      1_000,
    );
    await delay(Math.max(0, stoppedAt + HUNG_MS - Date.now()));
    victim.signal('SIGCONT');
    await cluster.isWhole();
    const again = await connectAll(2);
    for (const client of again) client.ask('work/do', { ms: 0 });
    await waitUntil('the worker to work again', () => again.every(({ requests }) => requests.replied === 1));
    await Promise.all(loads.map(load => load.flows()));
    await Promise.all(loads.map(load => load.stop()));
    for (const flow of flows) await flow.stop();

    const effects = cluster.effects();
    const failed = clients.flatMap(({ requests }) => requests.log.failed);
    const all = [...clients, ...newcomers, ...again];
    const expired = effects.expired(all);
    const requests = sumReports(all.map(client => client.requests.report()));
    const pushes = sumReports(flows.map(({ ledger }) => ledger.total()));
    const offRoutesMs = Math.max(...failed.map(({ settledAt }) => settledAt)) - stoppedAt;
    printFigures(`worker hung for ${HUNG_MS} ms, ${link}`, {
      requests,
      pushes,
      offRoutesMs,
      expired: expired.length,
      repeated: effects.repeated.length,
    });
    expect(hit.length).toBeGreaterThan(0);
    expect(failed.length).toBeGreaterThan(0);
    expect(requests).toMatchObject({ ...NO_DEFECTS, errors: { WORKER_LOST: failed.length } });
    expect(new Set(newcomers.map(client => effects.of(client, 1)[0]?.worker))).toEqual(
      new Set([cluster.workers[1]!.id]),
    );
    expect(again.some(client => effects.workerOf(client, Date.now()) === victim.id)).toBe(true);
    expect(effects.repeated).toEqual([]);
    expect(expired.slice(0, 5)).toEqual([]);
    expect(pushes).toMatchObject(NO_DEFECTS);
    expect(unexpectedErrors(pushes, 'WORKER_LOST')).toEqual([]);
    expect(offRoutesMs).toBeLessThanOrEqual(offRoutesLimit);
    for (const client of all) expect(client.closedWith).toBeUndefined();
  }, 120_000);
});
