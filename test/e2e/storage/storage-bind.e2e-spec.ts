import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { SessionLearner, StorageHandler } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { NotingLearner } from '../support/lifecycle-support.js';
import { ChangingTopics, ScriptedStorage, type StorageCall } from '../support/storage-support.js';

const SHAPES = [
  { name: 'one process', gates: 1, workers: 0 },
  { name: '2 gates and a worker', gates: 2, workers: 1 },
];

describe.each(SHAPES)('binding to a uid in $name', ({ gates, workers }) => {
  let cluster: TestCluster;
  let storage: ScriptedStorage;
  let learner: NotingLearner;
  let client: FakeClient;

  beforeEach(async () => {
    storage = new ScriptedStorage();
    learner = new NotingLearner();
    cluster = await createTestCluster({
      gates,
      workers,
      handlers: { imports: [HandlersModule], controllers: [ChangingTopics] },
      gate: {
        providers: [
          { provide: StorageHandler, useValue: storage },
          { provide: SessionLearner, useValue: learner },
        ],
      },
    });
    client = await cluster.connect({ gate: gates - 1 });
  });
  afterEach(() => cluster.close());

  const bind = (uid: string, of = client): Promise<void> => cluster.api.bindUid(of.clientId, uid);
  const settings = (of = client): Promise<unknown> => cluster.api.getSession(of.clientId);
  const uids = (): Promise<readonly string[]> => cluster.api.getAllUidList();
  const uid = (of = client): Promise<string | null> => cluster.api.getUidByClientId(of.clientId);

  it('asks, merges, stores and only then indexes; what the connection has itself wins', async () => {
    storage.keep('ada', { kept: 1, both: 'stored' });
    await cluster.api.setSession(client.clientId, { both: 'own', own: 2 });
    const seen: [call: StorageCall, online: boolean, uid: string | null][] = [];
    storage.before = async call => seen.push([call, await cluster.api.isUidOnline('ada'), await uid()]);
    await bind('ada');
    const merged = { kept: 1, both: 'own', own: 2 };
    const change = { set: { both: 'own', own: 2 }, deleted: [] };
    expect(seen).toEqual([
      [{ name: 'query', userId: 'ada' }, false, null],
      [{ name: 'storage', userId: 'ada', settings: merged, change }, false, null],
    ]);
    expect(await settings()).toEqual(merged);
    expect(storage.kept('ada')).toEqual(merged);
    expect(await uid()).toBe('ada');
    expect(await cluster.api.getClientIdByUid('ada')).toEqual([client.clientId]);
    expect(await client.request('session/get')).toMatchObject({ userId: 'ada', settings: merged });
  });

  it('is not asked again for the uid that the client has', async () => {
    await bind('ada');
    await bind('ada');
    expect(storage.log('ada').length).toBe(2);
  });

  it('tells the storage of each change to a bound session, and only the change', async () => {
    await client.request('session/set', { key: 'guest', value: 1 });
    await bind('ada');
    storage.calls.length = 0;
    await client.request('session/set', { key: 'a', value: [1] });
    await client.request('changing/push', { settings: { b: 2, c: 3 } });
    await client.request('changing/del', { key: 'guest' });
    await cluster.api.updateSession(client.clientId, { c: null });
    await cluster.api.setSession(client.clientId, { only: true });
    expect(storage.log('ada')).toEqual([
      'storage {"set":{"a":[1]},"deleted":[]}',
      'storage {"set":{"b":2,"c":3},"deleted":[]}',
      'storage {"set":{},"deleted":["guest"]}',
      'storage {"set":{"c":null},"deleted":[]}',
      'storage {"set":{"only":true},"deleted":"all"}',
    ]);
    expect(storage.kept('ada')).toEqual({ only: true });
    expect(await settings()).toEqual({ only: true });
  });

  it('receives no refused changes, and no changes of a guest', async () => {
    await client.request('session/set', { key: 'a', value: 1 });
    expect(storage.calls).toEqual([]);
    await bind('ada');
    storage.calls.length = 0;
    const { error } = await client.exchange('session/set', { key: 'a', value: 'x'.repeat(20_000) });
    expect(error?.code).toBe('BAD_REQUEST');
    expect(storage.calls).toEqual([]);
    expect(await settings()).toEqual({ a: 1 });
  });

  it('keeps what is stored when a client is unbound, and gives it back', async () => {
    await bind('ada');
    await client.request('session/set', { key: 'a', value: 1 });
    storage.calls.length = 0;
    await cluster.api.unbindUid(client.clientId, 'someone else');
    expect(await uid()).toBe('ada');
    await client.request('changing/unbind');
    expect(storage.calls).toEqual([]);
    expect(await uids()).toEqual([]);
    expect(await uid()).toBeNull();
    expect(storage.kept('ada')).toEqual({ a: 1 });
    await client.request('session/set', { key: 'b', value: 2 });
    expect(storage.calls).toEqual([]);

    const other = await cluster.connect();
    await bind('ada', other);
    expect(await settings(other)).toEqual({ a: 1 });
  });

  it('binds to another uid: found under that one only, with what is its own and that one has', async () => {
    storage.keep('ada', { role: 'admin', color: 'red' });
    storage.keep('bob', { role: 'user' });
    await client.request('session/set', { key: 'own', value: 1 });
    await bind('ada');
    await client.request('session/set', { key: 'color', value: 'blue' });
    await bind('bob');
    expect(await uids()).toEqual(['bob']);
    expect(await cluster.api.getClientIdByUid('ada')).toEqual([]);
    // A colour was chosen on this connection; the role is ada's.
    expect(await settings()).toEqual({ own: 1, color: 'blue', role: 'user' });
    expect(storage.kept('bob')).toEqual({ own: 1, color: 'blue', role: 'user' });
    expect(storage.kept('ada')).toEqual({ own: 1, color: 'blue', role: 'admin' });
    await client.request('changing/unbind');
    await bind('cleo');
    expect(storage.kept('cleo')).toEqual({ own: 1, color: 'blue' });
  });

  it('does not undo, when it is bound again, what another client of the user has stored', async () => {
    storage.keep('ada', { mood: 'old' });
    await bind('ada');
    await client.request('changing/unbind');
    const other = await cluster.connect();
    await bind('ada', other);
    await other.request('session/set', { key: 'mood', value: 'new' });
    await bind('ada');
    expect(await settings()).toEqual({ mood: 'new' });
    expect(storage.kept('ada')).toEqual({ mood: 'new' });
  });

  it('binds of one client at the same time: the last one wins, whatever the storage takes', async () => {
    const names = Array.from({ length: 6 }, (_, n) => `user${n}`);
    storage.before = ({ userId }) => new Promise(resolve => setTimeout(resolve, userId === 'user0' ? 50 : 5));
    await Promise.all(names.map(name => bind(name)));
    expect(await uid()).toBe('user5');
    expect(await uids()).toEqual(['user5']);
    const ends = await Promise.all([bind('a'), cluster.api.unbindUid(client.clientId, 'a'), bind('b'), bind('c')]);
    expect(ends.length).toBe(4);
    expect(await uids()).toEqual(['c']);
  });

  it('tells the learner of a client that goes what it was', async () => {
    storage.keep('ada', { kept: 1 });
    await bind('ada');
    await client.request('session/set', { key: 'own', value: 2 });
    client.socket.terminate();
    const departure = await waitUntil('the departure', () => learner.departureOf(client.clientId));
    expect(departure).toMatchObject({ userId: 'ada', settings: { kept: 1, own: 2 } });
    expect(await uids()).toEqual([]);
    expect(storage.kept('ada')).toEqual({ kept: 1, own: 2 });
  });
});
