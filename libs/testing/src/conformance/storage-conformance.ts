import type { SettingsChange, StorageHandler } from '@nestgate/gate';
import type { JsonValue, SessionSnapshot, Settings } from '@nestgate/link';
import type { TestRunner } from './link-conformance.js';
import { waitUntil } from '../wait-until.js';

/** What a storage under test is made with. */
export interface ConformanceStorageOptions {
  /** How long a user is kept after the last sign of life, in milliseconds; long unless given. */
  readonly ttlMs?: number | undefined;
}

/** Uids, and keys, that are allowed and inconvenient. */
export const ODD_NAMES: readonly string[] = [
  ...String.raw`* > ? [a] a..b {} {a}b a{b a}b : a:b %00 \ " ' $SYS _INBOX 0 -1 NaN null`.split(' '),
  ...'__proto__ constructor hasOwnProperty toString \u{1F600} \u200b \ufeff Жe\u0301'.split(' '),
  ' ',
  ' a b ',
  '\u00a0',
  'x'.repeat(128),
  '€'.repeat(42),
];

/** Values, as JSON, that are allowed and inconvenient. */
const ODD_VALUES: readonly string[] = [
  ...'0 -0.5 1e300 9007199254740992 true false null "" "null" "{" "Ж\u{1F600}" "\\"" [] {} [[[]]]'.split(' '),
  String.raw`"\u0000\r\n\u2028\ud800"`,
  '" "',
  '[null,[1,"a",{"b":[]}]]',
  '{"a":{"b":{"c":[1,{"d":null}]}},"":1," ":2,"*":3}',
  '{"__proto__":{"polluted":true},"constructor":{"prototype":1},"a":{"__proto__":1}}',
  JSON.stringify('x'.repeat(100_000)),
];

/** A session as a storage is given it. */
export function sessionOf(userId: string, settings: Settings = {}): SessionSnapshot {
  return {
    sessionId: 'g.1.1',
    serverId: 'g',
    ip: '127.0.0.1',
    network: 'ws',
    connectedAt: 1,
    traceParent: '',
    userId,
    settings,
    version: 1,
  };
}

/** Compares as JSON in the order of keys: that a key `__proto__` is one is not lost then, nor that a value is `-0`. */
function jsonOf(settings: object | undefined): string | undefined {
  return settings && JSON.stringify(Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * What every storage must do. All storages that `createStorage` makes between two calls of `reset` are those of several
 * gates: they share what they keep.
 */
export function storageConformance(
  name: string,
  runner: TestRunner,
  driver: {
    createStorage(options?: ConformanceStorageOptions): StorageHandler | Promise<StorageHandler>;
    reset(): void | Promise<void>;
  },
): void {
  const { describe, it, afterEach, expect } = runner;

  function store(storage: StorageHandler, userId: string, change: Partial<SettingsChange>): Promise<void> {
    return storage.storage(sessionOf(userId, change.set), { set: {}, deleted: [], ...change });
  }

  describe(`storage conformance: ${name}`, () => {
    afterEach(async () => driver.reset());

    it('knows nothing of a user of whom nothing was stored', async () => {
      const storage = await driver.createStorage();
      expect(await storage.query('nobody')).toEqual(undefined);
      await storage.delete('nobody');
      await storage.heartbeat([sessionOf('nobody')]);
      await storage.heartbeat([]);
      expect(await storage.query('nobody')).toEqual(undefined);
    });

    it('knows a user of whom no settings were stored', async () => {
      const storage = await driver.createStorage();
      await store(storage, 'ada', {});
      expect(await storage.query('ada')).toEqual({});
      await store(storage, 'ada', { deleted: ['missing'] });
      expect(await storage.query('ada')).toEqual({});
    });

    it('merges what has changed into what is stored', async () => {
      const storage = await driver.createStorage();
      await store(storage, 'ada', { set: { a: 1, b: 2, c: 3 } });
      await store(storage, 'ada', { set: { b: 'two', d: 4 }, deleted: ['c', 'missing'] });
      expect(await storage.query('ada')).toEqual({ a: 1, b: 'two', d: 4 });
      await store(storage, 'ada', { deleted: ['a', 'b', 'd'] });
      expect(await storage.query('ada')).toEqual({});
    });

    it('replaces everything when all is deleted', async () => {
      const storage = await driver.createStorage();
      await store(storage, 'ada', { set: { a: 1, b: 2 } });
      await store(storage, 'ada', { set: { b: 3, c: 4 }, deleted: 'all' });
      expect(await storage.query('ada')).toEqual({ b: 3, c: 4 });
      await store(storage, 'ada', { deleted: 'all' });
      expect(await storage.query('ada')).toEqual({});
    });

    it('writes what has changed, and not what the session has beside it', async () => {
      const storage = await driver.createStorage();
      await storage.storage(sessionOf('ada', { a: 1, stale: 1 }), { set: { a: 1 }, deleted: [] });
      expect(await storage.query('ada')).toEqual({ a: 1 });
    });

    it('forgets a user on request, and only that one', async () => {
      const storage = await driver.createStorage();
      for (const userId of ['ada', 'bob']) await store(storage, userId, { set: { name: userId } });
      await storage.delete('ada');
      expect(await storage.query('ada')).toEqual(undefined);
      expect(await storage.query('bob')).toEqual({ name: 'bob' });
      await store(storage, 'ada', { set: { again: true } });
      expect(await storage.query('ada')).toEqual({ again: true });
    });

    it('loses nothing when two gates store for one user at the same time', async () => {
      const gates = [await driver.createStorage(), await driver.createStorage()] as const;
      for (let round = 0; round < 50; round++) {
        const changes = gates.flatMap((gate, g) =>
          Array.from({ length: 4 }, (_, n) =>
            store(gate, 'ada', { set: { [`${g}:${n}`]: round }, deleted: [`old${n}`] }),
          ),
        );
        await Promise.all(changes);
        const stored = await gates[round % 2 === 0 ? 0 : 1].query('ada');
        const expected = ['0:0', '0:1', '0:2', '0:3', '1:0', '1:1', '1:2', '1:3'].map(key => [key, round]);
        expect(stored).toEqual(Object.fromEntries(expected));
      }
    });

    it('takes any uid, and keeps users apart', async () => {
      const storage = await driver.createStorage();
      await Promise.all(ODD_NAMES.map(userId => store(storage, userId, { set: { owner: userId } })));
      for (const userId of ODD_NAMES) expect(await storage.query(userId)).toEqual({ owner: userId });
      for (const userId of ODD_NAMES) {
        await storage.delete(userId);
        expect(await storage.query(userId)).toEqual(undefined);
      }
      expect(({} as Record<string, unknown>)['owner']).toEqual(undefined);
    });

    it('takes any key', async () => {
      const storage = await driver.createStorage();
      const settings = Object.fromEntries(ODD_NAMES.map((key, n) => [key, n]));
      await store(storage, 'ada', { set: settings });
      expect(jsonOf(await storage.query('ada'))).toEqual(jsonOf(settings));
      const [kept, ...deleted] = ODD_NAMES as [string, ...string[]];
      await store(storage, 'ada', { deleted });
      expect(await storage.query('ada')).toEqual({ [kept]: 0 });
    });

    it('gives back any value as it was', async () => {
      const storage = await driver.createStorage();
      const values = ODD_VALUES.map(text => JSON.parse(text) as JsonValue);
      const settings = Object.fromEntries(values.map((value, n) => [`key${n}`, value]));
      await store(storage, 'ada', { set: settings });
      expect(jsonOf(await storage.query('ada'))).toEqual(jsonOf(settings));
      for (const value of values) {
        await store(storage, 'bob', { set: { value } });
        expect(jsonOf(await storage.query('bob'))).toEqual(jsonOf({ value }));
      }
      expect(({} as Record<string, unknown>)['polluted']).toEqual(undefined);
    });

    it('leaves out what JSON leaves out, and stores nothing of a change that is no JSON', async () => {
      const storage = await driver.createStorage();
      await store(storage, 'ada', { set: { a: 1, gone: undefined as never } });
      expect(await storage.query('ada')).toEqual({ a: 1 });
      let failed = false;
      const bad = { set: { a: 2, big: 1n as never }, deleted: ['a'] };
      await Promise.resolve()
        .then(() => store(storage, 'ada', bad))
        .catch(() => (failed = true));
      expect(failed).toEqual(true);
      expect(await storage.query('ada')).toEqual({ a: 1 });
    });

    it('hands out copies', async () => {
      const storage = await driver.createStorage();
      const value = { list: [1] };
      await store(storage, 'ada', { set: { value } });
      value.list.push(2);
      const first = (await storage.query('ada')) as { value: { list: number[] } };
      first.value.list.push(3);
      expect(await storage.query('ada')).toEqual({ value: { list: [1] } });
    });

    it('stores as many keys as a session may have', async () => {
      const storage = await driver.createStorage();
      const settings = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n]));
      await store(storage, 'ada', { set: settings, deleted: 'all' });
      expect(await storage.query('ada')).toEqual(settings);
      await store(storage, 'ada', { deleted: Object.keys(settings) });
      expect(await storage.query('ada')).toEqual({});
    });

    it('refuses a change that makes what is stored too large, as a whole, and takes one that makes it smaller', async () => {
      const gates = [await driver.createStorage(), await driver.createStorage()] as const;
      const limits = { maxBytes: 100, onQuarantine: () => undefined };
      const outcome = (gate: StorageHandler, change: Partial<SettingsChange>): Promise<string> =>
        gate.storage(sessionOf('ada'), { set: {}, deleted: [], ...change }, limits).then(
          () => 'stored',
          (error: { code?: string }) => String(error.code),
        );
      const outcomes = await Promise.all([
        outcome(gates[0], { set: { a: 'x'.repeat(60) } }),
        outcome(gates[1], { set: { b: 'x'.repeat(60) } }),
      ]);
      expect([...outcomes].sort()).toEqual(['LIMIT_EXCEEDED', 'stored']);
      const before = jsonOf(await gates[0].query('ada'));
      expect(await outcome(gates[0], { set: { c: 'x'.repeat(40) }, deleted: ['missing'] })).toEqual('LIMIT_EXCEEDED');
      expect(jsonOf(await gates[1].query('ada'))).toEqual(before);
      expect(await outcome(gates[1], { set: { c: 'x'.repeat(60) }, deleted: ['a', 'b'] })).toEqual('stored');
      expect(await outcome(gates[1], { set: { d: 'x'.repeat(90) }, deleted: 'all' })).toEqual('stored');
      expect(await outcome(gates[1], { set: { e: 1 } })).toEqual('LIMIT_EXCEEDED');
      expect(await gates[0].query('ada', limits)).toEqual({ d: 'x'.repeat(90) });
    });

    it('takes exactly as much as is allowed, whatever keys and values are, and gives it back', async () => {
      const storage = await driver.createStorage();
      const names = ODD_NAMES.slice(0, 40);
      const values = ODD_VALUES.slice(0, -1).map(text => JSON.parse(text) as JsonValue);
      const set = Object.fromEntries(names.map((key, n) => [key, values[n % values.length] as JsonValue]));
      const maxBytes = Buffer.byteLength(JSON.stringify(set));
      let quarantined = 0;
      const limits = (bytes: number) => ({ maxBytes: bytes, onQuarantine: () => void quarantined++ });
      let refused = false;
      const tooMuch = storage.storage(sessionOf('ada'), { set, deleted: [] }, limits(maxBytes - 1));
      await tooMuch.catch(() => (refused = true));
      expect([refused, await storage.query('ada')]).toEqual([true, undefined]);
      await storage.storage(sessionOf('ada'), { set, deleted: [] }, limits(maxBytes));
      expect(jsonOf(await storage.query('ada', limits(maxBytes)))).toEqual(jsonOf(set));
      expect(quarantined).toEqual(0);
    });

    it('puts aside what is larger than is allowed: the user starts again, and can be deleted', async () => {
      const storage = await driver.createStorage();
      await store(storage, 'ada', { set: { a: 'x'.repeat(200), b: 1 } });
      let quarantined = 0;
      const limits = { maxBytes: 100, onQuarantine: () => void quarantined++ };
      // A change that makes it smaller is made, though it is too large still.
      await storage.storage(sessionOf('ada'), { set: { a: 'x'.repeat(150) }, deleted: [] }, limits);
      expect(Object.keys((await storage.query('ada', limits)) ?? {})).toEqual([]);
      expect(quarantined).toEqual(1);
      await storage.storage(sessionOf('ada'), { set: { c: 2 }, deleted: [] }, limits);
      expect(await storage.query('ada', limits)).toEqual({ c: 2 });
      await storage.delete('ada');
      expect(await storage.query('ada')).toEqual(undefined);
      expect(quarantined).toEqual(1);
    });

    it('forgets a user after the time to live, and keeps one who is heard of', async () => {
      const storage = await driver.createStorage({ ttlMs: 400 });
      for (const userId of ['online', 'busy', 'gone']) await store(storage, userId, { set: { here: 1 } });
      const end = Date.now() + 1_000;
      while (Date.now() < end) {
        await storage.heartbeat([sessionOf('online'), sessionOf('online'), sessionOf('nobody')]);
        await store(storage, 'busy', { set: { at: 1 } });
        await new Promise(resolve => setTimeout(resolve, 50));
      }
      expect(await storage.query('gone')).toEqual(undefined);
      expect(await storage.query('nobody')).toEqual(undefined);
      expect(await storage.query('busy')).toEqual({ here: 1, at: 1 });
      // Asking is no sign of life.
      const expired = async (): Promise<boolean> => (await storage.query('online')) === undefined;
      expect(await storage.query('online')).toEqual({ here: 1 });
      await waitUntil('the user to be forgotten', expired, 2_000);
      await storage.heartbeat([sessionOf('online')]);
      expect(await expired()).toEqual(true);
    });
  });
}
