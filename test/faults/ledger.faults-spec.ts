import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { type FramePlan, startFrameProxy } from './support/frame-proxy.js';
import { PushLedger, type StreamReport } from './support/ledger.js';
import { LedgerClient } from './support/ledger-client.js';
import { makePayload } from './support/payload.js';
import type { TcpProxy } from './support/tcp-proxy.js';

const COUNT = 200;
const CLEAN: StreamReport = {
  sent: COUNT,
  accepted: COUNT,
  received: COUNT,
  lost: 0,
  dup: 0,
  reorder: 0,
  foreign: 0,
  silent: 0,
  errors: {},
};
/** Nothing here stands beside something else, and the last frame is left alone. */
const PLAN: FramePlan = {
  drop: [3, 20, 21, 22, 50, 101, 199],
  duplicate: [1, 10, 11, 60, 150],
  swap: [30, 32, 120],
};

describe('the ledger', () => {
  let cluster: TestCluster;
  let proxy: TcpProxy | undefined;
  const clients: LedgerClient[] = [];

  beforeEach(async () => {
    cluster = await createTestCluster({ handlers: { imports: [HandlersModule] }, gate: { messageRate: 0 } });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.end();
    await proxy?.end();
    proxy = undefined;
    await cluster.close();
  });

  async function connect(plan?: FramePlan): Promise<LedgerClient> {
    if (plan) proxy = await startFrameProxy(cluster.gate.port, plan);
    const client = await LedgerClient.connect(proxy?.port ?? cluster.gate.port, 'checker', 'ada');
    clients.push(client);
    return client;
  }

  /** Asks all, and waits until nothing more can come: replies keep their order, and a pong comes behind the last. */
  async function askAll(client: LedgerClient): Promise<void> {
    for (let i = 0; i < COUNT; i++) client.ask('echo/echo');
    await waitUntil('the last outcome', () => client.requests.log.get(COUNT)?.outcome);
    await client.exchange('$gate/ping');
  }

  /** Has everything pushed to a client of its own, and waits until nothing more can come. */
  async function pushAll(client: LedgerClient): Promise<PushLedger> {
    const ledger = new PushLedger('checker', 'echo');
    const arrivals = ledger.receiver('ada');
    client.onPush('fan/msg', body => arrivals.note(body));
    await client.call('fan/join', { group: 'all' });
    for (let i = 0; i < COUNT; i++) {
      const payload = ledger.log.intend();
      await client.call('fan/out', { group: 'all', data: payload });
      ledger.log.settle(payload.seq, 'accepted');
    }
    await client.exchange('$gate/ping');
    return ledger;
  }

  it('finds nothing where nothing is wrong', async () => {
    const client = await connect({});
    await askAll(client);
    expect(client.requests.report()).toEqual(CLEAN);
    expect((await pushAll(client)).report('ada')).toEqual(CLEAN);
    expect(client.strays).toEqual([]);
  });

  it('finds 7 dropped, 5 doubled and 3 swapped replies, and no others', async () => {
    const client = await connect(PLAN);
    await askAll(client);
    expect(client.requests.report()).toEqual({
      ...CLEAN,
      received: COUNT - 7,
      lost: 7,
      dup: 5,
      reorder: 3,
      silent: 7,
    });
    expect(client.requests.log.open.map(({ seq }) => seq)).toEqual(PLAN.drop);
    expect(client.requests.lateAfter(0, Date.now() + 1_000)).toBe(7);
  });

  it('finds 7 dropped, 5 doubled and 3 swapped pushes, and no others', async () => {
    const ledger = await pushAll(await connect(PLAN));
    const found = { ...CLEAN, received: COUNT - 7, lost: 7, dup: 5, reorder: 3, silent: 7 };
    expect(ledger.report('ada')).toEqual(found);
    expect(ledger.report('ada', 4)).toEqual({ ...found, silent: 3 });
    expect(ledger.total()).toEqual(found);
  });

  it('finds what has been changed on its way, as lost and foreign', async () => {
    const plan: FramePlan = { corrupt: [5, 77] };
    const client = await connect(plan);
    await askAll(client);
    const found = { ...CLEAN, received: COUNT - 2, lost: 2, foreign: 2, silent: 2 };
    expect(client.requests.report()).toEqual(found);
    await proxy?.end();
    expect((await pushAll(await connect(plan))).report('ada')).toEqual(found);
  });

  it('takes nothing of another run, session or direction, and nothing that was never sent, for its own', async () => {
    const ledger = new PushLedger('checker', 'echo');
    const { seq } = ledger.log.intend();
    ledger.log.settle(seq, 'accepted');
    const { stream } = ledger.log;
    const arrivals = ledger.receiver('ada');
    for (const other of [
      makePayload({ ...stream, run: 'other' }, 1),
      makePayload({ ...stream, session: 'other' }, 1),
      makePayload({ ...stream, dir: 'ask' }, 1),
      makePayload(stream, 2),
      { ...makePayload(stream, 1), pad: 'other' },
      undefined,
    ]) {
      expect(arrivals.note(other)).toBeUndefined();
    }
    expect(ledger.report('ada')).toMatchObject({ received: 0, lost: 1, foreign: 6 });
    arrivals.note(makePayload(stream, 1));
    expect(ledger.report('ada')).toMatchObject({ received: 1, lost: 0, foreign: 6, dup: 0 });
  });

  it('gives a request one outcome, and counts a second one', async () => {
    const client = await connect();
    client.ask('echo/fail', { code: 'MINE' });
    client.ask('echo/echo');
    await waitUntil('both outcomes', () => client.requests.log.open.length === 0);
    expect(client.requests.report()).toMatchObject({ sent: 2, accepted: 1, received: 1, errors: { MINE: 1 } });
    client.requests.answer({ id: 1, body: makePayload(client.requests.log.stream, 1) });
    client.requests.answer({ id: 2, error: { code: 'LATE', message: '' } });
    client.requests.answer({ id: 3, body: null });
    expect(client.requests.report()).toMatchObject({ received: 1, lost: 0, dup: 2, foreign: 1, errors: { MINE: 1 } });
  });
});
