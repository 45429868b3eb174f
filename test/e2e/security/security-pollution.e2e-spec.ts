import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';
import { createTestCluster, type FakeClient, RedisProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import {
  ClientSession,
  type GatewayApi,
  OnPresence,
  OnTopic,
  type PresenceEvent,
  Session,
  type Settings,
} from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

/** Names that mean something to objects. */
const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__'] as const;
/** As text, because an object literal would take `__proto__` for what it is not. */
const EVIL =
  '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"prototype":{"polluted":1},' +
  '"deep":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"list":[{"__proto__":{"polluted":1}}]}}';
const MORE = '{"__proto__":{"more":2},"constructor":{"prototype":{"more":2}},"deep":{"__proto__":{"more":2}}}';
const MERGED =
  '{"__proto__":{"polluted":1,"more":2},"constructor":{"prototype":{"polluted":1,"more":2}},"prototype":{"polluted":1},' +
  '"deep":{"__proto__":{"polluted":1,"more":2},"constructor":{"prototype":{"polluted":1}},"list":[{"__proto__":{"polluted":1}}]}}';

const parse = (text: string) => JSON.parse(text) as Settings;
/** Keys in one order, which a storage does not keep. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );

/** The objects that everything else inherits from, as they were. */
const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, Map.prototype, String.prototype] as const;
const KEYS = PROTOTYPES.map(prototype => Reflect.ownKeys(prototype).length);
function expectClean(): void {
  expect(PROTOTYPES.map(prototype => Reflect.ownKeys(prototype).length)).toEqual(KEYS);
  for (const key of ['polluted', 'more']) expect(Reflect.get({}, key)).toBeUndefined();
}

@Controller()
class SettingTopics {
  readonly seen: PresenceEvent[] = [];

  @OnTopic('evil/echo')
  echo(@Payload() body: unknown) {
    return { ...(body as object) };
  }

  @OnTopic('evil/field')
  field(@Payload('polluted') field: unknown) {
    return field === undefined;
  }

  @OnTopic('evil/import')
  async import(@Payload() body: Settings, @ClientSession() session: Session) {
    session.importSettings(body);
    await session.toPush();
    const clone = session.clone();
    clone.importSettings(parse(MORE));
    clone.setSettings(clone.cloneSettings());
    return { own: session.cloneSettings(), clone: clone.cloneSettings(), none: session.get('polluted') === undefined };
  }

  @OnTopic('evil/get')
  get(@Payload() key: string, @ClientSession() session: Session) {
    return session.get(key) ?? 'nothing';
  }

  @OnPresence()
  presence(@Payload() event: PresenceEvent) {
    this.seen.push(event);
  }
}

describe.each(LINKS)('names and keys that mean something to objects, over %s', (name: LinkName) => {
  let redis: RedisProcess;
  let links: LinkSupply;
  let cluster: TestCluster;
  let api: GatewayApi;

  beforeAll(async () => {
    [redis, links] = await Promise.all([RedisProcess.start(), LinkSupply.open(name)]);
    const link = await links.forCluster(2);
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      ...(link ? { link } : {}),
      handlers: { controllers: [SettingTopics] },
      gate: {
        providers: [{ provide: StorageHandler, useFactory: () => new RedisStorage({ client: redis.url }) }],
      },
    });
    ({ api } = cluster.workers[0] as { api: GatewayApi });
  });
  afterAll(async () => {
    await cluster.close();
    await links.close();
    await redis.end();
    expectClean();
  });

  it('are data in bodies', async () => {
    const client = await cluster.connect();
    for (const id of [1, 2]) client.sendRaw(`{"topic":"evil/echo","body":${EVIL},"id":${id}}`);
    expect(JSON.stringify((await client.answer(2)).body)).toBe(EVIL);
    client.sendRaw(`{"__proto__":{"topic":"evil/echo"},"id":3,"topic":"evil/field","body":${EVIL}}`);
    expect((await client.answer(3)).body).toBe(true);
    client.sendRaw(`{"__proto__":{"topic":"evil/field","id":4},"body":{}}`);
    expect(((await client.push('$gate/error')).body as { code: string }).code).toBe('BAD_FRAME');
    expectClean();
  });

  it('are data in settings: set, merged, imported, cloned', async () => {
    const client = await cluster.connect({ gate: 1 });
    const { clientId } = client;
    await api.setSession(clientId, parse(EVIL));
    expect(JSON.stringify(await api.getSession(clientId))).toBe(EVIL);
    await api.updateSession(clientId, parse(MORE), { deep: true });
    expect(sorted(await api.getSession(clientId))).toBe(sorted(parse(MERGED)));
    expect(await client.request('evil/get', 'polluted')).toBe('nothing');
    expect(await client.request('evil/get', 'valueOf')).toBe('nothing');
    expect(sorted(await client.request('evil/get', '__proto__'))).toBe('{"more":2,"polluted":1}');
    const imported = await cluster.connect();
    imported.sendRaw(`{"topic":"evil/import","body":${EVIL},"id":1}`);
    const { own, clone, none } = (await imported.answer(1)).body as Record<string, unknown>;
    expect([JSON.stringify(own), JSON.stringify(clone), none]).toEqual([EVIL, EVIL, true]);
    const sessions = await api.getAllClientSessions();
    expect(JSON.stringify(sessions[imported.clientId])).toBe(EVIL);
    expectClean();
  });

  it('are data in what is stored', async () => {
    const [first, second] = [await cluster.connect(), await cluster.connect({ gate: 1 })];
    for (const uid of NAMES) {
      await api.setSession(first.clientId, parse(EVIL));
      await api.bindUid(first.clientId, uid);
      await api.bindUid(second.clientId, uid);
      expect(sorted(await api.getSession(second.clientId))).toBe(sorted(parse(EVIL)));
      expect((await api.getClientIdByUid(uid)).toSorted()).toEqual([first.clientId, second.clientId].toSorted());
    }
    expectClean();
  });

  it('are names of users and groups like any others', async () => {
    const clients: FakeClient[] = [];
    for (const [index, each] of NAMES.entries()) {
      const client = await cluster.connect({ gate: index % 2 });
      clients.push(client);
      await api.bindUid(client.clientId, `${each}!`);
      await api.bindUid(client.clientId, each);
      await api.joinGroup(client.clientId, each);
    }
    expect(JSON.stringify(await api.getClientIdByUids(['valueOf', '__proto__', 'nobody']))).toMatch(
      /^\{"valueOf":\[\],"__proto__":\["[^"]+"(,"[^"]+")*\],"nobody":\[\]\}$/,
    );
    const counts = new Map(Object.entries(await api.getAllGroupClientIdCount()));
    expect([...counts].toSorted()).toEqual(NAMES.map(each => [each, 1] as const).toSorted());
    for (const [index, each] of NAMES.entries()) {
      await api.sendToGroup(each, 'evil/to', each);
      expect((await (clients[index] as FakeClient).push('evil/to')).body).toBe(each);
      expect(await api.isUidOnline(each)).toBe(true);
    }
    for (const each of ['valueOf', '__lookupGetter__']) expect(await api.isUidOnline(each)).toBe(false);
    const topics = cluster.workers[0]?.app.get(SettingTopics) as SettingTopics;
    await waitUntil('presence to have reported all', () =>
      NAMES.every(each =>
        topics.seen.some(event => event.type === 'join' && event.group === each && event.userId === each),
      ),
    );
    expect(await api.revoke('__proto__')).toBeGreaterThan(0);
    expectClean();
  });
});
