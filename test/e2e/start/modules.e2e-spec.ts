import { afterEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Gate, GateModule } from '@nestgate/gate';
import { MemoryBus } from '@nestgate/link';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi, GatewayApiModule, WorkerModule } from '@nestgate/worker';
import { type INestApplication, Inject, Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { startWorkerApp } from '../../support/start-app.js';

const LIMITS = Symbol('limits');

@Module({ providers: [{ provide: LIMITS, useValue: { maxGroups: 2 } }], exports: [LIMITS] })
class ConfigModule {}

/** A service of a feature module, which imports nothing of nestgate. */
@Injectable()
class NewsService {
  constructor(@Inject(GatewayApi) readonly gateway: GatewayApi) {}
}

@Module({ providers: [NewsService] })
class NewsModule {}

describe('the modules', () => {
  const apps: { close(): Promise<void> }[] = [];
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    await cluster?.close();
    cluster = undefined;
  });

  async function start(imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>) {
    const module = await Test.createTestingModule({ imports }).compile();
    const app: INestApplication = module.createNestApplication({ logger: false });
    apps.push(app);
    return app;
  }

  it('let a service that only pushes reach the clients of any gate', async () => {
    const bus = new MemoryBus();
    cluster = await createTestCluster({ gates: 2, handlers: { imports: [HandlersModule] }, link: () => bus.link() });
    const api = await start([GatewayApiModule.forRoot({ link: bus.link() }), NewsModule]);
    await api.init();
    const client = await cluster.connect({ gate: 1 });
    await client.request('chat/login', { name: 'ada' });
    const { gateway } = api.get(NewsService);
    expect(await gateway.sendToUid('ada', 'news/flash', { n: 1 }, { confirm: true })).toEqual({ delivered: 1 });
    expect((await client.push('news/flash')).body).toEqual({ n: 1 });
    expect(await gateway.getAllClientCount()).toBe(1);
    expect(await gateway.getClientIdByUid('ada')).toEqual([client.clientId]);
  });

  it('hold clients once in an app: a second GateModule, or a WorkerModule beside it, stops the start', async () => {
    for (const [second, names] of [
      [GateModule.forRoot({ ws: { path: '/other' } }), 'GateModule, GateModule'],
      [WorkerModule.forRoot({}), 'GateModule, WorkerModule'],
    ] as const) {
      const app = await start([GateModule.forRoot({}), second]);
      await expect(app.listen(0, '127.0.0.1')).rejects.toMatchObject({
        code: 'BAD_ARGUMENT',
        message: expect.stringContaining(`handle topics: ${names}`),
      });
    }
  });

  it('take their options from other providers', async () => {
    const bus = new MemoryBus();
    const gate = await start([
      GateModule.forRootAsync({
        imports: [ConfigModule],
        inject: [LIMITS],
        useFactory: (limits: object) => ({ ...limits, link: bus.link(), nodeId: 'g1' }),
      }),
    ]);
    await gate.listen(0, '127.0.0.1');
    expect(gate.get(Gate).options).toMatchObject({ maxGroups: 2, nodeId: 'g1' });
    const app = await startWorkerApp({
      imports: [WorkerModule.forRootAsync({ useFactory: () => ({ link: bus.link() }) }), HandlersModule],
    });
    apps.push(app);
    await waitUntil('the gate to be known', async () => (await app.get(GatewayApi).getAllClientCount()) === 0);
  });

  it('refuse a link that no driver knows, and an id that no node can have', async () => {
    await expect(start([GatewayApiModule.forRoot({ link: 'carrier-pigeon:' })])).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
    });
    await expect(start([GateModule.forRoot({ nodeId: 'a.b' })])).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  });
});
