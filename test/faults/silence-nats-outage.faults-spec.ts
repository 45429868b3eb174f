import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { expectBalanced, ROUNDS } from './support/silence.js';

/** How long there is no server, in milliseconds. */
const OUTAGES = isLong ? [2_000, 6_000, 20_000] : [2_000, 6_000];

describe.each(OUTAGES)('without NATS for %i ms, while pushes are sent', outageMs => {
  let cluster: FaultCluster | undefined;
  let run: BalanceRun | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await cluster?.end();
    cluster = undefined;
  });

  it.each(ROUNDS)(
    'nothing is lost in silence, and no client is closed (round %i)',
    async round => {
      cluster = await FaultCluster.start({ link: 'nats', gates: 2, workers: 1 });
      run = await BalanceRun.start(cluster);
      await delay(300);
      run.mark('the kill');
      await cluster.nats!.crash();
      await delay(outageMs);
      await cluster.nats!.restart();
      run.mark('the return');
      await run.flows();
      await delay(2_000);
      await expectBalanced(`nats gone for ${outageMs} ms, round ${round}`, run);
      expect(run.closes).toEqual({});
    },
    outageMs + 120_000,
  );
});
