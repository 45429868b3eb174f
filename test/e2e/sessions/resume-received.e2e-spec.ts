import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { LINKS, LinkSupply } from '../support/links.js';
import { ResumeClient } from '../support/resume-client.js';

const RECEIVED = { confirm: 'received', deadlineMs: 10_000 } as const;
const SHORT = { confirm: 'received', deadlineMs: 300 } as const;

describe.each(LINKS)("a push with confirm: 'received', over %s", link => {
  let supply: LinkSupply;
  let cluster: TestCluster;
  let clients: ResumeClient[];

  beforeAll(async () => {
    supply = await LinkSupply.open(link);
    cluster = await createTestCluster({
      gates: 3,
      workers: 1,
      gate: { resume: { maxDetachedPerAddress: 0 }, messageRate: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
      link: await supply.forCluster(3, { meshed: true }),
    });
    // A gate asks the others only when it has reached them.
    const counts = () => cluster.gates.map(({ api }) => api.getAllClientCount());
    const areMet = () =>
      Promise.all(counts()).then(
        () => true,
        () => false,
      );
    await waitUntil('the gates to reach each other', areMet);
  }, 60_000);
  afterAll(async () => {
    await cluster.close();
    await supply.close();
  });
  beforeEach(async () => {
    clients = await Promise.all([0, 0, 1, 2].map(gate => ResumeClient.open(url(gate))));
    const ids = clients.map(({ clientId }) => clientId);
    await cluster.api.joinGroup(ids, 'room');
    await cluster.api.bindUid(ids, 'ada');
  });
  afterEach(async () => {
    for (const client of clients) client.sendOwn({ topic: '$gate/bye' });
    await waitUntil('their end', async () => (await cluster.api.getAllClientCount()) === 0);
  });

  const url = (gate: number): string => (cluster.gates[gate] as { url: string }).url;
  const [first, second, third] = [() => clients[0], () => clients[1], () => clients[2]].map(
    get => () => get() as ResumeClient,
  ) as [() => ResumeClient, () => ResumeClient, () => ResumeClient];

  it.each([
    ['the worker', () => cluster.workers[0]?.api],
    ['a gate', () => cluster.gates[1]?.api],
    ['a service', () => cluster.api],
  ])('resolves when all have acknowledged it, sent by %s', async (_, from) => {
    const api = from();
    if (!api) throw new Error('no api');
    const ids = clients.map(({ clientId }) => clientId);
    const all = { delivered: 4, received: 4 };
    expect(await api.sendToClient(ids, 'p/p', 1, RECEIVED)).toEqual(all);
    expect(await api.sendToUid('ada', 'p/p', 2, RECEIVED)).toEqual(all);
    expect(await api.sendToGroup('room', 'p/p', 3, RECEIVED)).toEqual(all);
    expect(await api.sendToAll('p/p', 4, RECEIVED)).toEqual(all);
    expect(await api.sendToAll('p/p', 5, { ...RECEIVED, clientIds: ids.slice(0, 2) })).toMatchObject({ received: 2 });
    expect(await api.sendToGroup('room', 'p/p', 6, { ...RECEIVED, exclude: ids[0] })).toMatchObject({ received: 3 });
    expect(await api.sendToClient(first().clientId, 'p/p', 7, RECEIVED)).toEqual({ delivered: 1, received: 1 });
    // They were received when the call has resolved, and by nobody twice.
    expect(first().pushed('p/p')).toEqual([1, 2, 3, 4, 5, 7]);
    expect(third().pushed('p/p')).toEqual([1, 2, 3, 4, 6]);
  });

  it('says how many have, when the time is over', async () => {
    first().isAcking = false;
    const { clientId } = first();
    expect(await cluster.api.sendToClient(clientId, 'p/p', 1, SHORT)).toEqual({ delivered: 1, received: 0 });
    expect(await cluster.api.sendToGroup('room', 'p/p', 2, { ...SHORT, partial: 'allow' })).toEqual({
      delivered: 4,
      received: 3,
      missing: [],
    });
    expect(await cluster.api.sendToClient('g9.e.1', 'p/p', 1, SHORT)).toEqual({ delivered: 0, received: 0 });
  });

  it('waits for a client that comes back, to this gate or another one, and for none that is gone', async () => {
    for (const [i, gate] of [0, 1, 2, 0].entries()) {
      const { clientId } = first();
      first().cut();
      await waitUntil('its loss', async () => (await cluster.api.getClientState(clientId)) === 'away');
      const sender = (cluster.gates[i % 3] as { api: typeof cluster.api }).api;
      const pushes = [
        sender.sendToClient(clientId, 'p/p', `c${i}`, RECEIVED),
        sender.sendToUid('ada', 'p/p', `u${i}`, RECEIVED),
      ];
      first().url = url(gate);
      await first().resume();
      expect(await Promise.all(pushes)).toEqual([
        { delivered: 1, received: 1 },
        { delivered: 4, received: 4 },
      ]);
    }
    expect(first().pushed('p/p')).toEqual([0, 1, 2, 3].flatMap(i => [`c${i}`, `u${i}`]));
    second().isAcking = false;
    const gone = cluster.api.sendToClient(second().clientId, 'p/p', 1, RECEIVED);
    await waitUntil('the push', () => second().pushed('p/p').length === 5);
    second().sendOwn({ topic: '$gate/bye' });
    expect(await gone).toEqual({ delivered: 1, received: 0 });
  }, 30_000);

  it('does not wait for a client without a session', async () => {
    const plain = await FakeClient.connect(url(0));
    const pushed = await cluster.api.sendToAll('p/p', 1, RECEIVED);
    expect(pushed).toEqual({ delivered: 5, received: 4 });
    await plain.close();
  });

  it('refuses what it cannot be', async () => {
    await expect(cluster.api.sendToAll('p/p', 1, { confirm: 'recieved' as never })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: "confirm must be true, false or 'received', but recieved was given",
    });
    await expect(cluster.api.sendToAll('p/p', 1, { confirm: 'received', deadlineMs: 600_001 })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
    });
  });
});
