import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type INestApplicationContext, Injectable, Logger, Module, type OnModuleInit } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LinkNode, TcpLink } from '@nestgate/link';
import { createTestCluster, freePort, NatsProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { GateClientProxy, GatewayApi, GatewayApiModule, type NodeOptions } from '@nestgate/worker';
import { lastValueFrom } from 'rxjs';

const secret = 'shared';
const UNAVAILABLE = { code: 'LINK_UNAVAILABLE' };
/** What is found out at the start, when only that works is of interest. */
@Injectable()
class Asker implements OnModuleInit {
  found: unknown;

  constructor(readonly gateway: GatewayApi) {}

  async onModuleInit(): Promise<void> {
    const count = await this.gateway.getAllClientCount();
    const { delivered } = await this.gateway.sendToAll('a/b', 1, undefined, undefined, { confirm: true });
    this.found = { count, delivered, online: await this.gateway.isUidOnline('ada') };
  }
}

@Module({ providers: [Asker] })
class AskerModule {}

describe('a service and gates that it does not reach', () => {
  const apps: INestApplicationContext[] = [];
  const clusters: TestCluster[] = [];
  let nats: NatsProcess | undefined;

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    for (const cluster of clusters.splice(0)) await cluster.close();
    await nats?.end();
    nats = undefined;
    jest.restoreAllMocks();
  });

  async function service(options: NodeOptions, more: object[] = []): Promise<INestApplicationContext> {
    const imports = [GatewayApiModule.forRoot({ secret, ...options }), ...(more as [])];
    const app = await (await Test.createTestingModule({ imports }).compile()).init();
    apps.push(app);
    return app;
  }

  async function gateAt(port: number, nodeId: string): Promise<TestCluster> {
    const link = () => new TcpLink({ url: `tcp://127.0.0.1:${port}`, secret });
    const cluster = await createTestCluster({ gate: { nodeId }, link });
    clusters.push(cluster);
    return cluster;
  }

  it('has no answers while there is none, says so after a bounded wait, and logs which', async () => {
    const lines = jest.spyOn(Logger.prototype, 'warn').mockReturnValue(undefined);
    const address = `127.0.0.1:${await freePort()}`;
    const app = await service({ link: `tcp://${address}`, gateWait: 300 });
    const [api, node] = [app.get<GatewayApi>(GatewayApi), app.get(LinkNode)];
    expect(node.isUp).toBe(false);
    const id = 'g1.e1.1';
    const confirm = { confirm: true } as const;
    const calls = (): Promise<unknown>[] => [
      api.isUidOnline('ada'),
      api.getAllClientCount({ partial: 'allow' }),
      api.getClientIdPage(),
      api.sendToUid('ada', 'a/b', 1, confirm),
      api.sendToClient(id, 'a/b', 1, confirm),
      api.revoke('ada'),
      api.ungroup('lobby'),
      api.isOnline(id),
      api.getSession(id),
      api.joinGroup(id, 'lobby'),
      api.closeClient(id),
      api.sendToClient(id, 'a/b'),
      api.sendToGroup('lobby', 'a/b'),
      api.sendToAll('a/b'),
    ];
    for (const call of await Promise.allSettled([...calls(), ...calls()])) {
      expect(call).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
    }
    const line = () =>
      lines.mock.calls.map(([text]) => text as string).find(text => text.includes('5 s after the start'));
    await waitUntil('the warning', () => line() !== undefined, 10_000);
    expect(line()).toBe(`No gate is in reach 5 s after the start: ${address} (ECONNREFUSED)`);
    const proxy = new GateClientProxy({ link: `tcp://${address}`, secret, deadlineMs: 300 });
    await expect(lastValueFrom(proxy.send('clientCount', {}))).rejects.toMatchObject(UNAVAILABLE);
    await proxy.close();
  });

  it('names each that it has not reached, by address', async () => {
    const [near, far] = [await freePort(), await freePort()];
    await gateAt(near, 'near');
    const link = `tcp://127.0.0.1:${near},127.0.0.1:${far},localhost:${near}`;
    const app = await service({ link });
    const [api, node] = [app.get<GatewayApi>(GatewayApi), app.get(LinkNode)];
    const client = await (clusters[0] as TestCluster).connect();
    const address = `127.0.0.1:${far}`;
    const missing = [address];
    const partial = (result: unknown) => ({ code: 'PARTIAL_RESULT', details: { result, missing } });
    expect(node.isUp).toBe(true);
    await expect(api.isUidOnline('ada')).rejects.toMatchObject(partial(false));
    expect(await api.getAllClientCount({ partial: 'allow' })).toEqual({ result: 1, missing });
    await expect(api.sendToUid('ada', 'a/b', 1, { confirm: true })).rejects.toMatchObject(partial({ delivered: 0 }));
    await expect(api.revoke('ada')).rejects.toMatchObject(partial(0));
    await expect(api.isOnline('far.e1.1')).rejects.toMatchObject(UNAVAILABLE);
    await expect(api.sendToClient('far.e1.1', 'a/b', 1, { confirm: true })).rejects.toMatchObject(partial(false));
    // What concerns the gate that is there only.
    await api.joinGroup(client.clientId, 'lobby');
    expect(await api.sendToClient(client.clientId, 'a/b', 1, { confirm: true })).toBe(true);
    await api.sendToClient(client.clientId, 'a/b', 2);
    expect(node.counters.refused).toBe(0);
    await api.sendToGroup('lobby', 'a/b', 3);
    await api.sendToClient('far.e1.1', 'a/b', 4);
    expect(node.counters.refused).toBe(2);
    await client.push('a/b', body => body === 3);

    const late = await gateAt(far, 'far');
    await waitUntil('the other gate', () => node.peers.has('far'));
    expect(await api.getAllClientCount()).toBe(1);
    // One that has left is out of reach, and misses pushes; of its clients it is known that they are gone.
    clusters.pop();
    await late.close();
    expect(await api.getAllClientCount()).toBe(1);
    await api.sendToGroup('lobby', 'a/b', 5);
    expect(node.counters.refused).toBe(3);
    expect(node.unreachedGates).toMatchObject([{ name: 'far', wasReached: true }]);
  });

  it('names a name that stands for no address', async () => {
    const near = await freePort();
    await gateAt(near, 'near');
    const link = new TcpLink(
      { url: `tcp://127.0.0.1:${near},gates.test:7400`, secret },
      { lookupAll: () => Promise.reject(Object.assign(new Error('not found'), { code: 'ENOTFOUND' })) },
    );
    const api = (await service({ link })).get<GatewayApi>(GatewayApi);
    expect(await api.getAllUidCount({ partial: 'allow' })).toEqual({ result: 0, missing: ['gates.test:7400'] });
  });

  it.each(['tcp', 'nats'])('can be asked in its first hooks, over %s', async name => {
    if (name === 'nats') nats = await NatsProcess.start();
    const [one, two] = [await freePort(), await freePort()];
    const urls = [nats?.url ?? `tcp://127.0.0.1:${one}`, nats?.url ?? `tcp://127.0.0.1:${two}`];
    const { NatsLink } = await import('@nestgate/link/nats');
    const linkOf = (url: string) => (nats ? new NatsLink({ url }) : new TcpLink({ url, secret }));
    const cluster = await createTestCluster({ gates: 2, link: (_role, index) => linkOf(urls[index] as string) });
    clusters.push(cluster);
    const [ada] = [await cluster.connect(), await cluster.connect({ gate: 1 })];
    await cluster.api.bindUid(ada.clientId, 'ada');
    const link = linkOf(nats?.url ?? `tcp://127.0.0.1:${one},127.0.0.1:${two}`);
    const asker = (await service({ link }, [AskerModule])).get(Asker);
    expect(asker.found).toEqual({ count: 2, delivered: 2, online: true });
  });
});
