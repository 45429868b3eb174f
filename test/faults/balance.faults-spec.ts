import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { BalanceRun } from './support/balance-run.js';
import { FaultCluster } from './support/fault-cluster.js';
import { startFrameProxy } from './support/frame-proxy.js';
import { ACCEPTED } from './support/ledger.js';
import { PushBalance, ranMs } from './support/push-balance.js';
import type { TcpProxy } from './support/tcp-proxy.js';

/** Pushes that a receiver has to get before the books are closed. */
const COUNT = 320;
/** What was dropped does not come, however long one waits. In milliseconds. */
const LAST_MS = 1_000;
/**
 * Nothing here stands beside something else. The first pushes are left alone, since they come before the client is known to be
 * bound, and the last ones.
 */
const PLAN = {
  drop: [103, 120, 121, 122, 150, 201, 299],
  duplicate: [101, 110, 111, 160, 250],
  swap: [130, 132, 220],
};
const CLEAN = { lost: 0, inFlight: 0, counted: 0, silent: 0, dup: 0, reorder: 0, foreign: 0, open: 0, errors: {} };

describe('the books of a sender that never stops, with real processes', () => {
  let cluster: FaultCluster;
  let run: BalanceRun | undefined;
  let proxy: TcpProxy | undefined;

  afterEach(async () => {
    await run?.end();
    run = undefined;
    await proxy?.end();
    proxy = undefined;
    await cluster.end();
  });

  async function begin(plan?: object): Promise<BalanceRun> {
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1 });
    if (plan) proxy = await startFrameProxy(cluster.gates[0]!.port, plan);
    const portOf = proxy && (() => (proxy as TcpProxy).port);
    run = await BalanceRun.start(cluster, { perGate: plan ? 1 : 2, churn: !plan, portOf });
    const [receiver] = run.receivers;
    await waitUntil('enough pushes', () => (receiver?.connection?.arrivals.seqs.size ?? 0) > COUNT, 15_000);
    return run;
  }

  it('find nothing where nothing is wrong, also with receivers that come and go', async () => {
    const books = await begin();
    await waitUntil('receivers to come and go', () => books.balance.connections.length > 5);
    const { sent, accepted, received, inFlight, ...found } = await books.stop();
    const { inFlight: _, ...clean } = CLEAN;
    expect(found).toEqual(clean);
    expect(sent).toBeGreaterThan(COUNT);
    expect(accepted).toBe(received + inFlight);
  });

  it('find 7 dropped, 5 doubled and 3 swapped pushes, and no others', async () => {
    const { sent, accepted, received, ...found } = await (await begin(PLAN)).stop(LAST_MS);
    expect(found).toEqual({ ...CLEAN, lost: 7, silent: 7, dup: 5, reorder: 3 });
    expect(sent).toBeGreaterThan(COUNT);
    expect(accepted).toBe(received + 7);
  });

  it('find what was changed on its way as lost and foreign', async () => {
    const found = await (await begin({ corrupt: [105, 177] })).stop(LAST_MS);
    expect(found).toMatchObject({ ...CLEAN, lost: 2, silent: 2, foreign: 2 });
  });
});

describe('the books of a sender that never stops', () => {
  function start() {
    const balance = new PushBalance('books');
    const ada = balance.connect('ada', 'a.1.1', 'gate 0');
    const bob = balance.connect('bob', 'b.1.1', 'gate 1');
    for (const each of [ada, bob]) each.isInGroup = each.mayBeInGroup = true;
    /** Sends pushes to the group: both get the first `before` and the last `after` of them, nobody those between. */
    const lose = (count: number, { before = 1, after = 1 } = {}): void => {
      for (let i = 0; i < before + count + after; i++) {
        const payload = balance.intend('group');
        balance.log.settle(payload.seq, ACCEPTED);
        if (i >= before && i < before + count) continue;
        for (const each of [ada, bob]) balance.arrive(each, payload);
      }
    };
    return { balance, ada, bob, lose };
  }

  it('let a count account for what was sent before it, and for nothing else', () => {
    const { balance, lose } = start();
    balance.noteCount(100);
    lose(7);
    expect(balance.report()).toMatchObject({ accepted: 18, received: 4, lost: 14, counted: 0, silent: 7 });
    balance.noteCount(3);
    expect(balance.report()).toMatchObject({ lost: 14, counted: 3, silent: 4 });
    balance.noteCount(100, undefined, 5);
    expect(balance.report()).toMatchObject({ counted: 4, silent: 3 });
    balance.noteCount(100);
    expect(balance.report()).toMatchObject({ counted: 7, silent: 0 });
  });

  it('let what one gate has counted account for its own clients only', () => {
    const { balance, lose } = start();
    lose(4);
    balance.noteCount(100, 'gate 0');
    expect(balance.report()).toMatchObject({ lost: 8, counted: 0, silent: 4 });
    expect(balance.silent().map(({ gates }) => gates)).toEqual(Array.from({ length: 4 }, () => ['gate 1']));
    balance.noteCount(3, 'gate 1');
    expect(balance.report()).toMatchObject({ lost: 8, counted: 3, silent: 1 });
  });

  it('excuse what was on its way when a connection ended, as far as it can have been', () => {
    const { balance, ada, lose } = start();
    lose(3, { after: 0 });
    for (let i = 0; i < 2; i++) balance.log.settle(balance.intend('uid', 'ada').seq, ACCEPTED);
    balance.noteGone(ada);
    expect(balance.report()).toMatchObject({ lost: 3, inFlight: 5, silent: 3 });
    // What was on its way uses up what is counted, before anything else; a push that another client has lost needs one count.
    balance.noteCount(4);
    expect(balance.report()).toMatchObject({ lost: 3, inFlight: 5, counted: 2, silent: 1 });
    ada.goneAt = ranMs() + 5_000;
    expect(balance.report()).toMatchObject({ lost: 8, inFlight: 0 });
  });

  it('owe nothing before a client is bound, nor after it is gone, nor what has ended with an error', () => {
    const { balance, ada, bob } = start();
    const cyd = balance.connect('cyd', 'b.1.2', 'gate 1');
    balance.noteGone(bob);
    const first = balance.intend('group');
    balance.log.settle(first.seq, 'LINK_UNAVAILABLE');
    const second = balance.intend('uid', 'cyd');
    expect([ada.owed, bob.owed, cyd.owed]).toEqual([[first.seq], [], [second.seq]]);
    expect(balance.report()).toMatchObject({ accepted: 0, lost: 0, open: 1, errors: { LINK_UNAVAILABLE: 1 } });
    balance.log.settle(second.seq, ACCEPTED);
    expect(balance.report()).toMatchObject({ accepted: 1, lost: 1, silent: 1, open: 0 });
  });

  it('find messages that reach a wrong client', () => {
    const { balance, ada, bob } = start();
    const payload = balance.intend('uid', 'ada');
    balance.log.settle(payload.seq, ACCEPTED);
    for (const each of [ada, bob]) balance.arrive(each, payload);
    expect(balance.report()).toMatchObject({ lost: 0, foreign: 1 });
  });
});
