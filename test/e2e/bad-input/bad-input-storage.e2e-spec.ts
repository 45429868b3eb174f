import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { type GateModuleExtras, StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { FakeRedis } from '../support/storage-redis-support.js';
import { ScriptedStorage } from '../support/storage-support.js';

const MIB = 1024 * 1024;

/** What Redis may answer in place of a user's data. The last ones leave the client waiting, or without a connection. */
const ANSWERS: readonly (readonly [what: string, answer: string])[] = [
  ['OOM', "-OOM command not allowed when used memory > 'maxmemory'."],
  ['READONLY', "-READONLY You can't write against a read only replica."],
  ['LOADING', '-LOADING Redis is loading the dataset in memory'],
  ['WRONGTYPE', '-WRONGTYPE Operation against a key holding the wrong kind of value'],
  ['NOAUTH', '-NOAUTH Authentication required.'],
  ['an error with ESC and without end', `-ERR \u001b[31m${'x'.repeat(10_000)}`],
  ['a number', ':7'],
  ['a text', '+OK'],
  ['nothing', '$-1'],
  ['2 MiB of text', `$${2 * MIB}\r\n${'x'.repeat(2 * MIB)}`],
  ['half of a text', '$100\r\nabc'],
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
];

/** What a storage of the application's own may give. */
const VALUES: readonly (readonly [what: string, value: unknown])[] = [
  ['an array', [1]],
  ['a text', '{"a":1}'],
  ['a number', 7],
  ['true', true],
  ['a BigInt inside', { a: 1n }],
  ['a bad key', { '': 1 }],
  ['a key with a line end', { 'a\r\nb': 1 }],
  ['a key of a lone surrogate', { '\ud800': 1 }],
  ['2 MiB', { a: 'x'.repeat(2 * MIB) }],
  ['10,000 arrays in each other', { a: JSON.parse('['.repeat(10_000) + ']'.repeat(10_000)) as unknown }],
];

/** A gate with a storage that a test has something to say about. */
function gateWith(storage: StorageHandler): Promise<TestCluster> {
  const gate: GateModuleExtras = { providers: [{ provide: StorageHandler, useValue: storage }] };
  const options = { maxConnectionsPerIp: 0, messageRate: 0 };
  return createTestCluster({ handlers: { imports: [HandlersModule] }, gate: { ...options, ...gate } });
}

/** Binds a client: that fails with a code, is counted, and leaves the client as it was. */
async function expectRefusal(cluster: TestCluster, what: string): Promise<void> {
  const client = await cluster.connect();
  await client.request('session/set', { key: 'own', value: 1 });
  const failures = (): number =>
    Object.values(countersOf(cluster).snapshot()['storage_failures'] ?? {}).reduce((sum, count) => sum + count, 0);
  const refused = (): number => countersOf(cluster).get('frames_refused', 'STORAGE_UNAVAILABLE');
  const before = [failures(), refused()] as const;
  const { error } = await client.exchange('chat/login', { name: 'ada' });
  expect([what, error?.code, failures() - before[0], refused() - before[1]]).toEqual([
    what,
    'STORAGE_UNAVAILABLE',
    1,
    1,
  ]);
  const { clientId } = client;
  expect(await client.request('session/get')).toEqual({ clientId, userId: '', settings: { own: 1 } });
  expect(await cluster.api.getAllUidList()).toEqual([]);
  await client.close();
}

/** Binds a client without what is stored of the user: that cannot be used, which is counted. */
async function expectLogin(cluster: TestCluster, what: string): Promise<void> {
  const client = await cluster.connect();
  await client.request('session/set', { key: 'own', value: 1 });
  const quarantined = (): number => countersOf(cluster).get('storage_failures', 'quarantined');
  const before = quarantined();
  const { error } = await client.exchange('chat/login', { name: 'ada' });
  expect([what, error?.code, quarantined() - before]).toEqual([what, undefined, 1]);
  const { clientId } = client;
  expect(await client.request('session/get')).toEqual({ clientId, userId: 'ada', settings: { own: 1 } });
  await client.close();
}

describe('a Redis that gives something else than the data of a user', () => {
  let fake: FakeRedis;
  let cluster: TestCluster;

  beforeAll(async () => {
    fake = await FakeRedis.start();
    cluster = await gateWith(new RedisStorage({ client: fake.url }));
  });
  afterAll(async () => {
    await cluster.close();
    fake.end();
  });

  it('(a list of lists) does not keep the user out, is counted, and nobody else notices', () =>
    withNeighbour(cluster, () => {
      fake.answer = () => '*2\r\n*1\r\n:1\r\n*0';
      return expectLogin(cluster, 'a list of lists');
    }));

  it.each(ANSWERS)('(%s) is an error with a code for who asked, counted, and nobody else notices', (what, answer) =>
    withNeighbour(cluster, () => {
      fake.answer = () => answer;
      return expectRefusal(cluster, what);
    }),
  );
});

describe('a storage that gives what is no session', () => {
  let storage: ScriptedStorage;
  let cluster: TestCluster;

  beforeAll(async () => {
    storage = new ScriptedStorage();
    cluster = await gateWith(storage);
  });
  afterAll(() => cluster.close());

  it.each(VALUES)('(%s) does not keep the user out, is counted, and nobody else notices', (what, value) =>
    withNeighbour(cluster, () => {
      storage.answer = () => value;
      return expectLogin(cluster, what);
    }),
  );
});
