import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { FaultCluster, isLong, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { latencyOf } from './support/latency.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';

/** So many frames a client may have under way. */
const FRAMES = 20;

describe.each(LINKS)('a client that keeps its worker busy, over %s', link => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  it.each(isLong ? [50, 200, 500] : [50, 200])(
    'delays its own frames, of %d ms each',
    async frameMs => {
      cluster = await FaultCluster.start({ link, gates: 1, workers: 1 });
      const [greedy] = (await cluster.connect(0, 1)) as [LedgerClient];
      const neighbours = await cluster.connect(0, 4);
      const load = new Load(neighbours, { workMs: 0, window: 1 });
      await load.flows();
      const from = Date.now();
      for (let i = 0; i < FRAMES; i++) greedy.ask('work/fail', { how: 'busy', ms: frameMs });
      await delay(FRAMES * frameMs * 0.9);
      const { p50, max } = latencyOf(neighbours, from);
      await load.flows(1);
      await load.stop();
      const requests = load.report();
      await new Load([greedy], { everyMs: 600_000 }).stop(FRAMES * frameMs);
      const own = greedy.requests.report();
      printFigures(`one client with ${FRAMES} frames of ${frameMs} ms each, ${link}`, { requests, own, p50, max });
      // A neighbour's frame waits for the one that runs, and for one that was before it; its answer for one more.
      expect(p50).toBeLessThan(3 * frameMs + 250);
      // Nobody is told that the worker is lost: it has sent its signs of life between the frames.
      expect(requests).toMatchObject({ ...NO_DEFECTS, errors: {} });
      expect(own).toMatchObject({ ...NO_DEFECTS, errors: {} });
    },
    30_000,
  );

  it('gets no new clients while another worker has nothing to do', async () => {
    const frameMs = 200;
    cluster = await FaultCluster.start({ link, gates: 1, workers: 2 });
    const [greedy] = (await cluster.connect(0, 1)) as [LedgerClient];
    for (let i = 0; i < FRAMES; i++) greedy.ask('work/fail', { how: 'busy', ms: frameMs });
    await delay(frameMs);
    const from = Date.now();
    const others = await cluster.connect(0, 40);
    const load = new Load(others, { workMs: 0, window: 1 });
    await load.flows();
    await load.stop();
    const { p50, p99 } = latencyOf(others, from);
    await new Load([greedy], { everyMs: 600_000 }).stop(FRAMES * frameMs);
    const workers = new Map<string | undefined, number>();
    for (const client of others) {
      const worker = cluster.effects().workerOf(client, Date.now());
      workers.set(worker, (workers.get(worker) ?? 0) + 1);
    }
    printFigures(`40 new clients beside a busy worker, ${link}`, {
      p50,
      p99,
      workers: [...workers.values()].join('/'),
    });
    expect([...workers.values()]).toEqual([40]);
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(greedy.requests.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
  }, 30_000);
});
