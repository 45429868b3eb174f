import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Settings } from '@nestgate/link';
import { GateCounters } from '@nestgate/gate';
import { RedisStorage, type RedisStorageOptions } from '@nestgate/gate/redis';
import { RedisProcess } from '@nestgate/testing';
import { Redis } from 'ioredis';
import { DelayProxy, gateWith } from '../support/storage-redis-support.js';
import { changeOf, sessionOf } from '../support/storage-support.js';
import { Recorder } from '../../support/recorder.js';

type Corruption = readonly [what: string, spoil: (key: string) => Promise<unknown>];

const HUGE = JSON.stringify('x'.repeat(2 * 1024 * 1024));

describe('what Redis holds', () => {
  let server: RedisProcess;
  let admin: Redis;
  let storage: RedisStorage;
  let log: Recorder;

  beforeAll(async () => {
    server = await RedisProcess.start();
    admin = new Redis(server.url);
  });
  beforeEach(async () => {
    log = Recorder.capture();
    storage = await open({ client: server.url });
  });
  afterEach(async () => {
    storage.onApplicationShutdown();
    await admin.flushall();
  });
  afterAll(async () => {
    admin.disconnect();
    await server.end();
  });

  async function open(options: RedisStorageOptions): Promise<RedisStorage> {
    const opened = new RedisStorage(options);
    await opened.onModuleInit();
    return opened;
  }

  /** Stores something of a user, and returns the key it is under. */
  async function keyOf(userId: string, settings: Settings = { a: 1, b: 'two' }): Promise<string> {
    const before = new Set(await admin.keys('*'));
    await storage.storage(sessionOf(userId), changeOf(settings));
    return (await admin.keys('*')).find(key => !before.has(key)) as string;
  }

  it('is one key per user, with a time to live that a heartbeat extends', async () => {
    const short = await open({ client: server.url, prefix: 'my app/', ttlMs: 60_000 });
    for (const user of ['ada', 'bob']) await short.storage(sessionOf(user), changeOf({ a: 1, b: 2, c: { d: 3 } }));
    const keys = await admin.keys('*');
    expect(keys.length).toBe(2);
    for (const key of keys) {
      expect(key).toMatch(/^my app\/\{[0-9a-f]{12}\}(ada|bob)$/);
      await admin.pexpire(key, 5_000);
    }
    await short.heartbeat(['ada', 'ada', 'missing'].map(user => sessionOf(user)));
    const ttls = new Map(await Promise.all(keys.map(async key => [key.slice(-3), await admin.pttl(key)] as const)));
    expect(ttls.get('ada')).toBeGreaterThan(50_000);
    expect(ttls.get('bob')).toBeLessThanOrEqual(5_000);
    expect(await admin.dbsize()).toBe(2);
    short.onApplicationShutdown();
  });

  const CORRUPTIONS: readonly Corruption[] = [
    ['a text', key => admin.multi().del(key).set(key, 'text').exec()],
    ['a list', key => admin.multi().del(key).rpush(key, '1').exec()],
    ['truncated JSON', key => admin.hset(key, 'b', '{"half":')],
    ['truncated UTF-8', key => admin.hset(key, 'b', Buffer.from([0x22, 0xc3, 0x22]))],
    ['an empty value', key => admin.hset(key, 'b', '')],
    ['2 MiB of something', key => admin.hset(key, 'b', 'x'.repeat(2 * 1024 * 1024))],
    ["another user's data", key => admin.hset(key, '', 'eve')],
    ["nobody's data", key => admin.hdel(key, '')],
  ];

  it.each(CORRUPTIONS)('moves %s aside when it is asked for, and says so', async (_what, spoil) => {
    const key = await keyOf('ada\n');
    await spoil(key);
    const spoilt = await admin.dump(key);
    expect(await storage.query('ada\n')).toBeUndefined();
    expect(await admin.dump(`${key}:corrupt`)).toEqual(spoilt);
    expect(await admin.exists(key)).toBe(0);
    expect(log.texts).toEqual([expect.stringMatching(/^What was stored under ".*ada\\n" cannot be used: [^\n]+$/)]);

    await storage.storage(sessionOf('ada\n'), changeOf({ fresh: true }));
    expect(await storage.query('ada\n')).toEqual({ fresh: true });
    expect(await admin.dump(`${key}:corrupt`)).toEqual(spoilt);
  });

  it.each(CORRUPTIONS.filter(([what]) => /text|list|another|nobody/.test(what)))(
    'does not mix %s with what is stored',
    async (_what, spoil) => {
      const key = await keyOf('ada');
      await spoil(key);
      await storage.storage(sessionOf('ada'), changeOf({ c: 3 }, ['a']));
      expect(await storage.query('ada')).toEqual({ c: 3 });
      expect(await admin.exists(`${key}:corrupt`)).toBe(1);
      expect(log.matching(/cannot be used/).length).toBe(1);
    },
  );

  it('does not move aside what another gate has stored in place of something unusable', async () => {
    const proxy = await DelayProxy.start(server.port);
    const late = await open({ client: proxy.url });
    proxy.delayMs = 30;
    for (const [, spoil] of CORRUPTIONS) {
      const key = await keyOf('ada');
      await spoil(key);
      // This one reads what is unusable, but learns so only when the other has put it right.
      const found = late.query('ada');
      expect(await storage.query('ada')).toBeUndefined();
      await storage.storage(sessionOf('ada'), changeOf({ fresh: true }));
      expect(await found).toEqual({ fresh: true });
      expect(await storage.query('ada')).toEqual({ fresh: true });
      await admin.flushall();
    }
    late.onApplicationShutdown();
    proxy.end();
  });

  it('forgets with a user what was moved aside', async () => {
    const key = await keyOf('ada');
    await admin.hset(key, 'a', '{');
    await storage.query('ada');
    await storage.storage(sessionOf('ada'), changeOf({ a: 1 }));
    expect(await admin.dbsize()).toBe(2);
    await storage.delete('ada');
    expect(await admin.dbsize()).toBe(0);
  });

  it('over a gate: a client binds, whatever the stored value was', async () => {
    const cluster = await gateWith(storage);
    const client = await cluster.connect();
    await client.request('session/set', { key: 'own', value: 1 });
    for (const [what, spoil] of CORRUPTIONS) {
      const key = await keyOf(what);
      await spoil(key);
      await client.request('chat/login', { name: what });
      expect(await storage.query(what)).toEqual({ own: 1 });
      expect(await client.request('session/get')).toMatchObject({ userId: what, settings: { own: 1 } });
    }
    await cluster.close();
  });

  it('over a gate: more than a session may have is moved aside, and keeps nobody out', async () => {
    const cluster = await gateWith(storage);
    // A test cluster silences Nest's logger when it starts.
    log = Recorder.capture();
    const client = await cluster.connect();
    const key = await keyOf('ada');
    await admin.hset(key, 'huge', HUGE);
    await client.request('chat/login', { name: 'ada' });
    expect(await client.request('session/get')).toMatchObject({ userId: 'ada', settings: {} });
    expect(await admin.hget(`${key}:corrupt`, 'huge')).toBe(HUGE);
    expect(cluster.gate.app.get(GateCounters).get('storage_failures', 'quarantined')).toBe(1);
    expect(log.matching(/cannot be used/).length).toBe(1);
    await storage.delete('ada');
    expect(await admin.dbsize()).toBe(0);
    await cluster.close();
  });

  it.each([{ ttlMs: 0 }, { ttlMs: 1.5 }, { commandTimeoutMs: NaN }, { prefix: 'a{b}' }, { client: 'localhost' }])(
    'refuses %p',
    options => {
      const create = (): unknown => new RedisStorage({ client: server.url, ...options });
      expect(create).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    },
  );
});
