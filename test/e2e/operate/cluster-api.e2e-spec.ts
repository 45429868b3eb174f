import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Gate } from '@nestgate/gate';
import { createTestCluster, type TestCluster, UpgradeRefused, waitUntil } from '@nestgate/testing';
import { ClusterApi, GatewayApi, OnTopic } from '@nestgate/worker';

@Controller()
class EchoTopics {
  @OnTopic('echo/echo')
  echo(): string {
    return 'yes';
  }
}

describe('ClusterApi', () => {
  let cluster: TestCluster;
  afterEach(() => cluster.close());

  async function start(): Promise<ClusterApi> {
    cluster = await createTestCluster({ gates: 2, workers: 1, handlers: { controllers: [EchoTopics] } });
    const [worker] = cluster.workers;
    return (worker ?? cluster.gate).app.get(ClusterApi);
  }

  it('reports all nodes, each once', async () => {
    const api = await start();
    const client = await cluster.connect({ gate: 1 });
    await client.request('echo/echo');
    const nodes = await api.getNodes();
    expect(nodes.map(({ role }) => role)).toEqual(['gate', 'gate', 'worker']);
    expect(nodes.map(({ gate }) => gate?.clients).sort()).toEqual([0, 1, undefined]);
    const gate = nodes.find(node => node.gate?.clients === 1);
    expect(gate).toMatchObject({
      isDraining: false,
      isLinkUp: true,
      version: '0.1.0',
      runtime: process.version,
      peers: { gate: 1, worker: 1, api: 0 },
      gate: { framesReceived: 1, framesHandled: 1, framesRefused: 0, uids: 0, groups: 0, detached: 0 },
    });
    expect(nodes.find(({ role }) => role === 'worker')?.handlers).toMatchObject({ running: 0, waiting: 0, clients: 1 });
    for (const { memoryBytes, uptimeMs } of nodes) expect([memoryBytes > 0, uptimeMs > 0]).toEqual([true, true]);
    expect(await api.getNodes({ partial: 'allow' })).toMatchObject({ missing: [] });
  });

  it('lists sessions page by page, and shows one in detail', async () => {
    const api = await start();
    const clients = [];
    for (let i = 0; i < 5; i++) clients.push(await cluster.connect({ gate: i % 2 }));
    const ids = clients.map(({ clientId }) => clientId);
    const first = await api.getClientPage({ limit: 3 });
    const second = await api.getClientPage({ limit: 3, cursor: first.cursor });
    expect([...first.items, ...second.items].map(({ clientId }) => clientId)).toEqual([...ids].sort());
    expect(second.cursor).toBeUndefined();
    const gateway = cluster.api;
    const [id = ''] = ids;
    await gateway.bindUid(id, 'ann');
    await gateway.joinGroup(id, ['a', 'b']);
    await gateway.setSession(id, { '<b>': 1 });
    expect((await api.getClientPage({ groups: 'a' })).items).toEqual([
      { clientId: id, uid: 'ann', network: 'ws', ip: '127.0.0.1', connectedAt: expect.any(Number), isAway: false },
    ]);
    expect(await api.getClient(id)).toMatchObject({
      uid: 'ann',
      groups: ['a', 'b'],
      settings: { '<b>': 1 },
      worker: '',
      queuedBytes: 0,
      isPaused: false,
    });
    await clients[0]?.close();
    await waitUntil('the client to be gone', async () => (await api.getClient(id)) === null);
    await expect(api.getClient(5 as never)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  });

  it('drains one gate by and by, and no other', async () => {
    const api = await start();
    const [one, other] = [await cluster.connect({ gate: 0 }), await cluster.connect({ gate: 1 })];
    const more = await cluster.connect({ gate: 0 });
    expect(await api.drainGate('nobody')).toBe(false);
    await expect(api.drainGate('x', { perSecond: 0 })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    const [gate] = cluster.gates;
    const id = gate?.app.get(Gate).options.nodeId ?? one.clientId.split('.')[0] ?? '';
    expect(await api.drainGate(id, { perSecond: 10 })).toBe(true);
    expect(await api.drainGate(id)).toBe(true);
    expect(await one.closed).toMatchObject({ code: 1012 });
    expect(await more.closed).toMatchObject({ code: 1012 });
    await expect(cluster.connect({ gate: 0 })).rejects.toMatchObject({ status: 503 });
    await expect(cluster.connect({ gate: 0 })).rejects.toBeInstanceOf(UpgradeRefused);
    const nodes = await api.getNodes();
    expect(nodes.filter(({ isDraining }) => isDraining).map(node => [node.id, node.gate?.clients])).toEqual([[id, 0]]);
    expect(other.closedWith).toBeUndefined();
    expect(await cluster.gates[1]?.app.get(GatewayApi).isOnline(other.clientId)).toBe(true);
  });
});
