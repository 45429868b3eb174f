import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type INestApplication, Injectable, Module, Post, type Type } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test } from '@nestjs/testing';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateModule } from '@nestgate/gate';
import { createTestCluster, FakeClient, freePort, type TestCluster } from '@nestgate/testing';
import { GateTransport, OnTopic, WorkerModule } from '@nestgate/worker';
import { WebSocket } from 'ws';

@Controller()
class FirstTopics {
  @OnTopic('same/topic')
  first(): number {
    return 1;
  }
}

@Controller()
class SecondTopics {
  @OnTopic('same/topic')
  second(): number {
    return 2;
  }

  @OnTopic('second/own')
  own(): number {
    return 3;
  }
}

@Injectable()
class StrayTopics {
  @OnTopic('stray/topic')
  stray(): number {
    return 1;
  }
}

@Module({ controllers: [FirstTopics] })
class FirstModule {}

describe('starting', () => {
  let app: INestApplication | undefined;

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function create(controllers: Type[], more: { imports?: Type[]; providers?: Type[] } = {}) {
    const module = await Test.createTestingModule({
      controllers,
      providers: more.providers ?? [],
      imports: [GateModule.forRoot({}), ...(more.imports ?? [])],
    }).compile();
    return (app = module.createNestApplication({ logger: false }));
  }

  async function messageOf(start: Promise<unknown>): Promise<string> {
    const error = await start.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return error instanceof Error ? error.message : `no error but ${String(error)}`;
  }

  async function connectAndStart(created: INestApplication): Promise<void> {
    created.connectMicroservice({ strategy: created.get(GateTransport) }, { inheritAppConfig: true });
    await created.startAllMicroservices();
    await created.listen(0, '127.0.0.1');
  }

  it('needs no transport without topics', async () => {
    const created = await create([]);
    await created.listen(0, '127.0.0.1');
    const { port } = created.getHttpServer().address() as AddressInfo;
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    expect((await client.exchange('any/topic')).error?.code).toBe('NO_ROUTE');
    client.socket.terminate();
  });

  it.each([
    ['of one module', [FirstTopics, SecondTopics], []],
    ['of two modules', [SecondTopics], [FirstModule]],
  ])('fails when two handlers %s have one topic, naming both', async (_where, controllers, imports) => {
    const message = await messageOf(connectAndStart(await create(controllers, { imports })));
    expect(message).toContain('same/topic');
    expect(message).toContain('FirstTopics.first');
    expect(message).toContain('SecondTopics.second');
    expect(app?.getHttpServer().address()).toBeNull();
  });

  it('does not mind one controller in two modules', async () => {
    const created = await create([FirstTopics], { imports: [FirstModule] });
    await connectAndStart(created);
    const { port } = created.getHttpServer().address() as AddressInfo;
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    expect(await client.request('same/topic')).toBe(1);
    client.socket.terminate();
  });

  it('fails when a provider that is no controller handles a topic', async () => {
    const message = await messageOf(connectAndStart(await create([], { providers: [StrayTopics] })));
    expect(message).toContain('StrayTopics.stray');
    expect(message).toContain('controllers');
  });

  it('a worker app fails in the same way', async () => {
    const module = await Test.createTestingModule({
      controllers: [FirstTopics, SecondTopics],
      imports: [WorkerModule.forRoot({})],
    }).compile();
    const worker = module.createNestMicroservice({ strategy: module.get(GateTransport), logger: false });
    expect(await messageOf(worker.listen())).toMatch(/FirstTopics\.first.*SecondTopics\.second/);
    await worker.close();
  });

  it('takes each port once, where Nest bootstraps an app twice', async () => {
    const [ws, tcp] = [await freePort(), await freePort()];
    const module = await Test.createTestingModule({
      imports: [GateModule.forRoot({ ws: { port: ws }, tcp: { port: tcp } })],
      controllers: [FirstTopics],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    app.connectMicroservice(
      { strategy: app.get(GateTransport) },
      { inheritAppConfig: false, deferInitialization: true },
    );
    try {
      await app.startAllMicroservices();
      await app.listen(0, '127.0.0.1');
      const client = await FakeClient.connect(`ws://127.0.0.1:${ws}/gate`);
      expect((await client.exchange('same/topic')).body).toBe(1);
      await client.close();
    } finally {
      await app.close();
    }
  });
});

@WebSocketGateway({ path: '/own' })
class OwnGateway {
  @SubscribeMessage('shout')
  shout(@MessageBody() text: string): { event: string; data: string } {
    return { event: 'shouted', data: text.toUpperCase() };
  }
}

@Controller('plain')
class PlainController {
  @Get()
  read(): { read: boolean } {
    return { read: true };
  }

  @Post()
  write(): { written: boolean } {
    return { written: true };
  }
}

describe('the gate beside what else the app serves', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  it('leaves the HTTP routes and the WebSocket gateway of the app as they are', async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule], controllers: [PlainController], providers: [OwnGateway] },
      setup: app => void app.useWebSocketAdapter(new WsAdapter(app)),
    });
    const base = `http://127.0.0.1:${cluster.gate.port}`;
    for (let round = 0; round < 2; round++) {
      const client = await cluster.connect();
      const own = await openOwn(`${base.replace('http', 'ws')}/own`);
      expect(await client.request('echo/echo', 'gate')).toBe('gate');
      expect(await ask(own, { event: 'shout', data: 'own' })).toEqual({ event: 'shouted', data: 'OWN' });
      expect(await (await fetch(`${base}/plain`)).json()).toEqual({ read: true });
      const posted = await fetch(`${base}/plain`, { method: 'POST' });
      expect([posted.status, await posted.json()]).toEqual([201, { written: true }]);
      expect((await fetch(`${base}/nothing`)).status).toBe(404);
      expect((await fetch(`${base}/gate`)).status).toBe(400);
      await expect(openOwn(`${base.replace('http', 'ws')}/nothing`)).rejects.toThrow();
      own.terminate();
    }
    const client = await cluster.connect();
    const own = await openOwn(`${base.replace('http', 'ws')}/own`);
    const ended = new Promise(resolve => own.once('close', resolve));
    await cluster.gate.app.close();
    expect((await client.closed).code).toBe(1012);
    await ended;
    await expect(fetch(`${base}/plain`)).rejects.toThrow();
  });
});

async function openOwn(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return socket;
}

async function ask(socket: WebSocket, message: object): Promise<unknown> {
  const answer = new Promise<Buffer>(resolve => socket.once('message', resolve));
  socket.send(JSON.stringify(message));
  return JSON.parse((await answer).toString()) as unknown;
}
