import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Injectable, Logger } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Gate, type GateModuleExtras, TapRedactor, type TappedBody } from '@nestgate/gate';
import { NoBodies } from '../gate/support/gate-examples.js';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClusterApi, OnTopic, type TapAnswer, type TapFrame, type TopicTapAnswer } from '@nestgate/worker';

@Controller()
class Topics {
  @OnTopic('chat/echo')
  echo(@Payload() body: unknown): unknown {
    return body ?? null;
  }

  @OnTopic('other/fail')
  fail(): never {
    throw new Error('never mind');
  }
}

/** Shows whose body it is, and fails on demand. */
@Injectable()
class OwnRedactor extends TapRedactor {
  override redact({ uid, way, topic, body }: TappedBody): unknown {
    if (body === 'fail') throw new Error('a redactor that fails');
    return body === 'nothing' ? undefined : { uid, way, topic };
  }
}

describe('ClusterApi.tapClient', () => {
  let cluster: TestCluster;
  afterEach(async () => {
    jest.restoreAllMocks();
    await cluster.close();
  });

  const apiOf = (): ClusterApi => (cluster.workers[0] ?? cluster.gate).app.get(ClusterApi);

  async function start(extras: Partial<GateModuleExtras> = {}): Promise<{ api: ClusterApi; client: FakeClient }> {
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      handlers: { controllers: [Topics] },
      gate: { messageRate: 0, ...extras },
    });
    const client = await cluster.connect({ gate: 1 });
    return { api: apiOf(), client };
  }

  const begin = (api: ClusterApi, client: FakeClient, topic?: string): Promise<TapAnswer> =>
    api.tapClient(client.clientId, { topic });

  /** The frames from an answer on, when so many are there. */
  async function frames(client: FakeClient, begun: TapAnswer, count: number): Promise<readonly TapFrame[]> {
    const seen: TapFrame[] = [];
    let { cursor } = begun;
    await waitUntil(`${count} frames`, async () => {
      const answer = await apiOf().tapClient(client.clientId, { cursor });
      seen.push(...answer.frames);
      cursor = answer.cursor;
      return seen.length >= count;
    });
    return seen;
  }

  it('shows what one session sends and receives, with secrets hidden, and nothing of others', async () => {
    const warned = jest.spyOn(Logger.prototype, 'warn');
    const { api, client } = await start();
    const neighbour = await cluster.connect({ gate: 1 });
    const begun = await begin(api, client);
    expect(begun).toMatchObject({ frames: [], skipped: 0, isOver: false });
    expect(begun.endsInMs).toBeGreaterThan(58_000);
    expect(
      await client.request('chat/echo', { text: '<b>', user: { Password: 'x', api_key: 'y', n: [1] } }),
    ).toBeDefined();
    await neighbour.request('chat/echo', 'secret of the neighbour');
    await client.request('other/fail').catch(() => undefined);
    await cluster.api.sendToClient(client.clientId, 'news/new', 'x'.repeat(3_000));
    const seen = await frames(client, begun, 5);
    const body = '{"text":"<b>","user":{"Password":"[hidden]","api_key":"[hidden]","n":[1]}}';
    expect(seen).toMatchObject([
      { n: 1, way: 'in', kind: 'request', topic: 'chat/echo', body },
      { n: 2, way: 'out', kind: 'reply', topic: 'chat/echo', body },
      { n: 3, way: 'in', kind: 'request', topic: 'other/fail' },
      { n: 4, way: 'out', kind: 'error', topic: 'other/fail', code: 'INTERNAL' },
      { n: 5, way: 'out', kind: 'push', topic: 'news/new', id: 0, isCut: true },
    ]);
    expect(seen[0]?.id).toBe(seen[1]?.id);
    expect(seen[4]?.body).toHaveLength(1_024);
    expect(seen[4]?.bytes).toBeGreaterThan(3_000);
    expect(JSON.stringify(seen)).not.toContain('neighbour');
    expect(warned.mock.calls.map(([line]) => String(line))).toContainEqual(
      expect.stringMatching(new RegExp(`taps ${client.clientId.replaceAll('.', '\\.')}$`)),
    );
  });

  it('records only the wanted topic or module, for each who looks on its own', async () => {
    const { api, client } = await start();
    const [all, module, topic] = [
      await begin(api, client),
      await begin(api, client, 'chat'),
      await begin(api, client, 'chat/ech'),
    ];
    await client.request('other/fail').catch(() => undefined);
    await client.request('chat/echo', 1);
    expect((await frames(client, all, 4)).map(({ kind }) => kind)).toEqual(['request', 'error', 'request', 'reply']);
    expect((await frames(client, module, 2)).map(({ topic: name }) => name)).toEqual(['chat/echo', 'chat/echo']);
    expect((await api.tapClient(client.clientId, { cursor: topic.cursor })).frames).toEqual([]);
  });

  it('is bounded: 50 frames a second, the others are counted, and the client does not notice', async () => {
    const { api, client } = await start();
    const begun = await begin(api, client);
    const replies = await Promise.all(Array.from({ length: 400 }, (_each, n) => client.request('chat/echo', n)));
    expect(replies).toEqual(Array.from({ length: 400 }, (_each, n) => n));
    const answer = await api.tapClient(client.clientId, { cursor: begun.cursor });
    expect(answer.frames.length + answer.skipped).toBe(800);
    expect(answer.frames.length).toBeGreaterThanOrEqual(50);
    expect(answer.skipped).toBeGreaterThan(300);
  });

  it('goes on until the client is gone, and then its wire is its own again', async () => {
    const { api, client } = await start();
    const agent = cluster.gates[1]?.app.get(Gate).delegater.getAgent(client.clientId);
    const wire = agent?.wire;
    const begun = await begin(api, client);
    expect(agent?.wire).not.toBe(wire);
    await client.request('chat/echo', 1);
    await client.close();
    await waitUntil('the client to be gone', async () => (await api.getClient(client.clientId)) === null);
    const last = await api.tapClient(client.clientId, { cursor: begun.cursor });
    expect(last).toMatchObject({ isOver: true, endsInMs: 0 });
    expect(last.frames.map(({ kind }) => kind)).toEqual(['request', 'reply']);
    expect(agent?.wire).toBe(wire);
    expect(await api.tapClient(client.clientId, { cursor: last.cursor })).toMatchObject({ frames: [], isOver: true });
  });

  it('asks the redactor of the application; what that throws hides the body, and nothing else', async () => {
    const { api, client } = await start({ providers: [{ provide: TapRedactor, useClass: OwnRedactor }] });
    await cluster.api.bindUid(client.clientId, 'ann');
    const begun = await begin(api, client);
    for (const body of [1, 'nothing', 'fail', 2]) expect(await client.request('chat/echo', body)).toBe(body);
    const seen = await frames(client, begun, 8);
    expect(seen[0]?.body).toBe('{"uid":"ann","way":"in","topic":"chat/echo"}');
    expect(seen.map(({ body }) => body !== undefined)).toEqual([true, true, false, false, true, true, true, true]);
    expect(seen.slice(4, 6).map(({ body }) => body)).toEqual(['[hidden]', '[hidden]']);
  });

  it('runs the example of the documentation', async () => {
    const { api, client } = await start({ providers: [{ provide: TapRedactor, useClass: NoBodies }] });
    const begun = await begin(api, client);
    await client.request('chat/echo', 1);
    await cluster.api.sendToClient(client.clientId, 'health/news', 2);
    expect((await frames(client, begun, 3)).map(({ body }) => body)).toEqual(['"[private]"', '"[private]"', '2']);
  });

  it('has at most 16 at once on a gate, and refuses what is no tap', async () => {
    const { api, client } = await start();
    const taps = await Promise.all(Array.from({ length: 16 }, () => api.tapClient(client.clientId)));
    expect(new Set(taps.map(({ cursor }) => cursor)).size).toBe(16);
    await expect(api.tapClient(client.clientId)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(api.tapClient('nobody')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    for (const cursor of ['x', '1-', '99999-0', '-1', '1-2-3', '__proto__', '1e3-1']) {
      expect(await api.tapClient(client.clientId, { cursor })).toMatchObject({ frames: [], isOver: true });
    }
    const bad = [5, '', 'x'.repeat(300), {}] as never[];
    for (const value of bad) {
      await expect(api.tapClient(client.clientId, { cursor: value })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      await expect(api.tapClient(client.clientId, { topic: value })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
  });
});

describe('ClusterApi.tapTopic', () => {
  let cluster: TestCluster;
  let api: ClusterApi;
  afterEach(async () => {
    jest.restoreAllMocks();
    await cluster.close();
  });

  async function start(gate: object = {}): Promise<FakeClient[]> {
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      handlers: { controllers: [Topics] },
      gate: { messageRate: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0, ...gate },
    });
    api = (cluster.workers[0] ?? cluster.gate).app.get(ClusterApi);
    return [await cluster.connect({ gate: 0 }), await cluster.connect({ gate: 1 })];
  }

  const next = ({ cursor }: TopicTapAnswer, topic = 'chat'): Promise<TopicTapAnswer> => api.tapTopic(topic, { cursor });

  it('shows the frames of a topic or module of all sessions, of later ones too, each with its client', async () => {
    const warned = jest.spyOn(Logger.prototype, 'warn');
    const clients = await start();
    const begun = await api.tapTopic('chat');
    expect(begun).toMatchObject({ frames: [], tapped: 2, clients: 2, skipped: 0, isOver: false, missing: [] });
    for (const [n, client] of clients.entries()) await client.request('chat/echo', { n, token: 'x' });
    await clients[0]?.request('other/fail').catch(() => undefined);
    const first = await next(begun);
    expect(first.frames.map(({ way, kind, topic, body, clientId }) => [way, kind, topic, body, clientId])).toEqual(
      clients.flatMap(({ clientId }, n) => [
        ['in', 'request', 'chat/echo', JSON.stringify({ n, token: '[hidden]' }), clientId],
        ['out', 'reply', 'chat/echo', JSON.stringify({ n, token: '[hidden]' }), clientId],
      ]),
    );
    const late = await cluster.connect({ gate: 1 });
    expect(await next(first)).toMatchObject({ frames: [], tapped: 3, clients: 3 });
    await cluster.api.sendToAll('chat/said', 1);
    await late.push('chat/said');
    const pushed = await next(first);
    expect(pushed.frames.map(({ clientId }) => clientId).sort()).toEqual(
      [...clients, late].map(({ clientId }) => clientId).sort(),
    );
    expect(warned.mock.calls.filter(([line]) => String(line).endsWith('taps all sessions, only chat'))).toHaveLength(2);
    await late.close();
    await waitUntil('it to be forgotten', async () => (await next(first)).tapped === 2);
  });

  it('is bounded: 50 frames a second and gate, 1,000 sessions, two at once', async () => {
    const [client] = (await start()) as [FakeClient];
    const begun = await api.tapTopic('chat');
    await Promise.all(Array.from({ length: 400 }, (_each, n) => client.request('chat/echo', n)));
    const answer = await next(begun);
    expect(answer.frames.length + answer.skipped).toBe(800);
    expect(answer.frames.length).toBeLessThan(500);
    const second = await api.tapTopic('other');
    await expect(api.tapTopic('third')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(second.isOver).toBe(false);
    // Taps of one session are others.
    expect(await api.tapClient(client.clientId)).toMatchObject({ isOver: false });
  });

  it('listens to so many sessions of a gate', async () => {
    await start();
    const { delegater } = cluster.gate.app.get(Gate);
    const [agent] = [...delegater.sessions()];
    // Sessions that cost this test no sockets.
    const hub = (delegater as unknown as { hub: { all(): Iterable<unknown> } }).hub;
    const many = Array.from({ length: 1_500 }, () => Object.create(agent as object) as object);
    const all = jest.spyOn(hub, 'all').mockImplementation(() => many.values() as never);
    expect((await api.tapTopic('chat')).tapped).toBe(1_001);
    all.mockRestore();
  });

  it('refuses what is no topic or cursor, and knows no tap that is over', async () => {
    await start();
    for (const value of [5, '', 'x'.repeat(300), {}] as never[]) {
      await expect(api.tapTopic(value)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      await expect(api.tapTopic('chat', { cursor: value })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
    await expect(api.tapTopic(undefined as never)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    for (const cursor of ['1', '__proto__', 'nobody']) {
      expect(await api.tapTopic('chat', { cursor })).toMatchObject({ frames: [], isOver: true, tapped: 0, clients: 2 });
    }
  });
});
