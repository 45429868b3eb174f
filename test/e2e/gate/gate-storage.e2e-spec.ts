import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { GateCounters, MemoryStorage, type SettingsChange, StorageHandler } from '@nestgate/gate';
import { type FakeClient, type TestClusterOptions, waitUntil } from '@nestgate/testing';
import type { SessionSnapshot, Settings } from '@nestgate/worker';
import { outcomes, Stage } from '../support/gate-support.js';

/** A storage that notes its calls, and fails as a test wants it to. */
class NotingStorage extends StorageHandler {
  readonly calls: unknown[][] = [];
  readonly memory = new MemoryStorage();
  fail: (method: string) => void | Promise<never> = () => undefined;

  override async query(userId: string): Promise<Settings | undefined> {
    await this.note('query', userId);
    return this.memory.query(userId);
  }

  override async storage(session: SessionSnapshot, change: SettingsChange): Promise<void> {
    await this.note('storage', session.userId, change.set, change.deleted);
    return this.memory.storage(session, change);
  }

  override async delete(userId: string): Promise<void> {
    await this.note('delete', userId);
    return this.memory.delete(userId);
  }

  override async heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    await this.note('heartbeat', ...sessions.map(session => session.userId).sort());
  }

  private async note(method: string, ...args: unknown[]): Promise<void> {
    this.calls.push([method, ...args]);
    await this.fail(method);
  }
}

let stage: Stage;
let storage: NotingStorage;

async function open(workers: number, gate: TestClusterOptions['gate'] = {}): Promise<FakeClient> {
  storage = new NotingStorage();
  stage = await Stage.open(workers, { providers: [{ provide: StorageHandler, useValue: storage }], ...gate });
  return stage.cluster.connect();
}

afterEach(async () => {
  jest.restoreAllMocks();
  await stage.close();
});

describe.each([0, 1])('StorageHandler, with %d workers', workers => {
  it('query and storage: asked when a client is bound; the connection’s own keys win', async () => {
    const client = await open(workers);
    await storage.memory.storage({ userId: 'ada' } as SessionSnapshot, {
      set: { lang: 'en', seen: 3 },
      deleted: [],
    });
    const session = await stage.sessionInHandler(client);
    await session.toSet('lang', 'de');
    expect(storage.calls).toEqual([]);
    await session.toBind('ada');
    expect(session.cloneSettings()).toEqual({ lang: 'de', seen: 3 });
    expect(storage.calls).toEqual([
      ['query', 'ada'],
      ['storage', 'ada', { lang: 'de' }, []],
    ]);
    expect(await storage.memory.query('ada')).toEqual({ lang: 'de', seen: 3 });
  });

  it('storage: told what push, set and del change while bound; unbind changes nothing there', async () => {
    const client = await open(workers);
    const session = await stage.sessionInHandler(client);
    await session.toBind('ada');
    storage.calls.length = 0;
    await session.toSetBatch({ a: 1, b: 2 });
    await session.toSet('c', 3);
    await session.toDel('a');
    session.set('d', 4);
    await session.toPush();
    await stage.cluster.api.setSession(client.clientId, { all: 'new' });
    expect(storage.calls).toEqual([
      ['storage', 'ada', { a: 1, b: 2 }, []],
      ['storage', 'ada', { c: 3 }, []],
      ['storage', 'ada', {}, ['a']],
      ['storage', 'ada', { d: 4 }, []],
      ['storage', 'ada', { all: 'new' }, 'all'],
    ]);
    await session.toUnbind();
    await session.toSet('later', 1);
    expect(storage.calls.length).toBe(5);
    const next = await stage.cluster.connect();
    expect((await stage.delegater.bind(next.clientId, 'ada')).cloneSettings()).toEqual({ all: 'new' });
  });

  it('delete: when the application wants a user forgotten; its session stays', async () => {
    const client = await open(workers);
    await stage.delegater.bind(client.clientId, 'ada');
    await stage.delegater.set(client.clientId, 'a', 1);
    storage.calls.length = 0;
    await stage.delegater.forgetUser('ada');
    expect(storage.calls).toEqual([['delete', 'ada']]);
    expect(await storage.memory.query('ada')).toBeUndefined();
    expect(await stage.sessionInHandler(client)).toMatchObject({ userId: 'ada' });
    expect(await outcomes([stage.delegater.forgetUser('')])).toEqual(['BAD_ARGUMENT']);
  });

  it.each([
    ['throws', () => fail(new Error('a bug'))],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['never answers', () => new Promise<never>(() => undefined)],
  ])('one that %s: bind leaves the client unbound, changes are made but not stored', async (_how, failure) => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const client = await open(workers);
    const session = await stage.sessionInHandler(client);
    await session.toSet('before', 1);
    for (const broken of ['query', 'storage']) {
      storage.fail = method => (method === broken ? failure() : undefined);
      const started = performance.now();
      expect(await outcomes([session.toBind('ada')])).toEqual(['STORAGE_UNAVAILABLE']);
      expect(performance.now() - started).toBeLessThan(1_000);
      expect((await stage.delegater.load(client.clientId)).toJSON()).toMatchObject({
        userId: '',
        settings: { before: 1 },
      });
      expect(await stage.cluster.api.isUidOnline('ada')).toBe(false);
    }
    storage.fail = () => undefined;
    await session.toBind('ada');
    storage.fail = failure;
    const started = performance.now();
    expect(await outcomes([session.toSet('a', 1)])).toEqual(['STORAGE_UNAVAILABLE']);
    expect(await outcomes([session.toDel('before')])).toEqual(['STORAGE_UNAVAILABLE']);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect((await stage.sessionInHandler(client)).cloneSettings()).toEqual({ a: 1 });
    expect(await outcomes([stage.delegater.forgetUser('ada')])).toEqual(['STORAGE_UNAVAILABLE']);
    const failures = stage.cluster.gate.app.get(GateCounters).snapshot()['storage_failures'] ?? {};
    expect(Object.values(failures).reduce((sum, count) => sum + count, 0)).toBe(5);
    expect(await client.request('script/note', 'talks on')).toBe('talks on');
  });
});

it('StorageHandler heartbeat: who is bound and online, all in one call', async () => {
  const clients = [await open(0, { storageHeartbeat: 1_000 }), await stage.cluster.connect()];
  await stage.cluster.connect(); // a guest
  for (const [index, uid] of ['ada', 'bob'].entries()) {
    await stage.delegater.bind(clients[index]?.clientId as string, uid);
  }
  storage.calls.length = 0;
  storage.fail = () => Promise.reject(new Error('down'));
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  await waitUntil('two heartbeats', () => storage.calls.length === 2);
  expect(storage.calls).toEqual([
    ['heartbeat', 'ada', 'bob'],
    ['heartbeat', 'ada', 'bob'],
  ]);
  expect(await clients[0]?.request('script/note', 'fine')).toBe('fine');
});

function fail(error: Error): never {
  throw error;
}

describe('two clients of one user that store too much together', () => {
  it('are told so, and lock nobody out', async () => {
    const stage = await Stage.open(0);
    const { api } = stage.cluster;
    const [one, other] = [await stage.cluster.connect(), await stage.cluster.connect()];
    for (const { clientId } of [one, other]) await api.bindUid(clientId, 'ada');
    const text = 'x'.repeat(10_000);
    await api.updateSession(one.clientId, { one: text });
    await expect(api.updateSession(other.clientId, { other: text })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(await api.getSession(other.clientId)).toEqual({});
    await api.updateSession(other.clientId, { small: 1 });

    const third = await stage.cluster.connect();
    await api.updateSession(third.clientId, { own: text });
    await expect(api.bindUid(third.clientId, 'ada')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(await api.getSession(third.clientId)).toEqual({ own: text });
    const fourth = await stage.cluster.connect();
    await api.bindUid(fourth.clientId, 'ada');
    expect(await api.getSession(fourth.clientId)).toEqual({ one: text, small: 1 });
    expect(stage.cluster.gate.app.get(GateCounters).get('limits_exceeded', 'settings')).toBe(2);
    await stage.close();
  });
});
