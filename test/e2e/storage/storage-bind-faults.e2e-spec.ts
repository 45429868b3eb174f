import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Delegater, GateCounters, StorageHandler } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { forever, ScriptedStorage, timed } from '../support/storage-support.js';
import { Recorder } from '../../support/recorder.js';

/** What a request may take, whatever the storage does, in milliseconds. */
const LIMIT_MS = 1_000;
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

const CYCLE: Record<string, unknown> = {};
CYCLE['again'] = CYCLE;

describe('a storage that fails', () => {
  let cluster: TestCluster;
  let storage: ScriptedStorage;
  let client: FakeClient;
  let log: Recorder;

  beforeEach(async () => {
    storage = new ScriptedStorage();
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { storageHeartbeat: 1_000, providers: [{ provide: StorageHandler, useValue: storage }] },
    });
    log = Recorder.capture();
    client = await cluster.connect();
    await client.request('session/set', { key: 'own', value: 1 });
  });
  afterEach(() => cluster.close());

  const bind = (uid: string, of = client): Promise<void> => cluster.api.bindUid(of.clientId, uid);
  const failures = (label: string): number => cluster.gate.app.get(GateCounters).get('storage_failures', label);
  const delegater = (): Delegater => cluster.gate.app.get(Delegater);

  async function isStill(userId: string, settings: unknown): Promise<void> {
    const { clientId } = client;
    expect(await client.request('session/get')).toEqual({ clientId, userId, settings });
    expect(await cluster.api.getAllUidList()).toEqual(userId === '' ? [] : [userId]);
  }

  const ERRORS: readonly [what: string, fail: () => unknown][] = [
    ['rejects', () => Promise.reject(new Error('no'))],
    ['throws', () => JSON.parse('{')],
    ['rejects with nothing', () => Promise.reject(undefined as unknown as Error)],
    ['rejects with a text', () => Promise.reject('no' as unknown as Error)],
  ];

  /** Logged lines. The number of omitted lines of an earlier test may be logged later. */
  const told = () => log.texts.filter(line => !line.endsWith('were not logged'));

  it.each(ERRORS)('%s: nothing is bound or changed, and the next bind is a new one', async (_what, fail) => {
    storage.keep('ada', { kept: 1 });
    for (const call of ['query', 'storage']) {
      storage.before = ({ name }) => (name === call ? fail() : undefined);
      const { error } = await client.exchange('chat/login', { name: 'ada' });
      expect(error).toEqual({ ...UNAVAILABLE, message: 'The session storage is unavailable' });
      await isStill('', { own: 1 });
    }
    expect(failures('error')).toBe(2);
    // One line a second: on a slow machine the second error is logged too.
    expect([1, 2]).toContain(told().length);
    storage.before = () => undefined;
    await bind('ada');
    await isStill('ada', { own: 1, kept: 1 });
  });

  it('keeps a client bound to what it was when it cannot be bound to another uid', async () => {
    await bind('ada');
    storage.before = () => Promise.reject(new Error('no'));
    await expect(bind('bob')).rejects.toMatchObject(UNAVAILABLE);
    await isStill('ada', { own: 1 });
  });

  it('applies changes to a bound session that it cannot store, and says so', async () => {
    await bind('ada');
    storage.before = () => Promise.reject(new Error('no'));
    const set = await client.exchange('session/set', { key: 'a', value: 1 });
    expect(set.error).toMatchObject({ ...UNAVAILABLE, message: expect.stringMatching(/changed on the gate/) });
    await expect(cluster.api.updateSession(client.clientId, { b: 2 })).rejects.toMatchObject(UNAVAILABLE);
    await isStill('ada', { own: 1, a: 1, b: 2 });
    await expect(cluster.api.setSession(client.clientId, { c: 3 })).rejects.toMatchObject(UNAVAILABLE);
    await isStill('ada', { c: 3 });
    expect(storage.kept('ada')).toEqual({ own: 1 });
    storage.before = () => undefined;
    await client.request('session/set', { key: 'd', value: 4 });
    expect(storage.kept('ada')).toEqual({ own: 1, d: 4 });
  });

  const NONSENSE: readonly [what: string, value: unknown][] = [
    ['an array', [1]],
    ['a text', 'settings'],
    ['a number', 7],
    ['true', true],
    ['a BigInt inside', { a: 1n }],
    ['a cycle', CYCLE],
    ['a bad key', { '': 1 }],
    ['a key with a line break', { 'a\nb': 1 }],
    ['an overlong key', { ['x'.repeat(129)]: 1 }],
    ['too much', { a: 'x'.repeat(2 * 1024 * 1024) }],
    ['10,000 arrays in each other', { a: JSON.parse('['.repeat(10_000) + ']'.repeat(10_000)) }],
    ['a getter that throws', Object.defineProperty({}, 'a', { enumerable: true, get: () => JSON.parse('{') })],
  ];

  it.each(NONSENSE)('gives %s: it is left out, counted and logged, and keeps nobody out', async (_what, value) => {
    storage.answer = () => value;
    await client.request('chat/login', { name: 'ada' });
    await isStill('ada', { own: 1 });
    // The heartbeat comes once a second.
    const calls = storage.log('ada').filter(call => call !== 'heartbeat');
    expect(calls).toEqual(['query', 'storage {"set":{"own":1},"deleted":[]}']);
    expect(failures('quarantined')).toBe(1);
    expect(told().length).toBe(1);
    expect(told()[0]).not.toMatch(/\n/);
  });

  it.each([undefined, null, {}])('gives %p: a user without settings', async value => {
    storage.answer = () => value;
    await bind('ada');
    await isStill('ada', { own: 1 });
  });

  it('gives keys that are names of objects: they are settings like any other', async () => {
    const text = '{"__proto__":{"polluted":true},"constructor":1,"toString":2}';
    storage.answer = () => JSON.parse(text) as unknown;
    await bind('ada');
    const stored = (await cluster.api.getSession(client.clientId)) ?? {};
    expect(JSON.stringify(stored)).toBe(text.replace(/\}$/, ',"own":1}'));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it.each(['query', 'storage'])('hangs in %s: fails in a second, and comes back', async call => {
    storage.before = ({ name }) => (name === call ? forever() : undefined);
    const { ms, error } = await timed(() => bind('ada'));
    expect(error).toMatchObject(UNAVAILABLE);
    expect(ms).toBeLessThan(LIMIT_MS);
    await isStill('', { own: 1 });
    storage.before = () => undefined;
    await bind('ada');
  });

  it('is slow in each call: fails in a second', async () => {
    storage.before = () => new Promise(resolve => setTimeout(resolve, 490));
    const { ms } = await timed(() => bind('ada'));
    expect(ms).toBeLessThan(LIMIT_MS);
  });

  it('hangs: what is asked of one session at the same time fails in a second too', async () => {
    await bind('ada');
    storage.before = forever;
    const { clientId } = client;
    const asked = Array.from({ length: 10 }, (_, n) => [
      timed(() => cluster.api.updateSession(clientId, { [`k${n}`]: n })),
      timed(() => bind(`user${n}`)),
    ]).flat();
    for (const { ms, error } of await Promise.all(asked)) {
      expect(error).toMatchObject(UNAVAILABLE);
      expect(ms).toBeLessThan(LIMIT_MS);
    }
    const expected = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`k${n}`, n]));
    await isStill('ada', { own: 1, ...expected });
  });

  it.each(['query', 'storage'])('a client that goes while %s hangs leaves no ghost', async call => {
    let goOn: () => void = () => undefined;
    storage.before = ({ name }) => (name === call ? new Promise<void>(resolve => (goOn = resolve)) : undefined);
    const outcome = timed(() => bind('ada'));
    await waitUntil('the call', () => storage.calls.some(({ name }) => name === call));
    const queued = timed(() => cluster.api.updateSession(client.clientId, { late: 1 }));
    client.socket.terminate();
    await waitUntil('the client to be gone', () => delegater().getAgentNum() === 0);
    goOn();
    expect((await outcome).error).toMatchObject({ code: 'SESSION_NOT_FOUND' });
    expect((await queued).error).toMatchObject({ code: 'SESSION_NOT_FOUND' });
    expect(await cluster.api.getAllUidList()).toEqual([]);
    expect(storage.log('ada').length).toBe(call === 'query' ? 1 : 2);
    expect(storage.kept('ada')).toEqual(call === 'query' ? undefined : { own: 1 });
  });

  it('is told time and again who is online, whether it fails or hangs', async () => {
    await bind('ada');
    const beats = (): number => storage.log('ada').filter(call => call === 'heartbeat').length;
    await waitUntil('a heartbeat', () => beats() === 1, 3_000);
    storage.before = ({ name }) => (name === 'heartbeat' ? Promise.reject(new Error('no')) : undefined);
    await waitUntil('the next one', () => beats() === 2, 3_000);
    storage.before = ({ name }) => (name === 'heartbeat' ? forever() : undefined);
    await waitUntil('two more', () => beats() === 4, 4_000);
    expect(failures('error')).toBe(1);
    await isStill('ada', { own: 1 });
  });

  it('forgets a user on request; sessions stay', async () => {
    await bind('ada');
    await delegater().forgetUser('ada');
    expect(storage.kept('ada')).toBeUndefined();
    await isStill('ada', { own: 1 });
    await expect(delegater().forgetUser('')).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    for (const fail of [() => Promise.reject(new Error('no')), forever]) {
      storage.before = fail;
      const { ms, error } = await timed(() => delegater().forgetUser('ada'));
      expect(error).toMatchObject(UNAVAILABLE);
      expect(ms).toBeLessThan(LIMIT_MS);
    }
  });
});
