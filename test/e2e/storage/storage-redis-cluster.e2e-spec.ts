import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisStorage } from '@nestgate/gate/redis';
import { ODD_NAMES, RedisProcess, storageConformance, waitUntil } from '@nestgate/testing';
import { Cluster, Redis } from 'ioredis';
import { gateWith } from '../support/storage-redis-support.js';
import { changeOf, sessionOf } from '../support/storage-support.js';
import { Recorder } from '../../support/recorder.js';

let server: RedisProcess;
let admin: Redis;
let client: Cluster;
const storages: RedisStorage[] = [];

function create(options: { ttlMs?: number } = {}): RedisStorage {
  const storage = new RedisStorage({ client, ...options });
  storages.push(storage);
  return storage;
}

async function reset(): Promise<void> {
  for (const storage of storages.splice(0)) storage.onApplicationShutdown();
  await admin.flushall();
}

beforeAll(async () => {
  server = await RedisProcess.start(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
  admin = new Redis(server.url);
  await admin.cluster('ADDSLOTSRANGE', 0, 16_383);
  await waitUntil('the cluster to be up', async () => /cluster_state:ok/.test(await admin.cluster('INFO')));
  client = new Cluster([{ host: '127.0.0.1', port: server.port }]);
  await waitUntil('the client to know the cluster', () => client.status === 'ready');
});
afterAll(async () => {
  client.disconnect();
  admin.disconnect();
  await server.end();
});

storageConformance('redis cluster', { describe, it, afterEach, expect }, { createStorage: create, reset });

describe('the storage in a Redis cluster', () => {
  afterEach(reset);

  it('keeps all that there is of a user on one slot, and spreads the users', async () => {
    const storage = create();
    const slots = new Set<number>();
    for (const user of ODD_NAMES) {
      await admin.flushall();
      await storage.storage(sessionOf(user), changeOf({ a: 1 }));
      const [key] = (await admin.keys('*')) as [string];
      const slot = await admin.cluster('KEYSLOT', key);
      slots.add(slot);
      expect(await admin.cluster('KEYSLOT', `${key}:corrupt`)).toBe(slot);
    }
    expect(slots.size).toBe(ODD_NAMES.length);
  });

  it('moves what cannot be used aside, for any uid', async () => {
    const log = Recorder.capture();
    const storage = create();
    for (const [n, user] of ODD_NAMES.entries()) {
      await admin.flushall();
      await storage.storage(sessionOf(user), changeOf({ a: 1 }));
      const [key] = (await admin.keys('*')) as [string];
      if (n % 2 === 0) await admin.hset(key, 'a', '{');
      else await admin.set(key, 'text');
      if (n % 4 < 2) expect(await storage.query(user)).toBeUndefined();
      await storage.storage(sessionOf(user), changeOf({ b: 2 }, ['a']));
      expect(await storage.query(user)).toEqual({ b: 2 });
    }
    expect(log.matching(/cannot be used/).length).toBeGreaterThan(ODD_NAMES.length / 2);
  });

  it('serves a gate', async () => {
    const cluster = await gateWith(create());
    const one = await cluster.connect();
    await one.request('chat/login', { name: 'ada' });
    await one.request('session/set', { key: 'mood', value: 'calm' });
    const two = await cluster.connect();
    await two.request('chat/login', { name: 'ada' });
    expect(await two.request('session/get')).toMatchObject({ settings: { mood: 'calm' } });
    await cluster.close();
    // What was passed in stays open.
    expect(client.status).toBe('ready');
  });
});
