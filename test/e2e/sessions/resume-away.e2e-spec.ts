import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  type DetachReason,
  type DisconnectReason,
  Gate,
  type GateOptions,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  type ResumeInfo,
  SessionLearner,
} from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import {
  ClientSession,
  type ConnectEvent,
  type DetachEvent,
  type DisconnectEvent,
  OnConnect,
  OnDetach,
  OnDisconnect,
  OnPresence,
  OnResume,
  OnTopic,
  type PresenceEvent,
  type ResumeEvent,
  type Session,
} from '@nestgate/worker';
import { ResumeClient } from '../support/resume-client.js';

/** What the hooks were called with. */
class Book {
  readonly lines: string[] = [];
  readonly presence: string[] = [];
}

/** Believes what the client says. */
class TrustingHandshake extends HandshakeHandler {
  override handshake({ headers }: HandshakeRequest): HandshakeResult {
    const userId = headers['x-user'];
    const expires = headers['x-expires-in'];
    return {
      ...(typeof userId === 'string' && { userId }),
      ...(typeof expires === 'string' && { authExpiresAt: Date.now() + Number(expires) }),
    };
  }
}

class BookLearner extends SessionLearner {
  constructor(private readonly book: Book) {
    super();
  }
  override onConnect(): void {
    this.book.lines.push('learner connect');
  }
  override onDisconnect(_session: Session, { code, reason, groups }: DisconnectReason): void {
    this.book.lines.push(`learner disconnect ${code} ${reason} ${groups.join()}`.trim());
  }
  override onDetach(session: Session, { code }: DetachReason): void {
    this.book.lines.push(`learner detach ${code} ${session.userId}`.trim());
  }
  override onResume(_session: Session, { lost }: ResumeInfo): void {
    this.book.lines.push(`learner resume ${lost}`);
  }
}

@Controller()
class BookTopics {
  constructor(private readonly book: Book) {}

  @OnConnect()
  connect(@Payload() _event: ConnectEvent): void {
    this.book.lines.push('worker connect');
  }
  @OnDisconnect()
  disconnect(@Payload() { code, reason }: DisconnectEvent): void {
    this.book.lines.push(`worker disconnect ${code} ${reason}`.trim());
  }
  @OnDetach()
  detach(@Payload() { code }: DetachEvent): void {
    this.book.lines.push(`worker detach ${code}`);
  }
  @OnResume()
  resume(@Payload() { lost, awayMs }: ResumeEvent): void {
    this.book.lines.push(`worker resume ${lost} ${awayMs >= 0}`);
  }
  @OnPresence()
  presence(@Payload() event: PresenceEvent): void {
    this.book.presence.push([event.type, 'group' in event ? event.group : event.userId].join(' '));
  }
  @OnTopic('away/where')
  where(@ClientSession() session: Session): string {
    return session.ip;
  }
  @OnTopic('away/slow')
  async slow(@Payload() ms: number): Promise<string> {
    await new Promise(resolve => setTimeout(resolve, ms));
    return 'done';
  }
}

describe('sessions without a connection', () => {
  let cluster: TestCluster;
  let book: Book;
  const clients: ResumeClient[] = [];

  async function start(gate: GateOptions = {}): Promise<void> {
    book = new Book();
    const ofBook = { provide: Book, useValue: book };
    cluster = await createTestCluster({
      handlers: { controllers: [BookTopics], providers: [ofBook] },
      gate: {
        resume: {},
        ...gate,
        providers: [
          ofBook,
          { provide: HandshakeHandler, useClass: TrustingHandshake },
          { provide: SessionLearner, useFactory: () => new BookLearner(book) },
        ],
      },
    });
  }
  const open = async (user?: string, headers: Record<string, string> = {}) => {
    const client = await ResumeClient.open(cluster.gate.url, {}, { ...(user && { 'x-user': user }), ...headers });
    clients.push(client);
    return client;
  };
  const away = async (client: ResumeClient) => {
    client.cut();
    const { clientId } = client;
    await waitUntil('the client to be away', async () => (await cluster.api.getClientState(clientId)) === 'away');
  };
  const gone = ({ clientId }: ResumeClient) =>
    waitUntil('the client to be gone', async () => (await cluster.api.getClientState(clientId)) === 'gone');
  const refusalOf = async (client: ResumeClient): Promise<unknown> => {
    await client.resume();
    return client.ownOf('refused')[0];
  };

  afterEach(async () => {
    for (const client of clients.splice(0)) client.cut();
    await cluster.close();
  });

  it('stay in uids, groups and counts, take what is sent, and run each hook once', async () => {
    await start();
    const client = await open('ada');
    const { clientId } = client;
    await cluster.api.joinGroup(clientId, 'room');
    await away(client);
    expect(await cluster.api.isUidOnline('ada')).toBe(true);
    expect(await cluster.api.getClientCountByGroup('room')).toBe(1);
    expect(await cluster.api.getAllClientCount()).toBe(1);
    await cluster.api.sendToUid('ada', 'p/p', 'uid');
    await cluster.api.sendToGroup('room', 'p/p', 'group');
    await cluster.api.sendToAll('p/p', 'all');
    await cluster.api.joinGroup(clientId, 'other');
    await cluster.api.setSession(clientId, { a: 1 });
    await client.resume();
    await waitUntil('the pushes', () => client.pushed('p/p').length === 3);
    expect(client.pushed('p/p')).toEqual(['uid', 'group', 'all']);
    expect(await cluster.api.getSession(clientId)).toEqual({ a: 1 });
    await waitUntil('the hooks', () => book.lines.length === 6);
    client.sendOwn({ topic: '$gate/bye' });
    await gone(client);
    await waitUntil('the hooks', () => book.lines.length === 8);
    expect(book.lines.filter(line => line.startsWith('learner'))).toEqual([
      'learner connect',
      'learner detach 1006 ada',
      'learner resume 0',
      'learner disconnect 1000 bye room,other',
    ]);
    expect(book.lines.filter(line => line.startsWith('worker'))).toEqual([
      'worker connect',
      'worker detach 1006',
      'worker resume 0 true',
      'worker disconnect 1000 bye',
    ]);
  });

  it('get the replies of requests that end meanwhile', async () => {
    await start();
    const client = await open();
    const id = client.ask('away/slow', 200);
    await waitUntil(
      'the request to run',
      () => cluster.gate.app.get(Gate).delegater.getAgent(client.clientId).unansweredCount,
    );
    await away(client);
    await waitUntil('its end', () => !cluster.gate.app.get(Gate).delegater.getAgent(client.clientId).unansweredCount);
    await client.resume();
    expect((await client.answer(id)).body).toBe('done');
  });

  it('end after keepMs, those of guests after keepGuestMs', async () => {
    await start({ resume: { keepMs: 600, keepGuestMs: 100 } });
    const [guest, ada] = [await open(), await open('ada')];
    expect([guest, ada].map(client => client.greeting?.session?.keepMs)).toEqual([100, 600]);
    await away(ada);
    await away(guest);
    await gone(guest);
    expect(await cluster.api.getClientState(ada.clientId)).toBe('away');
    await gone(ada);
    await waitUntil('the hooks', () => book.lines.filter(line => line.includes('disconnect')).length === 4);
    expect(book.lines.filter(line => line.startsWith('learner disconnect'))).toEqual([
      'learner disconnect 1006 expired',
      'learner disconnect 1006 expired',
    ]);
    expect(await refusalOf(ada)).toEqual({ code: 'RESUME_EXPIRED', message: expect.any(String) });
    expect(ada.own.at(-1)?.topic).toBe('$gate/hello');
    expect(cluster.gate.app.get(Gate).counters.get('sessions_expired', 'expired')).toBe(2);
  });

  it.each([
    ['closed by the application', 4002, (id: string) => cluster.api.closeClient(id)],
    ['destroyed', 4002, (id: string) => cluster.api.destroyClient(id)],
    ['revoked', 1008, () => cluster.api.revoke('ada')],
  ] as const)('end when they are %s, and the client is told', async (_how, closeCode, end) => {
    await start();
    const client = await open('ada');
    await away(client);
    await end(client.clientId);
    await gone(client);
    expect(await refusalOf(client)).toEqual({ code: 'RESUME_CLOSED', message: expect.any(String), closeCode });
  });

  it('end when a newer login replaces them', async () => {
    await start({ login: 'replace' });
    const client = await open('ada');
    await away(client);
    const newer = await open('ada');
    await gone(client);
    expect(await refusalOf(client)).toMatchObject({ code: 'RESUME_CLOSED', closeCode: 4001 });
    expect(newer.closedWith?.code).toBe(4001);
  });

  it('give way at once to a login that would be refused while they are connected', async () => {
    await start({ login: 'refuse' });
    const client = await open('ada');
    await away(client);
    const begun = performance.now();
    await open('ada');
    // Nobody is pinged, which would take 2 s.
    expect(performance.now() - begun).toBeLessThan(1_500);
    expect(await cluster.api.getClientState(client.clientId)).toBe('gone');
  });

  it('end when their credentials expire, unless a resume brings newer ones', async () => {
    await start();
    const [client, renewed] = [
      await open('ada', { 'x-expires-in': '700' }),
      await open('bob', { 'x-expires-in': '700' }),
    ];
    await away(client);
    await away(renewed);
    renewed.headers['x-expires-in'] = '600000';
    await renewed.resume();
    await gone(client);
    expect(await refusalOf(client)).toMatchObject({ code: 'RESUME_CLOSED', closeCode: 1008 });
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(await cluster.api.getClientState(renewed.clientId)).toBe('online');
  });

  it('are not given to a connection of another user, or of none', async () => {
    await start();
    const client = await open('ada');
    await away(client);
    for (const headers of [{ 'x-user': 'eve' }, {}]) {
      const thief = new ResumeClient(cluster.gate.url);
      Object.assign(thief, { clientId: client.clientId, ticket: client.ticket, headers });
      clients.push(thief);
      expect(await refusalOf(thief)).toMatchObject({ code: 'RESUME_DENIED' });
      expect(thief.clientId).not.toBe(client.clientId);
    }
    await client.resume();
    expect(client.ownOf('refused')).toEqual([]);
  });

  it('let the one go that has been away longest when there are too many', async () => {
    await start({ resume: { maxDetached: 2 } });
    const [first, second, third] = [await open(), await open(), await open()];
    for (const client of [first, second]) await away(client);
    third.cut();
    await gone(first);
    expect(await cluster.api.getClientState(second.clientId)).toBe('away');
    expect(await refusalOf(first)).toMatchObject({ code: 'RESUME_EXPIRED' });
  });

  it('are limited for each address: clients that open and vanish', async () => {
    await start({ resume: { maxDetachedPerAddress: 5 }, maxConnectionRate: 0 });
    for (let i = 0; i < 20; i++) (await open()).cut();
    const { counters } = cluster.gate.app.get(Gate);
    await waitUntil('the limit', () => counters.get('sessions_expired', 'address') === 15);
    expect(await cluster.api.getAllClientCount()).toBe(5);
  });

  it('lose their messages when all together hold too much: the client is told', async () => {
    await start({ resume: { bytes: 100_000, totalBytes: 150_000 } });
    const [first, second] = [await open(), await open()];
    await away(first);
    await away(second);
    for (const client of [first, second]) {
      for (let i = 0; i < 8; i++) await cluster.api.sendToClient(client.clientId, 'p/p', 'x'.repeat(10_000));
    }
    await first.resume();
    await second.resume();
    await waitUntil('the pushes', () => second.pushed('p/p').length === 8);
    await waitUntil('the gap', () => first.seen === 8);
    expect(first.gaps[0]).toMatchObject({ from: 1, why: 'budget' });
    expect(first.gaps.reduce((sum, { n }) => sum + n, 0) + first.pushed('p/p').length).toBe(8);
    expect(second.gaps).toEqual([]);
  });

  it.each([
    ['hold', []],
    ['drop', ['leave room', 'offline ada', 'join room', 'online ada']],
  ] as const)('look as resume.presence says: %s', async (presence, told) => {
    await start({ resume: { presence } });
    const client = await open('ada');
    await cluster.api.joinGroup(client.clientId, 'room');
    await waitUntil('the watch to begin', () => book.presence.length >= 2);
    book.presence.length = 0;
    await away(client);
    await client.resume();
    // What follows is told behind it.
    await cluster.api.joinGroup(client.clientId, 'end');
    await waitUntil('the end', () => book.presence.includes('join end'));
    expect(book.presence).toEqual([...told, 'join end']);
  });

  it('are ended when the gate stops, and their hooks run', async () => {
    await start();
    const [here, lost] = [await open('ada'), await open('bob')];
    await away(lost);
    await cluster.close();
    expect(here.closedWith?.code).toBe(1012);
    expect(book.lines.filter(line => line.startsWith('learner disconnect'))).toEqual([
      'learner disconnect 1012 gate restarting',
      'learner disconnect 1012 gate restarting',
    ]);
  });
});
