import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FakeClient } from '@nestgate/testing';
import type { JsonValue, Session } from '@nestgate/worker';
import { outcomes, Stage } from '../support/gate-support.js';

/** Where a session may come from: how many workers there are, and how to get at it. */
const SOURCES: readonly [
  where: string,
  workers: number,
  get: (stage: Stage, client: FakeClient) => Promise<Session>,
][] = [
  ['of a hook of the gate', 0, (stage, client) => stage.delegater.load(client.clientId)],
  ['of a handler in the gate app', 0, (stage, client) => stage.sessionInHandler(client)],
  ['of a handler on a worker', 1, (stage, client) => stage.sessionInHandler(client)],
];

describe.each(SOURCES)('Session, %s', (_where, workers, get) => {
  let stage: Stage;
  let client: FakeClient;
  let session: Session;

  beforeAll(async () => {
    stage = await Stage.open(workers, { nodeId: 'gate-1' });
  });
  afterAll(() => stage.close());

  async function fresh(): Promise<void> {
    client = await stage.cluster.connect();
    session = await get(stage, client);
  }

  /** What the gate itself knows. */
  const truth = async (): Promise<Session> => stage.delegater.load(client.clientId);

  it('has ip, network, sessionId, serverId, userId, userIdUint, isGuest and traceSpan', async () => {
    await fresh();
    expect(session).toMatchObject({ ip: '127.0.0.1', network: 'ws', serverId: 'gate-1', userId: '', isGuest: true });
    expect(session.sessionId).toBe(client.clientId);
    expect(session.userIdUint).toBe(0n);
    await session.toBind('18446744073709551615');
    expect(session).toMatchObject({ userId: '18446744073709551615', isGuest: false });
    expect(session.userIdUint).toBe(18_446_744_073_709_551_615n);
    await session.toBind('ada');
    expect(session.userIdUint).toBe(0n);
    expect(session.traceSpan).toEqual((await truth()).traceSpan);
  });

  it('get, set, del, setSettings, importSettings, settings() and cloneSettings stay in the copy', async () => {
    await fresh();
    await session.toSet('kept', 1);
    session.set('a', 'x');
    session.set('list', [1, { b: null }]);
    session.del('kept');
    session.importSettings({ a: 'theirs', c: true });
    expect(session.get('a')).toBe('x');
    expect(session.get<JsonValue[]>('list')).toEqual([1, { b: null }]);
    expect([...session.settings()]).toEqual([
      ['a', 'x'],
      ['list', [1, { b: null }]],
      ['c', true],
    ]);
    session.setSettings({ only: 1 });
    expect(session.cloneSettings()).toEqual({ only: 1 });
    expect((await truth()).cloneSettings()).toEqual({ kept: 1 });
  });

  it('what a caller does to a value that it got changes no session', async () => {
    await fresh();
    await session.toSet('cart', ['tea']);
    session.get<string[]>('cart')?.push('stolen');
    (session.cloneSettings()['cart'] as string[]).push('stolen');
    for (const [, value] of session.settings()) (value as string[]).push('stolen');
    for (const each of [session, session.clone(), await get(stage, client), await truth()]) {
      expect(each.get('cart')).toEqual(['tea']);
    }
  });

  it('clone is a copy of its own that works', async () => {
    await fresh();
    session.set('a', 1);
    const clone = session.clone();
    clone.set('b', 2);
    expect(session.cloneSettings()).toEqual({ a: 1 });
    await clone.toPush();
    expect((await truth()).cloneSettings()).toEqual({ a: 1, b: 2 });
    expect(clone.sessionId).toBe(session.sessionId);
  });

  it('toUpdate fetches what others have changed', async () => {
    await fresh();
    await stage.delegater.set(client.clientId, 'theirs', 1);
    await stage.delegater.bind(client.clientId, 'u1');
    session.set('mine', 1);
    await session.toUpdate();
    expect([session.userId, session.cloneSettings()]).toEqual(['u1', { theirs: 1 }]);
  });

  it('toBind and toUnbind move the client in the index of uids', async () => {
    await fresh();
    await session.toBind('bob');
    expect(await stage.cluster.api.getClientIdByUid('bob')).toEqual([client.clientId]);
    await session.toUnbind();
    expect(session.isGuest).toBe(true);
    expect(await stage.cluster.api.getClientIdByUid('bob')).toEqual([]);
  });

  it('toSet, toSetBatch, toPush and toDel change the gate, and the copy with it', async () => {
    await fresh();
    await session.toSet('a', 1);
    await session.toSetBatch({ b: 2, c: { deep: [3] } });
    await session.toDel('a');
    session.set('d', 4);
    await session.toPush();
    expect(session.cloneSettings()).toEqual({ b: 2, c: { deep: [3] }, d: 4 });
    expect((await truth()).toJSON()).toEqual(session.toJSON());
  });

  it('toSend reaches the client, and toConnected knows it', async () => {
    await fresh();
    await session.toSend('a/json', { n: 1 });
    await session.toSend('a/bytes', Buffer.from('hi'));
    await session.toSend('a/none');
    expect((await client.push('a/none')).body).toBeNull();
    expect((await client.push('a/json')).body).toEqual({ n: 1 });
    expect(await client.push('a/bytes')).toMatchObject({ body: 'aGk=', encoding: 'base64' });
    expect(await session.toConnected()).toBe(true);
  });

  it('toClose sends what is queued, then closes', async () => {
    await fresh();
    void session.toSend('a/last', 1);
    await session.toClose();
    expect((await client.closed).code).toBe(4002);
    expect(client.pushes('a/last').length).toBe(1);
    expect(await session.toConnected()).toBe(false);
  });

  it('never overwrites what is newer on the gate with what its copy had before', async () => {
    await fresh();
    await session.toSetBatch({ score: 1, gone: 1 });
    const old = session.clone();
    await stage.delegater.set(client.clientId, 'score', 2);
    await stage.delegater.del(client.clientId, 'gone');
    old.set('mine', 1);
    expect(old.get('score')).toBe(1);
    await old.toPush();
    expect(old.cloneSettings()).toEqual({ score: 2, mine: 1 });
    expect((await truth()).cloneSettings()).toEqual({ score: 2, mine: 1 });
    const version = old.version;
    await session.toUpdate();
    expect(session.version).toBe(version);
  });

  it('rejects with SESSION_NOT_FOUND when the client has gone, and toConnected is false', async () => {
    await fresh();
    await stage.lose(client);
    const attempts = [
      session.toUpdate(),
      session.toBind('x'),
      session.toUnbind(),
      session.toSet('a', 1),
      session.toSetBatch({ a: 1 }),
      session.toPush(),
      session.toDel('a'),
      session.toSend('a/b', 1),
      session.toClose(),
    ];
    expect(await outcomes(attempts)).toEqual(attempts.map(() => 'SESSION_NOT_FOUND'));
    expect(await session.toConnected()).toBe(false);
  });

  it('userData stays in its process, and with its client', async () => {
    await fresh();
    const secret = { secret: 'for nobody else', itself: undefined as unknown };
    secret.itself = secret;
    session.userData = secret;
    await session.toSet('a', 1);
    expect((await get(stage, client)).userData).toBe(secret);
    expect(session.clone().userData).toBeUndefined();
    stage.script.run = own => own;
    const { body } = await client.exchange('script/run');
    expect(body).toMatchObject({ sessionId: client.clientId, settings: { a: 1 } });
    expect(JSON.stringify([body, session])).not.toContain('for nobody else');
    await fresh();
    expect(session.userData).toBeUndefined();
  });
});

it('Session: userData of the gate is unknown to a worker, and the worker’s to the gate', async () => {
  const stage = await Stage.open(1);
  try {
    const client = await stage.cluster.connect();
    const onGate = await stage.delegater.load(client.clientId);
    onGate.userData = 'of the gate';
    const onWorker = await stage.sessionInHandler(client);
    expect(onWorker.userData).toBeUndefined();
    onWorker.userData = 'of the worker';
    expect((await stage.delegater.load(client.clientId)).userData).toBe('of the gate');
    expect((await stage.sessionInHandler(client)).userData).toBe('of the worker');
  } finally {
    await stage.close();
  }
});
