import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisStorage } from '@nestgate/gate/redis';
import { RedisProcess, storageConformance } from '@nestgate/testing';
import { Redis } from 'ioredis';

let server: RedisProcess;
const storages: RedisStorage[] = [];
const clients: Redis[] = [];

beforeAll(async () => {
  server = await RedisProcess.start();
});
afterAll(() => server.end());

async function reset(): Promise<void> {
  for (const storage of storages.splice(0)) storage.onApplicationShutdown();
  for (const client of clients.splice(0)) client.disconnect();
  const admin = new Redis(server.url);
  await admin.flushall();
  admin.disconnect();
}

async function create(client: string | Redis, options: { ttlMs?: number } = {}): Promise<RedisStorage> {
  const storage = new RedisStorage({ client, ...options });
  storages.push(storage);
  await storage.onModuleInit();
  return storage;
}

storageConformance(
  'redis, by URL',
  { describe, it, afterEach, expect },
  { createStorage: options => create(server.url, options), reset },
);

storageConformance(
  'redis, with a client',
  { describe, it, afterEach, expect },
  {
    createStorage: options => {
      const client = new Redis(server.url);
      clients.push(client);
      return create(client, options);
    },
    reset,
  },
);
