import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Injectable, UseGuards, type CanActivate, type ExecutionContext, type Type } from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { Gate, GateCounters } from '@nestgate/gate';
import {
  BinaryClient,
  createTestCluster,
  type TestCluster,
  type TestClusterOptions,
  waitUntil,
} from '@nestgate/testing';
import {
  ClientSession,
  type ConnectEvent,
  type DisconnectEvent,
  OnConnect,
  OnDisconnect,
  OnTopic,
  Session,
} from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from './support/links.js';

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

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function start(options: TestClusterOptions = {}, controllers: Type[] = [Events]): Promise<void> {
    book = new Book();
    cluster = await createTestCluster({
      workers: 1,
      handlers: { controllers, providers: [{ provide: Book, useValue: book }] },
      link: await links.forCluster(options.gates ?? 1),
      ...options,
    });
  }

  const lost = (label: string): number => cluster.gate.app.get(GateCounters).get('events_lost', label);

  it('tells of the handshake: url, query, headers and cookies', async () => {
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

  it('tells of the end with its reason, uid, settings and groups as they were, after the last frame', async () => {
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

  it('tells of the end of a client that has never sent anything', async () => {
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
    ['FORBIDDEN', 1008],
    ['UNAUTHORIZED', 1008],
    ['OTHER', 1011],
  ])('closes a client whose handler throws %s with %i', async (code, closeCode) => {
    await start();
    book.onConnect = () => {
      throw new RpcException({ code, message: 'no' });
    };
    const client = await cluster.connect();
    expect((await client.closed).code).toBe(closeCode);
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

  it('goes on without the event when the last listener has gone', async () => {
    await start({ gate: { workerWait: 200 } });
    const first = await cluster.connect();
    await waitUntil('the event', () => book.connects.length === 1);
    await cluster.workers[0]?.app.close();
    const second = await cluster.connect();
    await waitUntil('the wait to be over', () => lost('connect') === 1);
    expect((await second.exchange('$gate/ping')).body).toBeNull();
    await first.close();
    await waitUntil('the end to be counted', () => lost('disconnect') === 1);
    expect(second.closedWith).toBeUndefined();
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
