import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { SessionLearner } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi } from '@nestgate/worker';
import { Courier, CurrentTopics, Diary } from './support/gateway-current-support.js';

/** The topics of what a client got, in their order. */
const topicsOf = (client: FakeClient) => client.frames.flatMap(({ topic }) => (topic?.startsWith('got/') ? topic : []));

describe.each([
  ['on a worker', 1],
  ['in the gate', 0],
])('the current client, in handlers %s', (_where, workers) => {
  const diary = new Diary();
  const providers = [Courier, { provide: Diary, useValue: diary }];
  const handlers = { controllers: [CurrentTopics], providers };
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(): Promise<FakeClient> {
    cluster = await createTestCluster({ gates: 2, workers, handlers, gate: { messageRate: 0, currentClient: true } });
    return cluster.connect();
  }

  it('is followed through whatever a handler waits for', async () => {
    const client = await start();
    await client.request('current/deliver', 1);
    const topics = [
      'got/welcome',
      'got/at-once',
      'got/microtask',
      'got/turn',
      'got/timer',
      'got/question',
      'got/callback',
    ];
    expect(topicsOf(client)).toEqual(topics);
  });

  it('is followed into streams, which do their work when the handler has returned', async () => {
    const client = await start();
    expect(await client.request('current/stream', 1)).toBe(2);
    expect(await client.request('current/later', 2)).toBe(2);
    expect(topicsOf(client)).toEqual(['got/welcome', 'got/stream-0', 'got/stream-1', 'got/stream-2', 'got/later']);
  });

  it('is known to guards and interceptors', async () => {
    const client = await start();
    await client.request('current/pipeline', 1);
    await waitUntil('what the interceptor sends last', () => topicsOf(client).includes('got/after'));
    expect(topicsOf(client)).toEqual(['got/welcome', 'got/guard', 'got/before', 'got/handler', 'got/after']);
  });

  it('is known to @OnConnect, which may turn it away, and to @OnDisconnect, which does not reach it any more', async () => {
    const client = await start();
    expect(await client.request('current/confirm', 1)).toBe(true);
    const unwanted = await cluster.connect({ path: '?unwanted=1' });
    expect(await unwanted.closed).toMatchObject({ code: 4002 });
    expect(unwanted.pushes('got/refused').map(frame => frame.body)).toEqual(['go away']);
    diary.lines.length = 0;
    await client.close();
    await waitUntil('@OnDisconnect', () => diary.lines.some(line => (line as { code: number }).code !== 4002));
    for (const line of diary.lines) expect(line).toMatchObject({ found: false, closed: false });
  });

  it('can be closed with a last message, and cut off', async () => {
    const client = await start();
    const other = await cluster.connect({ gate: 1 });
    client.ask('current/close', 'bye');
    expect(await client.closed).toMatchObject({ code: 4002 });
    expect(client.pushes('got/last').map(frame => frame.body)).toEqual(['bye']);
    other.ask('current/destroy');
    expect(await other.closed).toMatchObject({ code: 1006 });
    expect(await cluster.api.getAllClientCount()).toBe(0);
  });

  it('is never another one, however their frames are handled across each other', async () => {
    await start();
    const clients = await Promise.all(Array.from({ length: 8 }, (_, n) => cluster.connect({ gate: n % 2 })));
    const rounds = 12;
    await Promise.all(
      clients.map((client, who) =>
        Promise.all(
          Array.from({ length: rounds }, (_, n) =>
            client.request(n % 3 === 0 ? 'current/stream' : 'current/deliver', { who, n }),
          ),
        ),
      ),
    );
    for (const [who, client] of clients.entries()) {
      const got = client.frames.filter(({ topic }) => topic?.startsWith('got/') && topic !== 'got/welcome');
      expect(got).toHaveLength((rounds / 3) * 3 + ((rounds * 2) / 3) * 6);
      expect(got.filter(({ body }) => (body as { who: number }).who !== who)).toEqual([]);
    }
  });

  it('is nobody outside of handlers', async () => {
    await start();
    const { api } = cluster.workers[0] ?? cluster.gate;
    const none = { name: 'GateError', code: 'NO_CURRENT_CLIENT' };
    await expect(api.sendToCurrentClient('got/it')).rejects.toMatchObject(none);
    await expect(api.sendToCurrentClient('got/it', 1, { confirm: true })).rejects.toMatchObject(none);
    await expect(api.closeCurrentClient()).rejects.toMatchObject(none);
    await expect(api.destroyCurrentClient()).rejects.toMatchObject(none);
  });
});

/** Looks for a current client where there is none: the gate sees a client off because a handler of another one said so. */
@Injectable()
class LastWords extends SessionLearner {
  readonly codes: unknown[] = [];

  constructor(private readonly gateway: GatewayApi) {
    super();
  }

  onConnect(): void {
    // Everybody is welcome.
  }

  async onDisconnect(): Promise<void> {
    await this.gateway.sendToCurrentClient('got/wrong').catch((error: { code: string }) => this.codes.push(error.code));
  }
}

describe('a hook of the gate', () => {
  it('has no current client, also when it runs because of what a handler in the same process did', async () => {
    const handlers = { controllers: [CurrentTopics], providers: [Courier, Diary] };
    const gate = { currentClient: true, providers: [{ provide: SessionLearner, useClass: LastWords }] };
    const cluster = await createTestCluster({ handlers, gate });
    try {
      const [client, witness] = [await cluster.connect(), await cluster.connect()];
      client.ask('current/close', 'bye');
      await client.closed;
      const { codes } = cluster.gate.app.get<LastWords>(SessionLearner);
      await waitUntil('the hook', () => codes.length > 0);
      expect(codes).toEqual(['NO_CURRENT_CLIENT']);
      expect(witness.pushes('got/wrong')).toEqual([]);
    } finally {
      await cluster.close();
    }
  });
});
