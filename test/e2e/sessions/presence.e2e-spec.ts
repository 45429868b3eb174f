import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { type GatewayApi, OnPresence, type PresenceEvent, WorkerModule } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';
import { startWorkerApp } from '../../support/start-app.js';

/** What has been told, and the state that follows from it. */
class Watch {
  readonly events: PresenceEvent[] = [];
  readonly online = new Set<string>();
  readonly members = new Map<string, Set<string>>();
  readonly faults: string[] = [];
  before: () => Promise<void> | void = () => undefined;

  note(event: PresenceEvent): void {
    this.events.push(event);
    if (!('group' in event)) {
      const before = this.online.size;
      if (event.type === 'online') this.online.add(event.userId);
      else this.online.delete(event.userId);
      if (this.online.size === before) this.faults.push(`${event.type} ${event.userId} twice`);
      return;
    }
    const members = this.members.get(event.group) ?? new Set();
    this.members.set(event.group, members);
    const before = members.size;
    if (event.type === 'join') members.add(event.clientId);
    else members.delete(event.clientId);
    if (members.size === before) this.faults.push(`${event.type} ${event.group} ${event.clientId} twice`);
  }

  of(group: string): string[] {
    return [...(this.members.get(group) ?? [])].sort();
  }
}

@Controller()
class Watcher {
  constructor(private readonly watch: Watch) {}

  @OnPresence()
  async seen(@Payload() event: PresenceEvent): Promise<void> {
    await this.watch.before();
    this.watch.note(event);
  }
}

@Controller()
class OfflineOnly {
  constructor(private readonly watch: Watch) {}

  @OnPresence('offline')
  seen(@Payload() event: PresenceEvent): void {
    this.watch.note(event);
  }
}

const GATES = 2;

describe.each(LINKS)('presence, watched by workers over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let watch: Watch;
  let api: GatewayApi;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function start(controllers: (typeof Watcher | typeof OfflineOnly)[] = [Watcher]): Promise<void> {
    watch = new Watch();
    cluster = await createTestCluster({
      gates: GATES,
      workers: 1,
      handlers: { controllers, providers: [{ provide: Watch, useValue: watch }] },
      link: await links.forCluster(GATES),
    });
    api = (cluster.workers[0] as { api: GatewayApi }).api;
  }

  it('reports the first and the last client of a uid in the cluster, and nothing in between', async () => {
    await start();
    const [one, two] = (await Promise.all([0, 1].map(gate => cluster.connect({ gate })))) as [FakeClient, FakeClient];
    await api.bindUid(one.clientId, 'ada');
    await api.bindUid(two.clientId, 'ada');
    await api.bindUid(two.clientId, 'bob');
    await api.unbindUid(two.clientId, 'bob');
    await api.bindUid(two.clientId, 'ada');
    await one.close();
    await two.close();
    await waitUntil('the end', () => watch.events.filter(event => event.type === 'offline').length === 2);
    const of = (uid: string) => watch.events.filter(event => event.userId === uid).map(event => event.type);
    expect(of('ada')).toEqual(['online', 'offline']);
    expect(of('bob')).toEqual(['online', 'offline']);
    expect(watch.events.every(event => !event.isInitial)).toBe(true);
  });

  it('tells who joins and leaves a group, in whatever way', async () => {
    await start();
    const clients = await Promise.all([0, 1, 0].map(gate => cluster.connect({ gate })));
    const ids = clients.map(client => client.clientId);
    await api.bindUid(ids[0] as string, 'ada');
    await api.joinGroup(ids, ['lobby', 'hall']);
    await api.joinGroup(ids, 'lobby');
    await waitUntil('the joins', () => watch.of('lobby').length === 3 && watch.of('hall').length === 3);
    expect(watch.events.find(event => 'group' in event && event.clientId === ids[0])?.userId).toBe('ada');
    await api.leaveGroup(ids[0] as string, 'lobby');
    await clients[1]?.close();
    await waitUntil('the leaves', () => watch.of('lobby').length === 1);
    await api.ungroup('lobby');
    await waitUntil('the end of the group', () => watch.of('lobby').length === 0);
    await waitUntil('the other group', () => watch.of('hall').length === 2);
    expect(watch.faults).toEqual([]);
  });

  it('tells a worker that comes later what there is, as initial', async () => {
    const link = await links.forCluster(GATES);
    watch = new Watch();
    const bus = link ? undefined : new MemoryBus();
    const linkOf = link ?? (() => (bus as MemoryBus).link());
    cluster = await createTestCluster({ gates: GATES, workers: 1, link: linkOf });
    api = (cluster.workers[0] as { api: GatewayApi }).api;
    const clients = await Promise.all([0, 1].map(gate => cluster.connect({ gate })));
    for (const { clientId } of clients) {
      await api.bindUid(clientId, 'ada');
      await api.joinGroup(clientId, 'lobby');
    }
    const worker = await startWorkerApp({
      imports: [WorkerModule.forRoot({ link: linkOf('worker', 1) })],
      controllers: [Watcher],
      providers: [{ provide: Watch, useValue: watch }],
    });
    await waitUntil('all to be told', () => watch.online.size === 1 && watch.of('lobby').length === 2);
    expect(watch.events).toHaveLength(3);
    expect(watch.events.every(event => event.isInitial)).toBe(true);
    await api.leaveGroup(clients[0]?.clientId as string, 'lobby');
    await waitUntil('a change', () => watch.of('lobby').length === 1);
    expect(watch.events.at(-1)).toMatchObject({ type: 'leave', isInitial: false });
    await worker.close();
    await api.leaveGroup(clients[1]?.clientId as string, 'lobby');
    expect(watch.of('lobby')).toHaveLength(1);
  });

  it('reports the last leave of a lost gate, exactly once', async () => {
    await start();
    const clients = await Promise.all([0, 1, 1].map(gate => cluster.connect({ gate })));
    const ids = clients.map(client => client.clientId);
    await api.bindUid(ids[0] as string, 'ada');
    await api.bindUid(ids[1] as string, 'ada');
    await api.bindUid(ids[2] as string, 'eve');
    await api.joinGroup(ids, 'lobby');
    await waitUntil('all to be there', () => watch.online.size === 2 && watch.of('lobby').length === 3);
    // As a killed process does: its connections end without a word.
    const link = cluster.gates[1]?.app.get(LinkNode);
    await link?.close({ drain: false });
    await waitUntil('its clients to be gone', () => watch.of('lobby').length === 1 && watch.online.size === 1, 15_000);
    expect([...watch.online]).toEqual(['ada']);
    expect(watch.of('lobby')).toEqual([ids[0]]);
    expect(watch.faults).toEqual([]);
  });

  it('gives a method only the types it asks for', async () => {
    await start([OfflineOnly]);
    watch.online.add('ada');
    const client = await cluster.connect();
    await api.bindUid(client.clientId, 'ada');
    await api.joinGroup(client.clientId, 'lobby');
    await client.close();
    await waitUntil('the event', () => watch.events.length > 0);
    expect(watch.events).toEqual([{ type: 'offline', userId: 'ada', isInitial: false }]);
  });

  it('keeps the order of a uid and of a group when handlers take their time', async () => {
    await start();
    let pause = 0;
    watch.before = () => new Promise(resolve => setTimeout(resolve, (pause = (pause + 7) % 20)));
    const client = await cluster.connect();
    for (let round = 0; round < 10; round++) {
      await api.bindUid(client.clientId, 'ada');
      await api.joinGroup(client.clientId, 'lobby');
      await api.unbindUid(client.clientId, 'ada');
      await api.leaveGroup(client.clientId, 'lobby');
    }
    await waitUntil('all events', () => watch.events.length === 40);
    expect(watch.faults).toEqual([]);
    expect(watch.online.size).toBe(0);
  });
});
