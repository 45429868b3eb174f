import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster } from './support/fault-cluster.js';
import { NatsTrio } from './support/nats-trio.js';
import { expectBalanced, ROUNDS } from './support/silence.js';

const HANG_MS = 5_000;

/**
 * The sender and a worker are on the first of three servers, a gate is on each of the two others. The fault hits the second: the
 * server of one gate, or the first: that of the sender.
 */
describe.each([
  ['of a gate', 1],
  ['of the sender', 0],
] as const)('the NATS server %s, one of a cluster of three, while pushes are sent', (whose, victim) => {
  let trio: NatsTrio;
  let cluster: FaultCluster | undefined;
  let run: BalanceRun | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await cluster?.end();
    cluster = undefined;
    await trio.end();
  });

  async function fault(name: string, round: number, hit: () => Promise<void>): Promise<void> {
    trio = await NatsTrio.start();
    const natsUrls = { gates: [trio.server(1).url, trio.server(2).url], workers: trio.server(0).url };
    cluster = await FaultCluster.start({ link: 'nats', gates: 2, workers: 1, natsUrls });
    run = await BalanceRun.start(cluster);
    await delay(300);
    run.mark(name);
    await hit();
    run.mark('the end of it');
    await run.flows();
    await delay(1_000);
    await expectBalanced(`nats server ${whose} ${name}, round ${round}`, run);
    expect(run.closes).toEqual({});
  }

  it.each(ROUNDS)(
    'that is killed loses nothing in silence (round %i)',
    round =>
      fault('killed', round, async () => {
        await trio.server(victim).crash();
        await delay(2_000);
      }),
    120_000,
  );

  it.each(ROUNDS)(
    'that hangs loses nothing in silence (round %i)',
    round =>
      fault('hung', round, async () => {
        trio.server(victim).suspend();
        await delay(HANG_MS);
        trio.server(victim).resume();
        await delay(1_000);
      }),
    120_000,
  );

  it.each(ROUNDS)(
    'that sends its clients away loses nothing in silence (round %i)',
    round =>
      fault('lame duck', round, async () => {
        trio.server(victim).lameDuck();
        await delay(5_000);
      }),
    120_000,
  );
});
