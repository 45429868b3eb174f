import { afterEach, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi, GatewayApiModule, type Settings } from '@nestgate/worker';
import * as examples from './support/gateway-examples.js';
import { portOf, startApp } from '../../support/start-app.js';

describe('the examples of docs/gateway-api.md', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(): Promise<[FakeClient, FakeClient, GatewayApi]> {
    const handlers = {
      controllers: [examples.RoomTopics, examples.JobTopics],
      providers: [examples.Progress, examples.Rooms],
    };
    cluster = await createTestCluster({ gates: 2, workers: 1, handlers, gate: { currentClient: true } });
    const [one, two] = [await cluster.connect({ gate: 0 }), await cluster.connect({ gate: 1 })];
    const { api } = cluster.workers[0] as { api: GatewayApi };
    await api.bindUid(one.clientId, 'ada');
    await api.bindUid(two.clientId, 'bob');
    return [one, two, api];
  }

  it('handler', async () => {
    const [one, two] = await start();
    expect(await one.request('room/enter', 'lobby')).toEqual({ members: 1 });
    expect(await two.request('room/enter', 'lobby')).toEqual({ members: 2 });
    await one.push('room/entered', (body: { who: string }) => body.who === 'bob');
  });

  it('service', async () => {
    const bus = new MemoryBus();
    cluster = await createTestCluster({ gates: 2, link: () => bus.link() });
    const client = await cluster.connect({ gate: 1 });
    await cluster.api.bindUid(client.clientId, 'eve');
    // The module of the example, but on the link of this test.
    @Module({ imports: [GatewayApiModule.forRoot({ link: bus.link() })], controllers: [examples.AlertController] })
    class Service {}
    const app = await startApp({ imports: [Service] });
    try {
      const response = await fetch(`http://127.0.0.1:${portOf(app)}/users/eve/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', connection: 'close' },
        body: '{"level":3}',
      });
      expect(await response.json()).toEqual({ delivered: 1 });
      expect((await client.push('alert/new')).body).toEqual({ level: 3 });
    } finally {
      await app.close();
    }
    const whole = await Test.createTestingModule({ imports: [examples.AlertApp] }).compile();
    expect(whole.get(GatewayApi, { strict: false })).toBeInstanceOf(GatewayApi);
    await whole.close();
  });

  it('received', async () => {
    const [, , api] = await start();
    expect(await examples.deliver(api, 'nobody', {})).toBe('offline');
    // The clients of this test have no session that a gate keeps.
    expect(await examples.deliver(api, 'ada', { id: 1 })).toBe('not yet');
    const acknowledged = { sendToUid: () => Promise.resolve({ delivered: 2, received: 1 }) } as unknown as GatewayApi;
    expect(await examples.deliver(acknowledged, 'ada', {})).toBe('seen');
  });

  it('partial', async () => {
    const [, , api] = await start();
    expect(await examples.onlineCount(api)).toBe('2');
    const half = { getAllUidCount: () => Promise.resolve({ result: 1, missing: ['gate'] }) } as unknown as GatewayApi;
    expect(await examples.onlineCount(half)).toBe('at least 1');
  });

  it('pages, and one page', async () => {
    const [one, two, api] = await start();
    await api.joinGroup([one.clientId, two.clientId], 'lobby');
    await api.setSession(one.clientId, { a: 1 });
    const written = new Map<string, Settings>();
    await examples.exportSessions(api, async (id, session) => void written.set(id, session));
    expect(Object.fromEntries(written)).toEqual({ [one.clientId]: { a: 1 }, [two.clientId]: {} });
    expect(await examples.listUids(api)).toEqual({ uids: ['ada', 'bob'], next: undefined });
    expect(await examples.listUids(api, 'ada')).toEqual({ uids: ['bob'], next: undefined });
  });

  it('backpressure', async () => {
    const [one, , api] = await start();
    await api.joinGroup(one.clientId, 'lobby');
    async function* lines() {
      for (let n = 0; n < 300; n++) yield `line ${n}`;
    }
    await examples.replay(api, 'lobby', lines());
    await waitUntil('all lines', () => one.pushes('room/line').length === 300);
    expect(one.pushes('room/line').map(frame => frame.body)).toEqual(
      Array.from({ length: 300 }, (_, n) => `line ${n}`),
    );
  });

  it('typed events', async () => {
    const [one, two, api] = await start();
    await api.joinGroup([one.clientId, two.clientId], 'lobby');
    const rooms = cluster.workers[0]?.app.get(examples.Rooms) as examples.Rooms;
    expect(await rooms.close('lobby', 'ada')).toBe(2);
    await two.push('room/closed');
    expect(two.frames.slice(-2)).toEqual([
      { topic: 'room/said', body: { from: 'ada', text: 'Good night!' } },
      { topic: 'room/closed', body: null },
    ]);
    expect(await api.getAllGroupIdList()).toEqual([]);
  });

  it('current client', async () => {
    const [one, two] = await start();
    expect(await one.request('job/run', 4)).toBe('done');
    expect(one.pushes('job/progress').map(frame => frame.body)).toEqual([25, 50, 75, 100]);
    expect(two.pushes('job/progress')).toEqual([]);
  });

  it('revoke', async () => {
    const [one, two, api] = await start();
    await api.bindUid(two.clientId, 'ada');
    expect(await examples.logOutEverywhere(api, 'ada', two.clientId)).toEqual({ closed: 1, missing: [] });
    expect(await one.closed).toEqual({ code: 1008, reason: 'revoked' });
    const answers = [
      { result: 1, missing: ['gate'] },
      { result: 2, missing: [] },
    ];
    const late = { revoke: () => Promise.resolve(answers.shift()) } as unknown as GatewayApi;
    expect(await examples.logOutEverywhere(late, 'ada')).toEqual({ closed: 3, missing: [] });
    expect(answers).toEqual([]);
  });

  it('errors', async () => {
    const [one, , api] = await start();
    expect(await examples.rename(api, one.clientId, 'Ada')).toBe('renamed');
    expect(await api.getSession(one.clientId)).toEqual({ name: 'Ada' });
    await one.close();
    await waitUntil('the client to be gone', async () => !(await api.isOnline(one.clientId)));
    expect(await examples.rename(api, one.clientId, 'Ada')).toBe('gone');
    await expect(examples.rename(api, one.clientId, 1n as unknown as string)).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
    });
  });
});
