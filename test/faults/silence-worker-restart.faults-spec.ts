import { afterEach, describe, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { expectBalanced, ROUNDS } from './support/silence.js';

const CASES = LINKS.flatMap(link => (['SIGKILL', 'SIGTERM'] as const).map(signal => [link, signal] as const));

describe.each(CASES)('a worker over %s that ends by %s and is started again while pushes are sent', (link, signal) => {
  let cluster: FaultCluster | undefined;
  let run: BalanceRun | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await cluster?.end();
    cluster = undefined;
  });

  it.each(ROUNDS)(
    'loses nothing in silence (round %i)',
    async round => {
      cluster = await FaultCluster.start({ link, gates: 2, workers: 2 });
      run = await BalanceRun.start(cluster);
      await delay(300);
      run.mark(signal);
      cluster.workers[0]!.signal(signal);
      await cluster.workers[0]!.exited;
      await cluster.startWorker();
      run.mark('the start');
      await run.flows();
      await delay(500);
      await expectBalanced(`worker restarted by ${signal}, ${link}, round ${round}`, run);
    },
    120_000,
  );
});
