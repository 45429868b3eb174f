import { describe, expect, it } from '@jest/globals';
import type { SessionSnapshot } from '@nestgate/link';
import fc from 'fast-check';
import { MemoryStorage } from './memory-storage.js';

const MAX_USERS = 3;

const step = fc.record({
  act: fc.constantFrom('storage', 'storage', 'heartbeat', 'delete'),
  userId: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
});

describe('MemoryStorage', () => {
  it('forgets the user first that was heard of longest ago', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const storage = new MemoryStorage({ maxUsers: MAX_USERS });
      // The newest one last.
      let known: string[] = [];
      for (const { act, userId } of steps) {
        const session = { userId } as SessionSnapshot;
        const others = known.filter(each => each !== userId);
        if (act === 'storage') {
          await storage.storage(session, { set: { of: userId }, deleted: [] });
          known = [...others, userId].slice(-MAX_USERS);
        } else if (act === 'heartbeat') {
          await storage.heartbeat([session]);
          if (known.includes(userId)) known = [...others, userId];
        } else {
          await storage.delete(userId);
          known = others;
        }
        expect(storage.size).toBe(known.length);
        for (const each of 'abcde') {
          expect(await storage.query(each)).toEqual(known.includes(each) ? { of: each } : undefined);
        }
      }
    });
    await fc.assert(property);
  });
});
