import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';

const SHAPES = [
  { name: 'one process', workers: 0 },
  { name: 'a gate and a worker', workers: 1 },
];

describe.each(SHAPES)('the example topics in $name', ({ workers }) => {
  let cluster: TestCluster;
  let ada: FakeClient;
  let bob: FakeClient;

  beforeEach(async () => {
    cluster = await createTestCluster({ workers, handlers: { imports: [HandlersModule] } });
    ada = await cluster.connect();
    bob = await cluster.connect();
  });
  afterEach(() => cluster.close());

  /** Resolves when all that was sent to the client before has arrived. */
  const settled = (client: FakeClient) => client.request('echo/echo');

  it('echo/echo: a reply with an id, one push without', async () => {
    expect(await ada.request('echo/echo', { a: [1] })).toEqual({ a: [1] });
    expect(ada.pushes('echo/echo')).toEqual([]);
    ada.send('echo/echo', { a: [2] });
    await settled(ada);
    expect(ada.pushes('echo/echo')).toEqual([{ topic: 'echo/echo', body: { a: [2] } }]);
    await settled(bob);
    expect(bob.pushes('echo/echo')).toEqual([]);
  });

  it('echo/slow: as echo, after a while', async () => {
    const before = Date.now();
    expect(await ada.request('echo/slow', { ms: 60 })).toEqual({ ms: 60 });
    expect(Date.now() - before).toBeGreaterThanOrEqual(55);
    ada.send('echo/slow', { ms: 10 });
    await settled(ada);
    expect(ada.pushes('echo/slow')).toEqual([{ topic: 'echo/slow', body: { ms: 10 } }]);
    expect((await ada.exchange('echo/slow', { ms: -1 })).error?.code).toBe('BAD_REQUEST');
  });

  it('echo/fail: with the code, or masked', async () => {
    expect((await ada.exchange('echo/fail', { code: 'OUT_OF_TEA' })).error?.code).toBe('OUT_OF_TEA');
    expect((await ada.exchange('echo/fail', {})).error?.code).toBe('INTERNAL');
  });

  it('chat/*: login, join, say, whisper, rooms, who, leave', async () => {
    expect(await ada.request('chat/login', { name: 'ada' })).toEqual({ uid: 'ada' });
    expect(await bob.request('chat/login', { name: 'bob' })).toEqual({ uid: 'bob' });
    expect(await ada.request('chat/join', { room: 'tea' })).toEqual({ room: 'tea', members: 1 });
    expect(ada.pushes('chat/joined')).toEqual([{ topic: 'chat/joined', body: { room: 'tea', name: 'ada' } }]);
    expect(await bob.request('chat/join', { room: 'tea' })).toEqual({ room: 'tea', members: 2 });

    expect(await bob.request('chat/say', { room: 'tea', text: 'hi <b>' })).toEqual({ delivered: 2 });
    for (const client of [ada, bob]) {
      expect(await client.push('chat/said')).toEqual({
        topic: 'chat/said',
        body: { room: 'tea', from: 'bob', text: 'hi <b>', at: expect.any(Number) },
      });
    }
    expect(await ada.request('chat/whisper', { to: 'bob', text: 'psst' })).toEqual({ delivered: 1 });
    expect(await bob.push('chat/whispered')).toEqual({
      topic: 'chat/whispered',
      body: { from: 'ada', text: 'psst' },
    });
    expect(await ada.request('chat/rooms')).toEqual({ rooms: { tea: 2 } });
    const { uids } = await ada.request<{ uids: string[] }>('chat/who', { room: 'tea' });
    expect(uids.sort()).toEqual(['ada', 'bob']);
    expect(await bob.request('chat/leave', { room: 'tea' })).toEqual({ ok: true });
    expect(await bob.request('chat/leave', { room: 'tea' })).toEqual({ ok: true });
    expect(await ada.request('chat/who', { room: 'tea' })).toEqual({ uids: ['ada'] });
    expect(await ada.request('chat/who', { room: 'nobody' })).toEqual({ uids: [] });
  });

  it('chat/join counts clients, not uids', async () => {
    await ada.request('chat/login', { name: 'same' });
    await bob.request('chat/login', { name: 'same' });
    await ada.request('chat/join', { room: 'r' });
    expect(await bob.request('chat/join', { room: 'r' })).toEqual({ room: 'r', members: 2 });
    expect(await bob.request('chat/join', { room: 'r' })).toEqual({ room: 'r', members: 2 });
    expect(await ada.request('chat/who', { room: 'r' })).toEqual({ uids: ['same'] });
    expect(await ada.request('chat/whisper', { to: 'same', text: 'all' })).toEqual({ delivered: 2 });
  });

  it('session/get and session/set', async () => {
    const { clientId } = ada;
    expect(await ada.request('session/get')).toEqual({ clientId, userId: '', settings: {} });
    await ada.request('chat/login', { name: 'ada' });
    const values = { text: 'x', zero: 0, none: null, no: false, list: [1, { a: 2 }] };
    const seen: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(values)) {
      seen[key] = value;
      expect(await ada.request('session/set', { key, value })).toEqual({ clientId, userId: 'ada', settings: seen });
    }
    await ada.request('session/set', { key: 'text', value: 'y' });
    expect(await ada.request('session/get')).toEqual({ clientId, userId: 'ada', settings: { ...values, text: 'y' } });
    expect(await cluster.api.getSession(clientId)).toEqual({ ...values, text: 'y' });
    expect(await bob.request('session/get')).toEqual({ clientId: bob.clientId, userId: '', settings: {} });
  });

  it('session/set refuses what is too large, and keeps what there was', async () => {
    await ada.request('session/set', { key: 'a', value: 1 });
    const error = (await ada.exchange('session/set', { key: 'b', value: 'x'.repeat(17_000) })).error;
    expect(error?.code).toBe('BAD_REQUEST');
    for (const key of ['', 'x'.repeat(129), 5, null]) {
      expect((await ada.exchange('session/set', { key, value: 1 })).error?.code).toBe('BAD_REQUEST');
    }
    expect(await ada.request('session/get')).toMatchObject({ settings: { a: 1 } });
  });

  it('fan/join and fan/out, with and without an id', async () => {
    const group = 'g';
    expect(await ada.request('fan/join', { group })).toEqual({ ok: true });
    expect(await ada.request('fan/join', { group })).toEqual({ ok: true });
    expect(await bob.request('fan/join', { group })).toEqual({ ok: true });
    const outsider = await cluster.connect();
    expect(await outsider.request('fan/out', { group, data: { n: 1 } })).toEqual({ delivered: 2 });
    outsider.send('fan/out', { group, data: [2] });
    outsider.send('fan/out', { group });
    expect(await outsider.request('fan/out', { group: 'empty', data: 0 })).toEqual({ delivered: 0 });
    for (const client of [ada, bob]) {
      await waitUntil('three messages', () => client.pushes('fan/msg').length === 3);
      expect(client.pushes('fan/msg').map(push => push.body)).toEqual([{ n: 1 }, [2], null]);
    }
    await settled(outsider);
    expect(outsider.frames.filter(frame => frame.topic?.startsWith('fan/'))).toEqual([]);
  });
});
