import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Delegater, GateCounters, type GateOptions, SessionLearner } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { NotedTopics, NotingLearner } from '../support/lifecycle-support.js';

const SHAPES = [
  { name: 'one process', gates: 1, workers: 0 },
  { name: '2 gates and a worker', gates: 2, workers: 1 },
];

describe.each(SHAPES)('clients that come and go in $name', ({ gates, workers }) => {
  let cluster: TestCluster;
  let learner: NotingLearner;

  beforeEach(() => {
    learner = new NotingLearner();
    NotedTopics.seen.length = 0;
  });
  afterEach(() => cluster.close());

  async function start(gate: GateOptions = {}): Promise<void> {
    cluster = await createTestCluster({
      gates,
      workers,
      handlers: { imports: [HandlersModule], controllers: [NotedTopics] },
      gate: { ...gate, providers: [{ provide: SessionLearner, useValue: learner }] },
    });
  }

  async function member(name: string, group: string, gate = 0): Promise<FakeClient> {
    const client = await cluster.connect({ gate: gate % gates });
    await client.request('chat/login', { name });
    await client.request('chat/join', { room: group });
    return client;
  }

  it('leaves no ghost of a client that vanishes', async () => {
    await start();
    const stays = await member('stays', 'room');
    for (let round = 0; round < 3; round++) {
      const ghost = await member('ghost', 'room', round);
      await ghost.request('fan/join', { group: 'only-ghost' });
      const { clientId } = ghost;
      expect(await cluster.api.getAllClientCount()).toBe(2);
      ghost.socket.terminate();
      await waitUntil('the ghost to be gone', async () => !(await cluster.api.isOnline(clientId)), 2_000);

      const { api } = cluster;
      expect(await api.isUidOnline('ghost')).toBe(false);
      expect(await api.getClientIdByUid('ghost')).toEqual([]);
      expect(await api.getAllUidList()).toEqual(['stays']);
      expect(await api.getAllClientIdList()).toEqual([stays.clientId]);
      expect(await api.getClientIdListByGroup('room')).toEqual([stays.clientId]);
      expect(await api.getAllGroupIdList()).toEqual(['room']);
      expect(await api.getAllGroupClientIdCount()).toEqual({ room: 1 });
      expect(await api.getSession(clientId)).toBeNull();
      expect(await api.getUidByClientId(clientId)).toBeNull();
      expect(await api.sendToClient(clientId, 'a/b', 1, { confirm: true })).toBe(false);
      expect(await api.sendToUid('ghost', 'a/b', 1, { confirm: true })).toEqual({ delivered: 0 });
      expect(await api.sendToGroup('room', 'a/b', 1, undefined, { confirm: true })).toEqual({ delivered: 1 });
      expect(cluster.gates.map(gate => gate.app.get(Delegater).getAgentNum()).reduce((a, b) => a + b)).toBe(1);
      await expect(api.bindUid(clientId, 'x')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    }
  });

  it('leaves no ghost of a client that vanishes while its requests are handled', async () => {
    await start({ concurrentTasks: 2 });
    const ghost = await member('ghost', 'room');
    for (let n = 0; n < 2; n++) ghost.send('echo/slow', { ms: 100 });
    for (let n = 0; n < 20; n++) ghost.send('noted/frame', n);
    await cluster.connect();
    ghost.socket.terminate();
    await waitUntil('the ghost to be gone', async () => (await cluster.api.getAllClientCount()) === 1, 2_000);
    expect(await cluster.api.getAllGroupIdList()).toEqual([]);
    expect(learner.departed.map(departure => departure.clientId)).toEqual([ghost.clientId]);
  });

  it('tells the learner of a client: on connect who it is, on disconnect what it was', async () => {
    await start();
    const client = await member('ada', 'tea');
    await client.request('fan/join', { group: 'cake' });
    await client.request('session/set', { key: 'mood', value: ['calm'] });
    expect(learner.arrived.length).toBe(1);
    expect(learner.arrived[0]).toMatchObject({
      clientId: client.clientId,
      ip: '127.0.0.1',
      network: 'ws',
      isGuest: true,
    });
    client.socket.close(3_456, 'enough');
    const departure = await waitUntil('the departure', () => learner.departureOf(client.clientId));
    expect(departure).toMatchObject({ userId: 'ada', settings: { mood: ['calm'] } });
    expect(departure.reason).toMatchObject({ code: 3_456, reason: 'enough' });
    expect([...departure.reason.groups].sort()).toEqual(['cake', 'tea']);
  });

  it('tells the learner once, with the code, however a client ends', async () => {
    await start();
    const ends: [number, (client: FakeClient) => unknown][] = [
      [1000, client => client.socket.close(1000)],
      [1005, client => client.socket.close()],
      [1006, client => client.socket.terminate()],
      [4002, client => cluster.api.closeClient(client.clientId)],
      [4002, client => cluster.api.destroyClient(client.clientId)],
      [1003, client => client.sendRaw(Buffer.from('binary'))],
    ];
    for (const [code, end] of ends) {
      const client = await cluster.connect({ gate: gates - 1 });
      end(client);
      const departure = await waitUntil(`the end with ${code}`, () => learner.departureOf(client.clientId));
      expect(departure.reason.code).toBe(code);
      await client.closed;
    }
    await waitUntil('all to be gone', async () => (await cluster.api.getAllClientCount()) === 0);
    expect(learner.departed.length).toBe(ends.length);
  });

  it('tells the learner the code with which a violation of the protocol was answered', async () => {
    await start();
    const client = await cluster.connect();
    client.sendRaw('x'.repeat(70_000));
    expect((await client.closed).code).toBe(1009);
    const departure = await waitUntil('the departure', () => learner.departureOf(client.clientId));
    expect(departure.reason.code).toBe(1009);
    expect(cluster.gate.app.get(GateCounters).get('connections_closed', 1009)).toBe(1);
  });

  it('handles no frame before onConnect is done, not even one that came with the upgrade', async () => {
    await start();
    let welcome: () => void = () => undefined;
    const blocked = new Promise<void>(resolve => (welcome = resolve));
    learner.greet = session => (learner.arrived.length === 1 ? blocked : session.toSet('greeted', true));
    const early = connect(cluster.gate.port, '127.0.0.1');
    const received: Buffer[] = [];
    early.on('data', (data: Buffer) => received.push(data));
    const texts = ['{"topic":"noted/frame","body":1}', '{"topic":"noted/frame","body":2,"id":1}'];
    early.write(Buffer.concat([UPGRADE, ...texts.map(maskedText)]));
    await waitUntil('the client to arrive', () => learner.arrived.length === 1);
    early.write(maskedText('{"topic":"noted/frame","body":3,"id":2}'));

    const other = await cluster.connect();
    for (let n = 0; n < 5; n++) expect(await other.request('noted/frame', 'other')).toBe('other');
    expect(await other.request('session/get')).toMatchObject({ settings: { greeted: true } });
    expect(NotedTopics.seen).toEqual(Array.from({ length: 5 }, () => 'other'));
    welcome();
    await waitUntil('the answers', () => Buffer.concat(received).includes('{"id":2,"body":3}'));
    expect(NotedTopics.seen.slice(5)).toEqual([1, 2, 3]);
    early.destroy();
  });

  it('lets the first frame see what onConnect has written', async () => {
    await start();
    learner.greet = async session => {
      await session.toBind('bound');
      await session.toSetBatch({ a: 1, b: 'two' });
      await session.toSend('hello/there', session.userId);
    };
    const client = await cluster.connect();
    expect(await client.request('session/get')).toEqual({
      clientId: client.clientId,
      userId: 'bound',
      settings: { a: 1, b: 'two' },
    });
    expect(client.frames.map(frame => frame.topic ?? frame.id)).toEqual(['$gate/hello', 'hello/there', 1]);
  });

  it('closes only the client whose onConnect throws, rejects or takes too long, with 1011', async () => {
    await start({ overTime: 200 });
    const before = await cluster.connect();
    const bad = [
      () => {
        throw new Error('thrown');
      },
      () => Promise.reject(new Error('rejected')),
      () => new Promise<void>(() => undefined),
    ];
    for (const greet of bad) {
      learner.greet = greet;
      const refused = await cluster.connect();
      refused.send('noted/frame', 'never');
      expect((await refused.closed).code).toBe(1011);
    }
    learner.greet = () => undefined;
    const after = await cluster.connect();
    for (const client of [before, after]) expect(await client.request('echo/echo', 'here')).toBe('here');
    expect(await cluster.api.getAllClientCount()).toBe(2);
    expect(NotedTopics.seen).toEqual([]);
  });

  it('survives an onDisconnect that fails', async () => {
    await start();
    const stays = await cluster.connect();
    for (const bye of [() => Promise.reject(new Error('x')), () => JSON.parse('{') as undefined]) {
      learner.bye = bye;
      const client = await member('ada', 'room');
      await client.close();
      await waitUntil('it to be gone', async () => (await cluster.api.getAllClientCount()) === 1);
      expect(await cluster.api.getAllGroupIdList()).toEqual([]);
    }
    expect(await stays.request('echo/echo', 'here')).toBe('here');
    learner.bye = () => undefined;
  });
});

const UPGRADE = Buffer.from(
  'GET /gate HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
);

/** A client's text frame (under 126 bytes), masked with zeros. */
function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
