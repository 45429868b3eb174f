import { afterEach, describe, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { expectBalanced, ROUNDS } from './support/silence.js';

describe.each(LINKS)('a sender that is there before any gate, over %s', link => {
  let cluster: FaultCluster | undefined;
  let run: BalanceRun | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await cluster?.end();
    cluster = undefined;
  });

  it.each(ROUNDS)(
    'loses nothing in silence when gates and their clients come (round %i)',
    async round => {
      cluster = await FaultCluster.prepare({ link, gates: 2, workers: 1 });
      run = await BalanceRun.start(cluster, { early: true });
      await delay(1_500);
      run.mark('the start of the gates');
      await cluster.startAll();
      await run.flows();
      await delay(1_500);
      await expectBalanced(`sender before gates, ${link}, round ${round}`, run);
    },
    120_000,
  );
});
