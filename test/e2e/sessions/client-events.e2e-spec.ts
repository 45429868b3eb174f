import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  type INestMicroservice,
  Injectable,
  type Type,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { Delegater, Gate, GateCounters } from '@nestgate/gate';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import {
  BinaryClient,
  createTestCluster,
  type TestCluster,
  type TestClusterOptions,
  type TestWorker,
  waitUntil,
} from '@nestgate/testing';
import {
  ClientSession,
  type ConnectEvent,
  type DisconnectEvent,
  OnConnect,
  OnDisconnect,
  GateTransport,
  OnTopic,
  Session,
  WorkerModule,
} from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';
import { startWorkerApp } from '../../support/start-app.js';

/** What the handlers have seen, and what they are to do. */
class Book {
  readonly lines: string[] = [];
  readonly connects: ConnectEvent[] = [];
  readonly disconnects: (DisconnectEvent & { userId: string; mood: string | undefined })[] = [];
  onConnect: (session: Session) => unknown = () => undefined;
  refusals = 0;
}

@Injectable()
class NoBots implements CanActivate {
  constructor(private readonly book: Book) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToRpc().getData<ConnectEvent>();
    if (headers['user-agent'] !== 'bot') return true;
    this.book.refusals++;
    return false;
  }
}

@Controller()
class Events {
  constructor(private readonly book: Book) {}

  @UseGuards(NoBots)
  @OnConnect()
  async connected(@Payload() event: ConnectEvent, @ClientSession() session: Session): Promise<void> {
    await this.book.onConnect(session);
    this.book.connects.push(event);
    this.book.lines.push(`+${session.clientId}`);
  }

  @OnDisconnect()
  disconnected(@Payload() event: DisconnectEvent, @ClientSession() session: Session): void {
    this.book.disconnects.push({ ...event, userId: session.userId, mood: session.get('mood') });
    this.book.lines.push(`-${session.clientId}`);
  }

  @OnTopic('events/frame')
  frame(@ClientSession() session: Session): unknown {
    this.book.lines.push(`.${session.clientId}`);
    return session.settings().next().value ?? null;
  }

  @OnTopic('events/slow')
  async slow(@Payload() ms: number, @ClientSession() session: Session): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, ms));
    this.book.lines.push(`.${session.clientId}`);
  }
}

/** A second listener: each of them is called. */
@Controller()
class MoreEvents {
  constructor(private readonly book: Book) {}

  @OnConnect()
  connected(): void {
    this.book.lines.push('second');
  }
}

describe.each(LINKS)('clients that come and go, told to workers over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let book: Book;
  let link: (role: 'gate' | 'worker', index: number) => Link;
  const added: INestMicroservice[] = [];

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(async () => {
    await cluster.close();
    for (const app of added.splice(0)) await app.close();
  });

  async function start(options: TestClusterOptions = {}, controllers: Type[] = [Events]): Promise<void> {
    book = new Book();
    const bus = new MemoryBus();
    link = (await links.forCluster(options.gates ?? 1)) ?? (() => bus.link());
    cluster = await createTestCluster({
      workers: 1,
      handlers: { controllers, providers: [{ provide: Book, useValue: book }] },
      link,
      ...options,
    });
  }

  /** One more worker, which meets the gate on the cluster's link. */
  async function addWorker(): Promise<void> {
    const app = await startWorkerApp({
      controllers: [Events],
      providers: [{ provide: Book, useValue: book }],
      imports: [WorkerModule.forRoot({ link: link('worker', 9) })],
    });
    added.push(app);
  }

  const lost = (label: string): number => cluster.gate.app.get(GateCounters).get('events_lost', label);

  it('contains the handshake: url, query, headers and cookies', async () => {
    await start();
    await cluster.connect({ path: '?token=a%20b&x=1', headers: { cookie: 'sid=42; lang=de', 'x-kind': 'test' } });
    await waitUntil('the event', () => book.connects.length === 1);
    const [event] = book.connects;
    expect(event).toMatchObject({
      url: '/gate?token=a%20b&x=1',
      path: '/gate',
      query: { token: 'a b', x: '1' },
      cookies: { sid: '42', lang: 'de' },
    });
    expect(event?.headers['x-kind']).toBe('test');
  });

  it('handles the event before the first frame, and lets it change the session', async () => {
    await start({ workers: 2 });
    book.onConnect = async session => {
      await new Promise(resolve => setTimeout(resolve, 50));
      await session.toSet('mood', 'fine');
    };
    const clients = await Promise.all(Array.from({ length: 8 }, () => cluster.connect()));
    const replies = await Promise.all(clients.map(client => client.request('events/frame')));
    expect(replies).toEqual(clients.map(() => ['mood', 'fine']));
    for (const { clientId } of clients) {
      expect(book.lines.filter(line => line.endsWith(clientId))).toEqual([`+${clientId}`, `.${clientId}`]);
    }
  });

  it('reports the disconnect with reason, uid, settings and groups, after the last frame', async () => {
    await start();
    const client = await cluster.connect();
    const { clientId } = client;
    await cluster.api.bindUid(clientId, 'ada');
    await cluster.api.updateSession(clientId, { mood: 'good' });
    await cluster.api.joinGroup(clientId, 'lobby');
    client.send('events/slow', 100);
    await client.exchange('$gate/ping');
    client.socket.close(4321, 'bye');
    await waitUntil('the event', () => book.disconnects.length === 1);
    expect(book.disconnects).toEqual([{ code: 4321, reason: 'bye', groups: ['lobby'], userId: 'ada', mood: 'good' }]);
    expect(book.lines).toEqual([`+${clientId}`, `.${clientId}`, `-${clientId}`]);
    expect(lost('disconnect')).toBe(0);
  });

  it('reports the disconnect of a client that never sent anything', async () => {
    await start();
    const client = await cluster.connect();
    await client.close();
    await waitUntil('the event', () => book.disconnects.length === 1);
    expect(book.lines).toEqual([`+${client.clientId}`, `-${client.clientId}`]);
  });

  it('calls every method that listens', async () => {
    await start({}, [Events, MoreEvents]);
    await cluster.connect();
    await waitUntil('both', () => book.lines.length === 2);
    expect(book.lines).toContain('second');
  });

  it.each([
    ['FORBIDDEN', 1008, 'no'],
    ['UNAUTHORIZED', 1008, 'no'],
    ['OTHER', 1011, 'internal error'],
  ])('closes a client whose handler throws %s with %i, and sends it nothing', async (code, closeCode, reason) => {
    await start();
    book.onConnect = async session => {
      await session.toSend('events/early', 1);
      throw new RpcException({ code, message: 'no' });
    };
    const client = await cluster.connect();
    expect(await client.closed).toEqual({ code: closeCode, reason });
    expect(client.frames).toEqual([]);
    // It has come, and so it goes.
    await waitUntil('the end', () => book.disconnects.length === 1);
  });

  it('asks guards', async () => {
    await start();
    const bot = await cluster.connect({ headers: { 'user-agent': 'bot' } });
    expect((await bot.closed).code).toBe(1008);
    expect(book.refusals).toBe(1);
    await cluster.connect();
    await waitUntil('the other', () => book.connects.length === 1);
  });

  it('closes a client whose handler takes too long', async () => {
    await start({ gate: { overTime: 200 } });
    book.onConnect = () => new Promise(() => undefined);
    const client = await cluster.connect();
    expect((await client.closed).code).toBe(1011);
  });

  it.each([
    ['the message of a GateError', () => new GateError('FORBIDDEN', 'Members only'), 1008, 'Members only'],
    ['no more than a close frame holds', () => new GateError('FORBIDDEN', 'é'.repeat(100)), 1008, 'é'.repeat(61)],
    ['the message of an HttpException', () => new UnauthorizedException('Log in first'), 1008, 'Log in first'],
    ['nothing of an error that nobody meant', () => new Error('password=1'), 1011, 'internal error'],
  ])('tells a refused client %s', async (_what, error, code, reason) => {
    await start();
    book.onConnect = () => {
      throw error();
    };
    expect(await (await cluster.connect()).closed).toEqual({ code, reason });
  });

  it('says hello, and sends what was pushed meanwhile, when the handler has let the client in', async () => {
    await start();
    let letIn: (() => void) | undefined;
    book.onConnect = async session => {
      await session.toSend('events/early', 1);
      await new Promise<void>(resolve => (letIn = resolve));
    };
    const connecting = cluster.connect();
    await waitUntil('the client', () => cluster.gate.app.get(Delegater).getAgentNum() === 1);
    const [agent] = [...cluster.gate.app.get(Delegater).sessions()];
    await waitUntil('the handler to have pushed', () => letIn !== undefined);
    expect(agent).toMatchObject({ isShaked: false, sendNum: 0, pendingPacks: 2 });
    letIn?.();
    const client = await connecting;
    await client.push('events/early');
    expect(client.frames.map(({ topic }) => topic)).toEqual(['$gate/hello', 'events/early']);
    expect(agent).toMatchObject({ isShaked: true, sendNum: 2, pendingPacks: 0 });
  });

  it('refuses clients while all listeners are gone, and says why', async () => {
    await start({ gate: { workerWait: 200 } });
    const first = await cluster.connect();
    await waitUntil('the event', () => book.connects.length === 1);
    await cluster.workers[0]?.app.close();
    const second = await cluster.connect();
    expect(await second.closed).toEqual({ code: 1013, reason: 'no worker for @OnConnect' });
    expect(second.frames).toEqual([]);
    expect(lost('connect')).toBe(1);
    await first.close();
    await waitUntil('the end to be counted', () => lost('disconnect') === 1);
  });

  it('lets a client wait for a worker that comes in time', async () => {
    await start({ gate: { workerWait: 30_000, overTime: 30_000 } });
    await cluster.workers[0]?.app.close();
    const connecting = cluster.connect();
    await waitUntil('the client', () => cluster.gate.app.get(Delegater).getAgentNum() === 1);
    await addWorker();
    await connecting;
    expect(book.connects).toHaveLength(1);
  });

  it('with requireOnConnect refuses a client when no worker comes', async () => {
    await start({ gate: { workerWait: 300, requireOnConnect: true } }, []);
    const refused = await cluster.connect();
    expect(await refused.closed).toEqual({ code: 1013, reason: 'no worker for @OnConnect' });
  });

  it('with requireOnConnect lets a client wait for the first worker ever', async () => {
    await start({ gate: { workerWait: 30_000, overTime: 30_000, requireOnConnect: true } }, []);
    const connecting = cluster.connect();
    await waitUntil('the client', () => cluster.gate.app.get(Delegater).getAgentNum() === 1);
    await addWorker();
    expect((await connecting).pushes('$gate/hello')).toHaveLength(1);
    expect(book.connects).toHaveLength(1);
  });

  it('asks another worker when the one that handles the event is lost, once', async () => {
    await start({ workers: 3, gate: { workerWait: 300 } });
    const begun: string[] = [];
    book.onConnect = async session => {
      begun.push(session.clientId);
      if (begun.length < 3) await new Promise(() => undefined);
    };
    const gate = cluster.gate.app.get(LinkNode);
    const loseBusy = async (): Promise<void> => {
      const isBusy = ({ app }: TestWorker): boolean =>
        app.get(GateTransport).load().running > 0 && gate.peers.has(app.get(LinkNode).info.id);
      const node = cluster.workers.find(isBusy)?.app.get(LinkNode);
      await node?.close({ drain: false });
      await waitUntil('the loss', () => !gate.peers.has(node?.info.id ?? ''));
    };
    const first = cluster.connect();
    await waitUntil('the first worker', () => begun.length === 1);
    await loseBusy();
    await waitUntil('the second worker', () => begun.length === 2);
    await loseBusy();
    expect(await (await first).closed).toEqual({ code: 1013, reason: 'no worker for @OnConnect' });
    await cluster.connect();
    expect(begun).toHaveLength(3);
  });

  it('has empty strings and objects for a client without an HTTP request', async () => {
    await start({ gate: { tcp: { port: 0, codec: 'frame' } } });
    const port = cluster.gate.app.get(Gate).tcpPort as number;
    const client = await BinaryClient.overTcp(port, { codec: 'frame' });
    await waitUntil('the event', () => book.connects.length === 1);
    expect(book.connects).toEqual([{ url: '', path: '', query: {}, headers: {}, cookies: {} }]);
    (client.transport as Socket).destroy();
    await waitUntil('the end', () => book.disconnects.length === 1);
  });

  it('keeps clients from sending such events themselves', async () => {
    await start();
    const client = await cluster.connect();
    expect((await client.exchange('$connect', { url: 'forged' })).error?.code).toBe('BAD_TOPIC');
    expect((await client.exchange('$disconnect')).error?.code).toBe('BAD_TOPIC');
    expect(book.connects).toHaveLength(1);
    expect(book.disconnects).toHaveLength(0);
  });
});
