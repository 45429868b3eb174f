import { connect as connectTcp } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import {
  AgentCreator,
  AgentLearner,
  Delegater,
  Gate,
  HandshakeHandler,
  type IncomingPack,
  MemoryStorage,
  RecvPackHandler,
  RouteHandler,
  SendMessageHook,
  SessionLearner,
  StorageHandler,
  WorkerChoice,
} from '@nestgate/gate';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { OnPresence, OnTopic } from '@nestgate/worker';
import { Controller, Logger } from '@nestjs/common';
import { TcpConnection } from '../../../libs/gate/src/tcp/tcp-connection.js';
import type { WsConnection } from '../../../libs/gate/src/websocket/ws-connection.js';
import { Codecs } from '../../../libs/gate/src/codec/codec.js';
import { HttpDrain } from '../../../libs/gate/src/websocket/http-drain.js';
import { PresenceFeed } from '../../../libs/gate/src/hub/presence-feed.js';
import { Standstill } from '../../../libs/gate/src/hub/standstill.js';
import { livenessOf } from '../support/insides.js';

const POISON = (): never => {
  throw new Error('poison');
};
const HEART_MS = 800;

/** Handlers of the application that throw what is no usual error, or give back what cannot be looked at. */
@Controller()
class PoisonTopics {
  events = 0;

  @OnTopic('poison/error')
  error(): never {
    throw Object.defineProperty(new Error('x'), 'message', { get: POISON });
  }

  @OnTopic('poison/result')
  result(): unknown {
    return { toJSON: POISON };
  }

  @OnPresence('online')
  online(): never {
    this.events++;
    return POISON();
  }
}

/** Hooks that do nothing, for a test to poison: where the gate finds its own ones, it does not call them. */
const hooks = {
  handshake: new (class extends HandshakeHandler {
    override handshake(): void {}
  })(),
  session: new (class extends SessionLearner {
    override onConnect(): void {}
    override onDisconnect(): void {}
  })(),
  agent: new (class extends AgentLearner {
    override connect(): void {}
    override disconnect(): void {}
  })(),
  recv: new (class extends RecvPackHandler {
    override onPack(_session: unknown, pack: IncomingPack): void {
      pack.forward();
    }
  })(),
  route: new (class extends RouteHandler {
    override onRoute(): boolean {
      return false;
    }
  })(),
  send: new (class extends SendMessageHook {
    override onSend(_session: unknown, _topic: string, body: unknown): unknown {
      return body;
    }
  })(),
  choice: new (class extends WorkerChoice {
    override choose(): undefined {}
  })(),
  storage: new MemoryStorage(),
  creator: new AgentCreator(),
};

const links: Link[] = [];
const bus = new MemoryBus();
let cluster: TestCluster;
let neighbour: FakeClient;
const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);

const app = () => cluster.gate.app;
const node = (): LinkNode => app().get(LinkNode);
const defects = (place: string): number => node().defects.counts[place] ?? 0;

/** Has a method throw the next time. Private ones too: a timer calls nothing else. */
function poisonOnce(target: object, method: string): void {
  jest.spyOn(target as Record<string, () => unknown>, method).mockImplementationOnce(POISON);
}

beforeAll(async () => {
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  const { handshake, session, agent, recv, route, send, choice, storage, creator } = hooks;
  cluster = await createTestCluster({
    workers: 1,
    handlers: { imports: [HandlersModule], controllers: [PoisonTopics] },
    link: () => {
      const link = bus.link();
      links.push(link);
      return link;
    },
    gate: {
      tcp: { port: 0, host: '127.0.0.1', codec: 'frame' },
      heartOverTimer: HEART_MS,
      pingInterval: HEART_MS / 4,
      storageHeartbeat: 1_000,
      providers: [
        { provide: HandshakeHandler, useValue: handshake },
        { provide: SessionLearner, useValue: session },
        { provide: AgentLearner, useValue: agent },
        { provide: RecvPackHandler, useValue: recv },
        { provide: RouteHandler, useValue: route },
        { provide: SendMessageHook, useValue: send },
        { provide: WorkerChoice, useValue: choice },
        { provide: StorageHandler, useValue: storage },
        { provide: AgentCreator, useValue: creator },
      ],
    },
  });
  neighbour = await cluster.connect();
  await app().get(Delegater).bind(neighbour.clientId, 'neighbour');
});

afterEach(async () => {
  jest.restoreAllMocks();
  // The neighbour goes on: it is answered, and gets what is pushed.
  expect(await neighbour.request('echo/echo', 'still here')).toBe('still here');
  await cluster.api.sendToUid('neighbour', 'a/push', 1);
  await neighbour.push('a/push');
  neighbour.frames.length = 0;
  await new Promise(resolve => setImmediate(resolve));
  expect(unhandled).toEqual([]);
});

afterAll(async () => {
  await cluster.close();
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
});

describe('a hook that throws', () => {
  it('at the handshake refuses it', async () => {
    poisonOnce(hooks.handshake, 'handshake');
    await expect(cluster.connect()).rejects.toMatchObject({ status: 500 });
  });

  it('when its agent is made ends that connection', async () => {
    const before = defects('ws.accept');
    poisonOnce(hooks.creator, 'create');
    expect(await (await cluster.connect()).closed).toMatchObject({ code: 1011 });
    expect(defects('ws.accept')).toBe(before + 1);
  });

  it('when its agent is made ends that connection of TCP', async () => {
    poisonOnce(hooks.creator, 'create');
    const socket = connectTcp(app().get(Gate).tcpPort as number, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise(resolve => socket.once('close', resolve));
    expect(defects('tcp.accept')).toBe(1);
  });

  it('at the connect closes that client', async () => {
    poisonOnce(hooks.session, 'onConnect');
    expect(await (await cluster.connect()).closed).toMatchObject({ code: 1011 });
  });

  it.each([
    ['the connect of its agent', hooks.agent, 'connect'],
    ['the disconnect', hooks.session, 'onDisconnect'],
    ['the disconnect of its agent', hooks.agent, 'disconnect'],
  ])('at %s costs nothing', async (_when, hook, method) => {
    poisonOnce(hook, method);
    const client = await cluster.connect();
    expect(await client.request('echo/echo', 1)).toBe(1);
    await client.close();
    await waitUntil('the client to be gone', () => app().get(Delegater).getAgentNum() === 1);
  });

  it.each([
    ['RecvPackHandler', hooks.recv, 'onPack'],
    ['RouteHandler', hooks.route, 'onRoute'],
  ])('on the way of a frame (%s) ends it with INTERNAL', async (_name, hook, method) => {
    const client = await cluster.connect();
    poisonOnce(hook, method);
    expect((await client.exchange('echo/echo', 1)).error?.code).toBe('INTERNAL');
    expect(await client.request('echo/echo', 2)).toBe(2);
  });

  it('at the choice of a worker leaves it to the usual rule', async () => {
    poisonOnce(hooks.choice, 'choose');
    expect(await (await cluster.connect()).request('echo/echo', 1)).toBe(1);
  });

  it('on the way of a push refuses that push', async () => {
    const client = await cluster.connect();
    poisonOnce(hooks.send, 'onSend');
    await cluster.api.sendToClient(client.clientId, 'a/b', 1);
    await cluster.api.sendToClient(client.clientId, 'a/b', 2);
    await client.push('a/b');
    expect(client.pushes('a/b').map(({ body }) => body)).toEqual([2]);
  });

  it.each(['query', 'storage'])('of the storage (%s) costs nobody else anything', async method => {
    const client = await cluster.connect();
    poisonOnce(hooks.storage, method);
    await app()
      .get(Delegater)
      .bind(client.clientId, `user-${method}`)
      .catch(() => undefined);
    expect(await client.request('echo/echo', 1)).toBe(1);
  });

  it('of the storage (heartbeat) does not end its timer', async () => {
    const heartbeat = jest.spyOn(hooks.storage, 'heartbeat').mockImplementationOnce(POISON);
    await waitUntil('another heartbeat', () => heartbeat.mock.calls.length > 1);
  });

  it('of presence costs the worker nothing', async () => {
    const topics = (cluster.workers[0] as TestCluster['workers'][number]).app.get(PoisonTopics);
    const client = await cluster.connect();
    const before = topics.events;
    await app().get(Delegater).bind(client.clientId, 'present');
    await waitUntil('the handler to have thrown', () => topics.events > before);
    expect(await client.request('echo/echo', 1)).toBe(1);
  });

  it.each(['poison/error', 'poison/result'])('a handler (%s) ends its frame with INTERNAL', async topic => {
    const client = await cluster.connect();
    expect((await client.exchange(topic)).error?.code).toBe('INTERNAL');
    expect(await client.request('echo/echo', 1)).toBe(1);
  });
});

describe('a part that throws', () => {
  it('a wire, when it reads a frame, ends that frame with INTERNAL', async () => {
    const client = await cluster.connect();
    const before = defects('frame');
    poisonOnce(app().get(Codecs).ws.get('gate.json') as object, 'decode');
    client.send('echo/echo', 1);
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'INTERNAL' });
    expect(await client.request('echo/echo', 2)).toBe(2);
    expect(defects('frame')).toBe(before + 1);
  });

  it('a wire, when it writes a reply, ends that frame with an error', async () => {
    const client = await cluster.connect();
    poisonOnce(app().get(Codecs).ws.get('gate.json') as object, 'reply');
    const before = JSON.stringify(node().defects.counts);
    expect((await client.exchange('echo/echo', 1)).error).toBeDefined();
    expect(JSON.stringify(node().defects.counts)).not.toBe(before);
    // Its credit has come back.
    expect(app().get(Delegater).getAgent(client.clientId).unansweredCount).toBe(0);
    expect(await client.request('echo/echo', 2)).toBe(2);
  });

  it('an agent, when a message comes, ends its connection', async () => {
    const client = await cluster.connect();
    poisonOnce(app().get(Delegater).getAgent(client.clientId), 'onFrame');
    client.send('echo/echo', 1);
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(defects('ws.read') + defects('ws.message')).toBeGreaterThan(0);
  });

  it('an agent of TCP, when data comes, ends its connection', async () => {
    const socket = connectTcp(app().get(Gate).tcpPort as number, '127.0.0.1');
    socket.on('error', () => undefined);
    const agents = () => [...app().get(Delegater).sessions()];
    const agent = await waitUntil('its agent', () =>
      agents().find(({ isShaked, wire }) => isShaked && wire.codec === 'gate.frame'),
    );
    poisonOnce(agent, 'onFrame');
    socket.resume();
    socket.write(Buffer.from([4, 0, 0, 0, 1, 2, 3, 4]));
    await new Promise(resolve => socket.once('close', resolve));
    expect(defects('tcp.data')).toBe(1);
  });

  it('a connection, when it is written to, ends', async () => {
    const client = await cluster.connect();
    const { connection } = app().get(Delegater).getAgent(client.clientId) as unknown as { connection: WsConnection };
    poisonOnce(connection, 'write');
    client.send('echo/echo', 1);
    expect(await client.closed).toMatchObject({ code: 1011 });
    // A ping may have come first.
    expect(defects('write') + defects('heartbeat')).toBe(1);
  });

  it('a connection of TCP, when it is set up, ends', async () => {
    const before = defects('tcp.accept');
    poisonOnce(TcpConnection.prototype, 'listen');
    const socket = connectTcp(app().get(Gate).tcpPort as number, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise(resolve => socket.once('close', resolve));
    expect(defects('tcp.accept')).toBe(before + 1);
  });

  it('a driver, when it sends, has taken nothing', async () => {
    const client = await cluster.connect();
    poisonOnce(links[0] as Link, 'send');
    expect((await client.exchange('echo/echo', 1)).error).toBeDefined();
    expect(await client.request('echo/echo', 2)).toBe(2);
    expect(defects('link.send')).toBe(1);
  });

  it('a listener of peers keeps the others from nothing', async () => {
    const heard: string[] = [];
    const stops = [node().onPeer(POISON), node().onPeer(({ type }) => heard.push(type))];
    const before = defects('link.peer');
    const self = { id: 'late', role: 'api', epoch: 'e', modules: [], draining: false } as const;
    const other = new LinkNode({ link: bus.link(), self });
    await other.open();
    await other.close();
    for (const stop of stops) stop();
    expect([heard, defects('link.peer') - before]).toEqual([['join', 'leave'], 2]);
  });

  it('a logger does not matter', async () => {
    for (const level of ['error', 'warn', 'log'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation(POISON);
    poisonOnce(hooks.session, 'onConnect');
    expect(await (await cluster.connect()).closed).toMatchObject({ code: 1011 });
    const client = await cluster.connect();
    expect((await client.exchange('poison/error')).error?.code).toBe('INTERNAL');
  });

  it('a listener of HTTP requests does not matter', async () => {
    const before = defects('http.request');
    poisonOnce(HttpDrain.prototype, 'noteRequest');
    const response = await fetch(`http://127.0.0.1:${cluster.gate.port}/gate`);
    expect([response.status, defects('http.request')]).toEqual([400, before + 1]);
  });
});

describe('a timer that throws', () => {
  it.each([
    ['standstill', () => app().get(Standstill), 'look'],
    ['presence.mark', () => PresenceFeed.prototype, 'tell'],
  ])('%s is counted, and goes on', async (place, part, method) => {
    const spy = jest.spyOn(part() as unknown as Record<string, () => void>, method).mockImplementationOnce(POISON);
    await waitUntil('its next call', () => defects(place) === 1 && spy.mock.calls.length > 1, 15_000);
  });

  it('heartbeat ends that client only', async () => {
    const client = await cluster.connect();
    poisonOnce(livenessOf(app().get(Delegater).getAgent(client.clientId)), 'silentFor');
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(defects('heartbeat')).toBe(1);
  });

  it('auth.expiry is counted', async () => {
    const client = await cluster.connect();
    poisonOnce(app().get(Delegater).getAgent(client.clientId), 'close');
    await app()
      .get(Delegater)
      .expireAt(client.clientId, Date.now() + 50);
    await waitUntil('the expiry to have thrown', () => defects('auth.expiry') === 1);
  });
});
