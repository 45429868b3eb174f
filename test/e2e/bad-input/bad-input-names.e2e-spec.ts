import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';
import { createTestCluster, type FakeClient, ODD_NAMES, RedisProcess, type TestCluster } from '@nestgate/testing';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';

type StorageName = 'memory' | 'redis';

/** Each link, and each storage: what the two do with names has nothing to do with each other. */
const CASES: readonly (readonly [LinkName, StorageName])[] = [
  ['memory', 'memory'],
  ...LINKS.map(link => [link, 'redis'] as const),
];

/** What no uid, group or key may be. */
const BAD_NAMES: readonly [what: string, name: unknown][] = [
  ['nothing', ''],
  ['129 bytes', 'x'.repeat(129)],
  ['129 bytes of 43 characters', '€'.repeat(43)],
  ['NUL', 'a\u0000'],
  ['a line end', 'a\r\nb'],
  ['ESC', '\u001b[31m'],
  ['DEL', '\u007f'],
  ['a lone surrogate', '\ud800'],
  ['two in the wrong order', 'a\udc00\ud800'],
  ['an object', { toString: 'ada' }],
  ['a list', ['ada']],
  ['a number', 7],
  ['null', null],
  ['left out', undefined],
];

describe.each(CASES)('free text over %s with users in %s', (linkName: LinkName, storageName: StorageName) => {
  let links: LinkSupply;
  let redis: RedisProcess | undefined;
  let storage: RedisStorage | undefined;
  let cluster: TestCluster;
  const clients: FakeClient[] = [];

  beforeAll(async () => {
    links = await LinkSupply.open(linkName);
    if (storageName === 'redis') {
      redis = await RedisProcess.start();
      storage = new RedisStorage({ client: redis.url });
    }
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      handlers: { imports: [HandlersModule] },
      link: await links.forCluster(2, { meshed: true }),
      gate: {
        maxConnectionsPerIp: 0,
        messageRate: 0,
        providers: storage ? [{ provide: StorageHandler, useValue: storage }] : [],
      },
    });
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map(client => client.close()));
  });
  afterAll(async () => {
    await cluster.close();
    await links.close();
    await redis?.end();
  });

  async function connect(gate = 0): Promise<FakeClient> {
    const client = await cluster.connect({ gate });
    clients.push(client);
    return client;
  }

  it('is a uid, a group and a key like any other', () =>
    withNeighbour(cluster, async () => {
      const sender = await connect();
      const pairs = new Map<string, FakeClient[]>();
      const settle = async (name: string): Promise<void> => {
        const pair = await Promise.all([connect(0), connect(1)]);
        pairs.set(name, pair);
        for (const client of pair) {
          await client.request('chat/login', { name });
          await client.request('fan/join', { group: name });
        }
        await pair[0].request('session/set', { key: name, value: [name] });
      };
      await Promise.all(ODD_NAMES.map(settle));
      for (const name of ODD_NAMES) {
        expect(await sender.request('chat/whisper', { to: name, text: name })).toEqual({ delivered: 2 });
        expect(await sender.request('fan/out', { group: name, data: name })).toEqual({ delivered: 2 });
      }
      for (const [name, pair] of pairs) {
        for (const client of pair) {
          // Its own, and nobody else's.
          await client.push('fan/msg', body => body === name);
          expect(client.pushes('fan/msg').map(({ body }) => body)).toEqual([name]);
          expect(client.pushes('chat/whispered').map(({ body }) => (body as { text: string }).text)).toEqual([name]);
        }
        const { settings, userId } = await (pair[0] as FakeClient).request<{ settings: object; userId: string }>(
          'session/get',
        );
        expect([userId, ...Object.entries(settings)]).toEqual([name, [name, [name]]]);
        expect(await cluster.api.getClientIdByUid(name)).toHaveLength(2);
        expect(await cluster.api.getClientCountByGroup(name)).toBe(2);
      }
      expect((await cluster.api.getAllUidList()).toSorted()).toEqual(ODD_NAMES.toSorted());
      expect((await cluster.api.getAllGroupIdList()).toSorted()).toEqual(ODD_NAMES.toSorted());

      // A client that reconnects finds the settings of its own name only.
      await Promise.all(clients.splice(0).map(client => client.close()));
      const comeBack = async (name: string): Promise<void> => {
        const client = await connect(1);
        await client.request('chat/login', { name });
        const { settings } = await client.request<{ settings: object }>('session/get');
        // In memory each gate keeps its own.
        expect(Object.entries(settings)).toEqual(storageName === 'redis' ? [[name, [name]]] : []);
      };
      await Promise.all(ODD_NAMES.map(comeBack));
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      await Promise.all(clients.splice(0).map(client => client.close()));
    }));

  it('that cannot be one is an error with a code, is counted, and changes nothing', () =>
    withNeighbour(cluster, async () => {
      const client = await connect();
      await client.request('chat/login', { name: 'bob' });
      const before = await client.request('session/get');
      for (const [what, name] of BAD_NAMES) {
        for (const [topic, body] of [
          ['chat/login', { name }],
          ['fan/join', { group: name }],
          ['session/set', { key: name, value: 1 }],
          ['chat/whisper', { to: name, text: 'x' }],
        ] as const) {
          const counted = countersOf(cluster).get('frames_refused', 'BAD_REQUEST');
          const { error } = await client.exchange(topic, body);
          expect([topic, what, error?.code]).toEqual([topic, what, 'BAD_REQUEST']);
          expect(countersOf(cluster).get('frames_refused', 'BAD_REQUEST')).toBe(counted + 1);
        }
      }
      expect(await client.request('session/get')).toEqual(before);
      expect(await cluster.api.getAllGroupIdList()).toEqual([]);
      await Promise.all(clients.splice(0).map(each => each.close()));
    }));
});
