import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplicationContext, INestMicroservice, Type } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import { LinkNode, TcpLink } from '@nestgate/link';
import { BinaryClient, createTestCluster, freePort, jsonOf, type TestCluster, waitUntil } from '@nestgate/testing';
import { type GateClientProxy, GatewayApiModule, GateTransport } from '@nestgate/worker';
import { lastValueFrom } from 'rxjs';

const opened: { close(): Promise<unknown> }[] = [];
let link = '';
// Imported when the link is known, as a `main.ts` is when its environment is.
let examples: typeof import('./support/worker-examples.js');
let clients: typeof import('./support/worker-examples-client.js');

beforeAll(async () => {
  Logger.overrideLogger(false);
  process.env['NESTGATE_LINK'] = link = `tcp://127.0.0.1:${await freePort()}`;
  examples = await import('./support/worker-examples.js');
  clients = await import('./support/worker-examples-client.js');
});

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

/** A gate that listens where the examples dial, or a gate that hosts these handlers itself. */
async function gate(controllers?: Type[]): Promise<TestCluster> {
  const cluster = await createTestCluster(
    controllers ? { handlers: { controllers } } : { link: () => new TcpLink({ url: link }) },
  );
  opened.push(cluster);
  return cluster;
}

/** Waits until the gate knows a worker. */
async function served({ gate: { app } }: TestCluster): Promise<void> {
  const isWorker = ([, { info }]: [string, { info: { role: string } }]) => info.role === 'worker';
  await waitUntil('a worker', () => [...app.get(LinkNode).peers].some(isWorker));
}

async function microservice(module: Type): Promise<INestMicroservice> {
  const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(module, {
    inject: [GateTransport],
    useFactory: (strategy: GateTransport) => ({ strategy }),
  });
  opened.push(app);
  await app.listen();
  return app;
}

async function http(module: Type): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  const app = await NestFactory.create(module);
  opened.push(app);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return (path, init) => fetch(`${url}/${path}`, { headers: { 'content-type': 'application/json' }, ...init });
}

describe('the examples of docs/worker.md work', () => {
  it('worker main, OnTopic and Session', async () => {
    const cluster = await gate();
    const { app } = await import('./support/worker-examples-main.js');
    opened.push(app);
    await served(cluster);
    const [cook, guest] = [await cluster.connect(), await cluster.connect()];
    await cluster.api.joinGroup(cook.clientId, 'kitchen');
    const settings = { table: '7', courses: [] };
    expect(await guest.request('guests/login', { name: 'ada' })).toEqual({ uid: 'ada', settings });
    expect(await guest.request('orders/place', { dish: 'soup', count: 2 })).toEqual({ table: '7' });
    expect((await cook.push('orders/placed')).body).toEqual({ dish: 'soup', count: 2, by: 'ada' });
    const { error } = await guest.exchange('orders/place', { dish: 'soup', count: 11 });
    expect(error).toMatchObject({ code: 'BAD_REQUEST', details: ['count must not be greater than 10'] });
    guest.send('guests/leave');
    expect((await guest.closed).code).toBe(4002);
    expect(guest.pushes('guests/left').map(push => push.body)).toEqual([{ to: 'ada' }]);
  });

  it('hybrid main and status', async () => {
    const cluster = await gate();
    process.env['PORT'] = '0';
    const { app } = await import('./support/worker-examples-hybrid.js');
    delete process.env['PORT'];
    opened.push(app);
    await served(cluster);
    const { port } = app.getHttpServer().address() as { port: number };
    const health = await fetch(`http://127.0.0.1:${port}/health`);
    expect(await health.json()).toEqual({ status: 'ok' });
    const guest = await cluster.connect();
    await cluster.api.joinGroup(guest.clientId, 'kitchen');
    const { error } = await guest.exchange('orders/place', { dish: 'tea', count: 1, price: 0 });
    expect(error).toMatchObject({ code: 'BAD_REQUEST', details: ['property price should not exist'] });
    await guest.request('orders/place', { dish: 'tea', count: 1 });
    expect((await guest.push('orders/placed')).body).toEqual({ dish: 'tea', count: 1, by: '' });
    const readiness = app.get(examples.Readiness);
    expect(readiness.isReady).toBe(true);
    await app.close();
    expect(readiness.isReady).toBe(false);
  });

  it('async options, options of OnTopic, and an app that is closed while a handler runs', async () => {
    const cluster = await gate();
    const app = await microservice(examples.KitchenApp);
    await served(cluster);
    expect(app.get(LinkNode).info.id).toBe('kitchen-1');
    const client = await cluster.connect();
    const [slow, quick] = [client.ask('photos/develop', 300), client.ask('photos/develop', 0)];
    await Promise.all([client.answer(slow), client.answer(quick)]);
    expect(client.frames.map(frame => frame.id).filter(Boolean)).toEqual([quick, slow]);
    expect(await client.request('photos/add', 'text')).toEqual({ bytes: 4 });
    const camera = await BinaryClient.overWs(cluster.gate.url, { codec: 'frame' });
    opened.push({ close: async () => camera.destroy() });
    const answer = await camera.request('photos/add', Buffer.from([0xff, 0xd8, 0xff]));
    expect(jsonOf({ body: answer })).toEqual({ bytes: 3 });

    const transport = app.get(GateTransport);
    const told: string[] = [];
    transport.status.subscribe(status => told.push(status));
    transport.on('close', () => told.push('close'));
    const last = client.ask('photos/develop', 400);
    await client.exchange('$gate/ping');
    const closed = app.close();
    expect((await client.answer(last)).body).toEqual({ ms: 400 });
    await closed;
    expect(told).toEqual(['listening', 'closed', 'close']);
    expect(app.get(LinkNode).isUp).toBe(false);
    expect((await client.exchange('photos/develop', 0, 6_000)).error?.code).toBe('NO_WORKER');
  });

  it('an app that is closed leaves a handler behind that does not come to an end', async () => {
    const cluster = await gate();
    const app = await microservice(examples.KitchenApp);
    await served(cluster);
    const client = await cluster.connect();
    const hangs = client.ask('photos/develop', 6_500);
    await client.exchange('$gate/ping');
    const before = Date.now();
    await app.close();
    expect(Date.now() - before).toBeGreaterThanOrEqual(4_900);
    expect((await client.answer(hangs)).error?.code).toBe('WORKER_LOST');
  });

  it('parameters and results', async () => {
    const cluster = await gate([examples.MenuTopics, examples.ResultTopics]);
    const client = await cluster.connect();
    expect(await client.request('menu/dish', { id: '7' })).toEqual({
      body: { id: '7' },
      id: 7,
      topic: 'menu/dish',
      wantsReply: true,
      isMine: true,
    });
    expect(await client.request('results/stream')).toBe(3);
    expect(await client.exchange('results/bytes')).toMatchObject({
      body: Buffer.from('as they are').toString('base64'),
      encoding: 'base64',
    });
    expect(await client.request('results/nothing')).toBeNull();
    expect((await client.exchange('results/refusal')).error).toEqual({
      code: 'SOLD_OUT',
      message: 'Come back tomorrow',
      details: { at: '11:00' },
    });
  });

  it('events and pipeline', async () => {
    const cluster = await gate([examples.DoorTopics, examples.StockTopics]);
    const [cook, guest] = [await cluster.connect({ path: '?role=staff' }), await cluster.connect()];
    expect(await cook.request('stock/take', '4')).toEqual({ topic: 'stock/take', left: 6 });
    const refusals = await Promise.all([cook.exchange('stock/take', 7), guest.exchange('stock/take', 1)]);
    expect(refusals.map(({ error }) => error)).toEqual([
      { code: 'OUT_OF_STOCK', message: 'Only 6 are left' },
      expect.objectContaining({ code: 'FORBIDDEN' }),
    ]);
    expect((await cook.exchange('stock/take', 'many')).error?.code).toBe('BAD_REQUEST');
    guest.socket.close(1000);
    expect((await cook.push('door/left')).body).toEqual({ code: 1000, role: 'guest' });
    const refused = await cluster.connect({ path: '?shoes=none' });
    expect((await refused.closed).code).toBe(1008);
  });

  it('streams', async () => {
    const cluster = await gate([examples.TickerTopics]);
    const client = await cluster.connect();
    expect((await client.stream('ticker/countdown', 3)).items).toEqual([3, 2, 1]);
    const id = client.beginStream('ticker/prices', { dish: 'soup' });
    await waitUntil('two prices', () => client.items(id).length === 2);
    expect(client.items(id)).toEqual([
      { dish: 'soup', price: 100 },
      { dish: 'soup', price: 101 },
    ]);
    client.cancel(id);
    expect((await client.streamed(id)).ended).toBe(true);
  });

  it('presence', async () => {
    const cluster = await gate([examples.FriendTopics]);
    const [ada, bob] = [await cluster.connect(), await cluster.connect()];
    const online = async (...names: string[]) => {
      const list = await ada.request<string[]>('friends/online');
      return list.length === names.length && names.every(name => list.includes(name));
    };
    await cluster.api.bindUid(ada.clientId, 'ada');
    await cluster.api.bindUid(bob.clientId, 'bob');
    await waitUntil('both to be seen', () => online('ada', 'bob'));
    await bob.close();
    await waitUntil('one to be seen off', () => online('ada'));
  });

  it('api', async () => {
    const cluster = await gate();
    const client = await cluster.connect();
    const request = await http(examples.NewsApp);
    const response = await request('news', { method: 'POST', body: '{"n":1}' });
    expect(await response.json()).toEqual({ delivered: 1 });
    expect((await client.push('news/flash')).body).toEqual({ n: 1 });
  });

  it('GateClientProxy', async () => {
    const cluster = await gate();
    const client = await cluster.connect();
    await cluster.api.bindUid(client.clientId, 'ada');
    const request = await http(clients.GuestsApp);
    expect(await (await request('guests/ada')).json()).toBe(true);
    expect(await (await request('guests/bob')).json()).toBe(false);
    await request('guests/ada/bill', { method: 'PUT', body: '{"sum":9}' });
    expect((await client.push('guests/bill')).body).toEqual({ sum: 9 });
    const path = `guests/clients/${client.clientId}`;
    expect(await (await request(path, { method: 'DELETE' })).json()).toBe(true);
    expect((await client.closed).code).toBe(4002);
    expect(client.pushes('guests/closed')).toHaveLength(1);
    await waitUntil('it to be gone', async () => (await request(path, { method: 'DELETE' })).status === 404);
  });

  it('shared node', async () => {
    const cluster = await gate();
    await cluster.connect();
    const module = { module: class SharedApp {}, imports: [GatewayApiModule.forRoot({ link }), clients.sharedGates] };
    const app: INestApplicationContext = await NestFactory.createApplicationContext(module);
    opened.push(app);
    const proxy = app.get<GateClientProxy>('GATES');
    expect(await lastValueFrom(proxy.send('clientCount', {}))).toBe(1);
    expect(proxy.unwrap()).toBe(app.get(LinkNode));
  });
});
