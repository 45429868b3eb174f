import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { expectBalanced, ROUNDS } from './support/silence.js';

/** What a receiver may be answered with when it joins a group while its gate comes back. */
const REFUSALS = new Set(['NO_WORKER', 'WORKER_LOST', 'PARTIAL_RESULT', 'LINK_UNAVAILABLE', 'SESSION_NOT_FOUND']);

describe.each(LINKS)('a gate that is killed and started again while pushes are sent, over %s', link => {
  let cluster: FaultCluster | undefined;
  let run: BalanceRun | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await cluster?.end();
    cluster = undefined;
  });

  it.each(ROUNDS)(
    'loses nothing in silence, neither when it goes nor when its clients are back (round %i)',
    async round => {
      cluster = await FaultCluster.start({ link, gates: 2, workers: 1 });
      run = await BalanceRun.start(cluster);
      await delay(300);
      run.expectEndOf(0);
      run.mark('the kill');
      await cluster.gates[0]!.kill();
      await cluster.startGate(0);
      run.mark('the start');
      await run.flows();
      await delay(1_500);
      await expectBalanced(`gate restarted, ${link}, round ${round}`, run);
      // It knows no module yet, but it does know that workers are about to come.
      const codes = Object.keys(run.refusals).filter(code => !REFUSALS.has(code));
      expect(codes).toEqual([]);
    },
    120_000,
  );
});
