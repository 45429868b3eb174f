import { afterEach, describe, expect, it } from '@jest/globals';
import { MemoryStorage } from '@nestgate/gate';
import { storageConformance } from '@nestgate/testing';
import { changeOf, sessionOf } from '../support/storage-support.js';

let shared: MemoryStorage | undefined;

storageConformance(
  'memory',
  { describe, it, afterEach, expect },
  {
    createStorage: options => (shared ??= new MemoryStorage(options)),
    reset: () => {
      shared = undefined;
    },
  },
);

describe('the memory storage', () => {
  const known = async (storage: MemoryStorage, users: readonly string[]): Promise<string[]> => {
    const found: string[] = [];
    for (const user of users) if (await storage.query(user)) found.push(user);
    return found;
  };

  it('is bounded: the user who was heard of longest ago is forgotten first', async () => {
    const storage = new MemoryStorage({ maxUsers: 3 });
    const users = ['a', 'b', 'c', 'd', 'e'];
    for (const user of ['a', 'b', 'c']) await storage.storage(sessionOf(user), changeOf({ user }));
    await storage.heartbeat([sessionOf('a')]);
    await storage.storage(sessionOf('d'), changeOf({}));
    expect(await known(storage, users)).toEqual(['a', 'c', 'd']);
    await storage.storage(sessionOf('c'), changeOf({ again: true }));
    await storage.storage(sessionOf('e'), changeOf({}));
    expect(await known(storage, users)).toEqual(['c', 'd', 'e']);
    expect(storage.size).toBe(3);
  });

  it('stays bounded whatever comes', async () => {
    const storage = new MemoryStorage({ maxUsers: 100, ttlMs: 60_000 });
    for (let n = 0; n < 5_000; n++) await storage.storage(sessionOf(`user${n}`), changeOf({ n }));
    expect(storage.size).toBe(100);
    expect(await storage.query('user4900')).toEqual({ n: 4_900 });
    expect(await storage.query('user4899')).toBeUndefined();
  });

  it.each([{ maxUsers: 0 }, { maxUsers: 1.5 }, { ttlMs: 0 }, { ttlMs: NaN }, { ttlMs: Infinity }])(
    'refuses %p',
    options => {
      expect(() => new MemoryStorage(options)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    },
  );
});
