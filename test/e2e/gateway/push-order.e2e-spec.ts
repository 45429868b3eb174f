import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const GATES = 2;

describe.each(LINKS)('pushes over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  /** Two gates, a worker that pushes, and a client on each gate. */
  async function start(): Promise<{ api: GatewayApi; clients: FakeClient[] }> {
    cluster = await createTestCluster({ gates: GATES, workers: 1, link: await links.forCluster(GATES) });
    const clients = await Promise.all([cluster.connect({ gate: 0 }), cluster.connect({ gate: 1 })]);
    return { api: cluster.workers[0]?.api as GatewayApi, clients };
  }

  const received = (client: FakeClient): unknown[] => client.pushes('t/n').map(frame => frame.body);

  it('reach a client in the order in which they were sent, whatever their kind', async () => {
    const { api, clients } = await start();
    for (const { clientId } of clients) {
      await api.bindUid(clientId, 'ada');
      await api.joinGroup(clientId, 'lobby');
      await api.joinGroup(clientId, 'other');
    }
    const ids = clients.map(client => client.clientId);
    const kinds: ((n: number) => Promise<void>)[] = [
      n => api.sendToClient(ids, 't/n', n),
      n => api.sendToGroup('lobby', 't/n', n),
      n => api.sendToClient(ids[0] as string, 't/n', n),
      n => api.sendToUid('ada', 't/n', n),
      n => api.sendToGroup(['lobby', 'other'], 't/n', n),
      n => api.sendToAll('t/n', n),
      n => api.sendToGroup('other', 't/n', n),
      n => api.sendToClient(ids[1] as string, 't/n', n),
      n => api.sendToAll('t/n', n, ids),
    ];
    // Several turns, so that batches end at all places.
    const expected: number[][] = [[], []];
    for (let n = 0; n < 450; n++) {
      const kind = n % kinds.length;
      void kinds[kind]?.(n);
      if (kind !== 7) expected[0]?.push(n);
      if (kind !== 2) expected[1]?.push(n);
      if (n % 37 === 0) await new Promise(resolve => setImmediate(resolve));
    }
    await waitUntil('all pushes', () =>
      clients.every((client, i) => received(client).length >= (expected[i]?.length ?? 0)),
    );
    expect(clients.map(received)).toEqual(expected);
  });

  it('reach every client that was in the group when its join was confirmed', async () => {
    const { api, clients } = await start();
    for (let n = 0; n < 100; n++) {
      const group = `room ${n}`;
      await api.joinGroup(clients[n % GATES]?.clientId as string, group);
      await api.sendToGroup(group, 't/n', n);
    }
    await waitUntil('all pushes', () => clients.every(client => received(client).length === 50));
  });

  it('reach every client that was bound to the uid when its bind was confirmed', async () => {
    const { api, clients } = await start();
    for (let n = 0; n < 100; n++) {
      const uid = `user ${n}`;
      await api.bindUid(clients[n % GATES]?.clientId as string, uid);
      await api.sendToUid(uid, 't/n', n);
    }
    await waitUntil('all pushes', () => clients.every(client => received(client).length === 50));
  });

  it('reach the second member too, which joins while the first does', async () => {
    const { api, clients } = await start();
    const [near] = clients as [FakeClient];
    const second = await cluster.connect({ gate: 0 });
    for (let n = 0; n < 30; n++) {
      const group = `room ${n}`;
      const first = api.joinGroup(near.clientId, group);
      await api.joinGroup(second.clientId, group);
      await api.sendToGroup(group, 't/n', n);
      await first;
    }
    await waitUntil('all pushes', () => received(second).length === 30);
  });

  it('do not reach who has left, even when the group comes back at once', async () => {
    const { api, clients } = await start();
    const [one, two] = clients as [FakeClient, FakeClient];
    for (let n = 0; n < 20; n++) {
      await api.joinGroup(one.clientId, 'lobby');
      await api.leaveGroup(one.clientId, 'lobby');
      await api.joinGroup(two.clientId, 'lobby');
      await api.sendToGroup('lobby', 't/n', n);
      await api.leaveGroup(two.clientId, 'lobby');
      await api.joinGroup(one.clientId, 'lobby');
      await api.sendToGroup('lobby', 't/n', n);
      await api.leaveGroup(one.clientId, 'lobby');
    }
    await api.sendToAll('t/n', 'end');
    await Promise.all(clients.map(client => client.push('t/n', body => body === 'end')));
    for (const client of clients) expect(received(client)).toEqual([...Array(20).keys(), 'end']);
  });

  it('reach each client once however many of the groups it is in, and nobody who is excepted', async () => {
    const { api, clients } = await start();
    const [one, two] = clients as [FakeClient, FakeClient];
    for (const { clientId } of clients) for (const group of ['a', 'b', 'c']) await api.joinGroup(clientId, group);
    await api.sendToGroup(['a', 'b', 'c', 'a'], 't/n', 'once');
    await api.sendToGroup('a', 't/n', 'not one', [one.clientId]);
    await api.sendToGroup(['a', 'b'], 't/n', 'not two', [two.clientId]);
    await api.sendToAll('t/n', 'nobody', []);
    await api.sendToAll('t/n', 'all but one', undefined, [one.clientId]);
    await api.sendToAll('t/n', 'end');
    await Promise.all(clients.map(client => client.push('t/n', body => body === 'end')));
    expect(received(one)).toEqual(['once', 'not two', 'end']);
    expect(received(two)).toEqual(['once', 'not one', 'all but one', 'end']);
  });

  it('keep their order when they are large, and mixed with small ones', async () => {
    const { api, clients } = await start();
    for (const { clientId } of clients) await api.joinGroup(clientId, 'lobby');
    const bodies: string[] = [];
    for (let n = 0; n < 24; n++) {
      const body = `${n}${n % 3 === 0 ? 'x'.repeat(300_000) : ''}`;
      bodies.push(body);
      await (n % 2 === 0
        ? api.sendToGroup('lobby', 't/n', body, undefined, { confirm: true })
        : api.sendToClient(
            clients.map(client => client.clientId),
            't/n',
            body,
          ));
    }
    await waitUntil('all pushes', () => clients.every(client => received(client).length === bodies.length));
    for (const client of clients) expect(received(client)).toEqual(bodies);
  });
});
