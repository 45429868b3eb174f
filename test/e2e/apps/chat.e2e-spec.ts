import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { TcpLink } from '@nestgate/link';
import { NatsLink } from '@nestgate/link/nats';
import { createTestCluster, freePort, NatsProcess, type TestCluster } from '@nestgate/testing';

/** The chat must be the same however many processes it is divided into. */
const SHAPES = [
  { name: 'one process', gates: 1, workers: 0 },
  { name: '2 gates and 2 workers', gates: 2, workers: 2 },
  { name: '2 gates and 2 workers over tcp', gates: 2, workers: 2, over: 'tcp' },
  { name: '2 gates and 2 workers over nats', gates: 2, workers: 2, over: 'nats' },
];

/** A link for each node: gates listen, and workers dial all of them. */
async function tcpLinks(gates: number) {
  const ports = await Promise.all(Array.from({ length: gates }, freePort));
  const url = (port: number | undefined) => `127.0.0.1:${port}`;
  const secret = 'shared';
  return (role: 'gate' | 'worker', index: number) =>
    new TcpLink({ url: `tcp://${role === 'gate' ? url(ports[index]) : ports.map(url).join(',')}`, secret });
}

describe.each(SHAPES)('the chat in $name', ({ gates, workers, over }) => {
  let cluster: TestCluster;
  let nats: NatsProcess | undefined;

  beforeAll(async () => {
    if (over === 'nats') nats = await NatsProcess.start();
  });
  afterAll(() => nats?.end());
  afterEach(() => cluster.close());

  async function start(): Promise<void> {
    cluster = await createTestCluster({
      gates,
      workers,
      handlers: { imports: [HandlersModule] },
      link: nats ? () => new NatsLink({ url: (nats as NatsProcess).url }) : over ? await tcpLinks(gates) : undefined,
    });
  }

  async function join(name: string, room: string, gate = 0) {
    const client = await cluster.connect({ gate: gate % gates });
    expect(await client.request('chat/login', { name })).toEqual({ uid: name });
    await client.request('chat/join', { room });
    return client;
  }

  it('tells all members who joins, says and leaves', async () => {
    await start();
    const ada = await join('ada', 'lobby');
    const bob = await cluster.connect({ gate: gates - 1 });
    await bob.request('chat/login', { name: 'bob' });
    expect(await bob.request('chat/join', { room: 'lobby' })).toEqual({ room: 'lobby', members: 2 });
    await ada.push('chat/joined', (body: { name: string }) => body.name === 'bob');
    await bob.push('chat/joined', (body: { name: string }) => body.name === 'bob');

    const before = Date.now();
    expect(await ada.request('chat/say', { room: 'lobby', text: 'hello' })).toEqual({ delivered: 2 });
    for (const client of [ada, bob]) {
      const { body } = await client.push('chat/said');
      expect(body).toEqual({ room: 'lobby', from: 'ada', text: 'hello', at: expect.any(Number) });
      expect((body as { at: number }).at).toBeGreaterThanOrEqual(before);
    }

    expect(await bob.request('chat/rooms')).toEqual({ rooms: { lobby: 2 } });
    expect(new Set((await bob.request<{ uids: string[] }>('chat/who', { room: 'lobby' })).uids)).toEqual(
      new Set(['ada', 'bob']),
    );
    expect(await bob.request('chat/leave', { room: 'lobby' })).toEqual({ ok: true });
    expect(await ada.request('chat/say', { room: 'lobby', text: 'alone' })).toEqual({ delivered: 1 });
    expect(await ada.request('chat/who', { room: 'lobby' })).toEqual({ uids: ['ada'] });
  });

  it('whispers to every client of a uid, and to nobody else', async () => {
    await start();
    const ada = await join('ada', 'lobby');
    const bob1 = await join('bob', 'lobby', 0);
    const bob2 = await join('bob', 'lobby', 1);
    expect(await ada.request('chat/whisper', { to: 'bob', text: 'psst' })).toEqual({ delivered: 2 });
    for (const bob of [bob1, bob2])
      expect((await bob.push('chat/whispered')).body).toEqual({ from: 'ada', text: 'psst' });
    expect(ada.pushes('chat/whispered')).toEqual([]);
    expect(await ada.request('chat/whisper', { to: 'nobody', text: 'psst' })).toEqual({ delivered: 0 });
  });

  it('forgets a client that vanishes', async () => {
    await start();
    const ada = await join('ada', 'lobby');
    const bob = await join('bob', 'lobby', 1);
    bob.socket.terminate();
    for (;;) {
      const { rooms } = await ada.request<{ rooms: Record<string, number> }>('chat/rooms');
      if (rooms['lobby'] === 1) break;
    }
    expect(await ada.request('chat/who', { room: 'lobby' })).toEqual({ uids: ['ada'] });
    expect(await ada.request('chat/whisper', { to: 'bob', text: 'gone?' })).toEqual({ delivered: 0 });
    expect(await cluster.api.isUidOnline('bob')).toBe(false);
    expect(await cluster.api.getAllClientCount()).toBe(1);
  });

  it('lets frames that were sent at once see what those before them have written', async () => {
    await start();
    const client = await cluster.connect();
    client.send('chat/login', { name: 'ada' });
    client.send('session/set', { key: 'mood', value: { calm: true } });
    const id = client.ask('session/get');
    expect((await client.answer(id)).body).toEqual({
      clientId: client.clientId,
      userId: 'ada',
      settings: { mood: { calm: true } },
    });
  });

  it('takes uids, rooms and keys of any text', async () => {
    await start();
    const odd = [
      '*',
      '>',
      'a..b',
      '$SYS',
      '_INBOX',
      '{x}:y',
      'two words',
      '🦊🦊',
      '__proto__',
      'constructor',
      'é'.repeat(64),
    ];
    const client = await cluster.connect();
    for (const name of odd) {
      expect(await client.request('chat/login', { name })).toEqual({ uid: name });
      expect(await client.request('chat/join', { room: name })).toEqual({ room: name, members: 1 });
      expect(await client.request('chat/who', { room: name })).toEqual({ uids: [name] });
      const { settings } = await client.request<{ settings: Record<string, unknown> }>('session/set', {
        key: name,
        value: 1,
      });
      expect(Object.entries(settings)).toContainEqual([name, 1]);
      expect(await client.request('chat/whisper', { to: name, text: 'me' })).toEqual({ delivered: 1 });
    }
    const { rooms } = await client.request<{ rooms: Record<string, number> }>('chat/rooms');
    expect(Object.keys(rooms).sort()).toEqual([...odd].sort());
    for (const name of ['', 'x'.repeat(129), 'é'.repeat(65), 'a\nb', '\u0000', '\ud800', 5, null, {}, []]) {
      expect((await client.exchange('chat/login', { name })).error?.code).toBe('BAD_REQUEST');
      expect((await client.exchange('chat/join', { room: name })).error?.code).toBe('BAD_REQUEST');
    }
  });
});
