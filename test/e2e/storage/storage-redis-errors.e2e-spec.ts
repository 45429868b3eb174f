import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RedisStorage } from '@nestgate/gate/redis';
import { type FakeClient, RedisProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { Redis } from 'ioredis';
import { FakeRedis, gateWith } from '../support/storage-redis-support.js';
import { changeOf, sessionOf, timed } from '../support/storage-support.js';
import { Recorder } from '../../support/recorder.js';

/** How soon a storage works again after its server does, in milliseconds. */
const RECOVERY_MS = 3_000;

describe('a Redis that answers with errors', () => {
  let server: RedisProcess;
  let admin: Redis;
  let storage: RedisStorage;
  let cluster: TestCluster;
  let log: Recorder;

  beforeAll(async () => {
    server = await RedisProcess.start();
    admin = new Redis(server.url);
  });
  beforeEach(async () => {
    storage = new RedisStorage({ client: server.url });
    cluster = await gateWith(storage);
    log = Recorder.capture();
  });
  afterEach(async () => {
    await cluster.close();
    await admin.flushall();
  });
  afterAll(async () => {
    admin.disconnect();
    await server.end();
  });

  async function bound(name: string): Promise<FakeClient> {
    const client = await cluster.connect();
    await client.request('chat/login', { name });
    return client;
  }

  const ERRORS: readonly [name: string, begin: () => Promise<unknown>, end: () => Promise<unknown>, says: RegExp][] = [
    [
      'OOM',
      () => admin.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1'),
      () => admin.config('SET', 'maxmemory', '0'),
      /OOM command not allowed/,
    ],
    ['READONLY', () => admin.replicaof('127.0.0.1', '1'), () => admin.replicaof('NO', 'ONE'), /READONLY/],
    [
      'NOPERM',
      () => admin.call('ACL', 'SETUSER', 'default', '-@write', '-eval', '+flushall', '+replicaof'),
      () => admin.call('ACL', 'SETUSER', 'default', '+@all'),
      /NOPERM/,
    ],
  ];

  it.each(ERRORS)('%s: is told, harms no connection, and passes', async (_name, begin, end, says) => {
    const [before, guest] = [await bound('ada'), await cluster.connect()];
    await guest.request('session/set', { key: 'own', value: 1 });
    await begin();
    await expect(storage.storage(sessionOf('x'), changeOf({ a: 1 }))).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      cause: expect.objectContaining({ message: expect.stringMatching(says) }),
    });
    for (let attempt = 0; attempt < 3; attempt++) {
      const { error } = await guest.exchange('chat/login', { name: 'bob' });
      expect(error).toEqual({ code: 'STORAGE_UNAVAILABLE', message: 'The session storage is unavailable' });
      const set = await before.exchange('session/set', { key: 'n', value: attempt });
      expect(set.error?.code).toBe('STORAGE_UNAVAILABLE');
      expect(set.error?.message).toMatch(/changed on the gate/);
      expect(await before.request('session/get')).toMatchObject({ userId: 'ada', settings: { n: attempt } });
      expect(await guest.request('session/get')).toMatchObject({ userId: '', settings: { own: 1 } });
      expect(await cluster.api.getAllUidList()).toEqual(['ada']);
    }
    expect(log.matching(says).length).toBeGreaterThan(0);
    expect(log.texts.length).toBeLessThan(8);

    await end();
    const login = async (): Promise<boolean> => !(await guest.exchange('chat/login', { name: 'bob' })).error;
    await waitUntil('the storage to work again', login, RECOVERY_MS);
    await before.request('session/set', { key: 'n', value: 'stored' });
    expect(await storage.query('ada')).toMatchObject({ n: 'stored' });
  });
});

describe('a Redis that loads its data', () => {
  let fake: FakeRedis;
  let storage: RedisStorage;

  beforeEach(async () => {
    Recorder.capture();
    fake = await FakeRedis.start();
  });
  afterEach(() => {
    storage.onApplicationShutdown();
    fake.end();
  });

  it('LOADING: every call says that the storage is unavailable, until the data is there', async () => {
    storage = new RedisStorage({ client: fake.url });
    await storage.onModuleInit();
    fake.answer = () => '-LOADING Redis is loading the dataset in memory';
    const calls = [
      () => storage.query('ada'),
      () => storage.storage(sessionOf('ada'), changeOf({ a: 1 })),
      () => storage.delete('ada'),
      () => storage.heartbeat([sessionOf('ada')]),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        cause: expect.objectContaining({ message: expect.stringMatching(/^LOADING/) }),
      });
    }
    fake.answer = () => '*0';
    expect(await storage.query('ada')).toBeUndefined();
  });

  it('fails at once while the server says that it is loading, and works when it has loaded', async () => {
    fake.loading = true;
    fake.answer = () => '*0';
    storage = new RedisStorage({ client: fake.url });
    await storage.onModuleInit();
    const { ms, error } = await timed(() => storage.query('ada'));
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(ms).toBeLessThan(400);
    expect(fake.commands).toEqual([]);
    fake.loading = false;
    const works = (): Promise<boolean> =>
      storage.query('ada').then(
        () => true,
        () => false,
      );
    await waitUntil('the storage to work', works, RECOVERY_MS);
  });

  it.each(['-ERR', '-MOVED 1 127.0.0.1:1', '-CLUSTERDOWN The cluster is down', '+OK', ':7', '$-1', '$3\r\nabc'])(
    'whatever it answers (%j) is an error or nothing, never more',
    async answer => {
      fake.answer = () => answer;
      storage = new RedisStorage({ client: fake.url });
      await storage.onModuleInit();
      await expect(storage.query('ada')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      // It is not looked into, and nothing is moved for it.
      expect(fake.commands.map(([name]) => name)).toEqual(['hgetall']);
    },
  );

  it('survives an answer that is not of its protocol', async () => {
    fake.answer = () => 'HTTP/1.1 400 Bad Request\r\n\r\n';
    storage = new RedisStorage({ client: fake.url });
    await storage.onModuleInit();
    const { ms, error } = await timed(() => storage.query('ada'));
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(ms).toBeLessThan(1_000);
  });
});
