import { afterEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateCounters, type GateOptions } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, UpgradeRefused, waitUntil } from '@nestgate/testing';
import { MAX_PUSH_BYTES } from '@nestgate/worker';

describe('connecting and closing', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(gate: GateOptions = {}, gates = 1): Promise<FakeClient> {
    cluster = await createTestCluster({ gates, handlers: { imports: [HandlersModule] }, gate });
    return cluster.connect();
  }

  async function refusal(options: Parameters<TestCluster['connect']>[0]): Promise<number> {
    try {
      await cluster.connect(options);
      return 101;
    } catch (error) {
      if (error instanceof UpgradeRefused) return error.status;
      throw error;
    }
  }

  async function gone(client: FakeClient): Promise<void> {
    await waitUntil('the client to be gone', async () => !(await cluster.api.isOnline(client.clientId)));
  }

  it('echoes the subprotocol gate.json, and none when none is offered', async () => {
    const plain = await start();
    expect(plain.socket.protocol).toBe('');
    const json = await cluster.connect({ protocols: ['gate.json'] });
    expect(json.socket.protocol).toBe('gate.json');
    const second = await cluster.connect({ protocols: ['other', 'gate.json'] });
    expect(second.socket.protocol).toBe('gate.json');
    for (const client of [plain, json, second]) expect(await client.request('echo/echo', 1)).toBe(1);
  });

  it('refuses unknown subprotocols with 400 and other paths with 404', async () => {
    await start();
    expect(await refusal({ protocols: ['graphql-ws'] })).toBe(400);
    expect(await refusal({ path: 'x' })).toBe(404);
    expect(await refusal({ path: '/x' })).toBe(404);
    expect(await refusal({ path: '?token=1' })).toBe(101);
  });

  it('serves the path that is configured, and only that', async () => {
    cluster = await createTestCluster({ gate: { ws: { path: '/deep/socket' } } });
    await cluster.connect();
    expect(cluster.gate.url).toMatch(/\/deep\/socket$/);
    expect(await refusal({ path: '/../../gate' })).toBe(404);
  });

  it('tells the Origins apart', async () => {
    await start({ ws: { origins: ['good.example', 'https://port.example:8443'] } });
    const host = `127.0.0.1:${cluster.gate.port}`;
    for (const origin of [`http://${host}`, `https://${host}`, 'https://good.example', 'http://port.example:8443']) {
      expect([origin, await refusal({ origin })]).toEqual([origin, 101]);
    }
    for (const origin of ['null', 'http://evil.example', 'https://good.example.evil.org', 'http://127.0.0.1']) {
      expect([origin, await refusal({ origin })]).toEqual([origin, 403]);
    }
  });

  it('closes with 1003 for a binary frame', async () => {
    const client = await start();
    client.sendRaw(Buffer.from('{"topic":"echo/echo"}'));
    expect((await client.closed).code).toBe(1003);
  });

  it('answers a client that closes with its own code', async () => {
    const client = await start();
    client.socket.close(1000, 'bye');
    expect(await client.closed).toEqual({ code: 1000, reason: 'bye' });
    await gone(client);
  });

  it.each([1, 2])('closeClient delivers what is queued and a last message before 4002 (%d gates)', async gates => {
    const client = await start({}, gates);
    const api = (cluster.gates[gates - 1] ?? cluster.gate).api;
    for (let n = 0; n < 50; n++) await api.sendToClient(client.clientId, 'news/item', { n, pad: 'x'.repeat(5_000) });
    expect(await api.closeClient(client.clientId, 'bye/bye', { why: 'kicked' })).toBe(true);
    expect(await client.closed).toEqual({ code: 4002, reason: expect.stringMatching(/./) });
    expect(client.pushes('news/item').map(push => (push.body as { n: number }).n)).toEqual(
      Array.from({ length: 50 }, (_, n) => n),
    );
    expect(client.frames.at(-1)).toEqual({ topic: 'bye/bye', body: { why: 'kicked' } });
    expect(await api.closeClient(client.clientId)).toBe(false);
  });

  it('destroyClient cuts at once, without a close frame', async () => {
    const client = await start();
    const neighbour = await cluster.connect();
    expect(await cluster.api.destroyClient(client.clientId)).toBe(true);
    expect((await client.closed).code).toBe(1006);
    expect(await cluster.api.isOnline(client.clientId)).toBe(false);
    expect(await cluster.api.destroyClient(client.clientId)).toBe(false);
    expect(await neighbour.request('echo/echo', 'here')).toBe('here');
  });

  it('sends 1012 to all when the app closes', async () => {
    const client = await start();
    const other = await cluster.connect({ protocols: ['gate.json'] });
    await cluster.gate.app.close();
    expect((await client.closed).code).toBe(1012);
    expect((await other.closed).code).toBe(1012);
  });

  it('pings its clients, and keeps those that answer for longer than the heartbeat', async () => {
    const client = await start({ pingInterval: 60, heartOverTimer: 240 });
    let pings = 0;
    client.socket.on('ping', () => pings++);
    await waitUntil('pings for three heartbeats', () => pings >= 12);
    expect(await client.request('echo/echo', 'alive')).toBe('alive');
  });

  it('closes a client that does not answer pings with 4003', async () => {
    const client = await start({ pingInterval: 60, heartOverTimer: 240 });
    const neighbour = await cluster.connect();
    const since = Date.now();
    client.socket.pause();
    await gone(client);
    expect(Date.now() - since).toBeGreaterThanOrEqual(150);
    client.socket.resume();
    expect(await client.closed).toEqual({ code: 4003, reason: expect.stringMatching(/./) });
    expect(await neighbour.request('echo/echo', 'here')).toBe('here');
  });

  it('does not take a busy client for a dead one', async () => {
    const client = await start({ pingInterval: 60, heartOverTimer: 200, concurrentTasks: 2 });
    const ids = [1, 2, 3, 4].map(() => client.ask('echo/slow', { ms: 150 }));
    for (const id of ids) expect((await client.answer(id)).body).toEqual({ ms: 150 });
  });

  it('closes a client that does not read with 1013, once its queue is full', async () => {
    const client = await start({ sendBuffBytes: 64 * 1024, closeTimeout: 300 });
    const neighbour = await cluster.connect();
    const { clientId } = client;
    client.socket.pause();
    const body = 'x'.repeat(60_000);
    let sent = 0;
    while (await cluster.api.sendToClient(clientId, 'flood/drop', body, { confirm: true })) sent++;
    expect(sent).toBeGreaterThan(0);
    expect(cluster.gate.app.get(GateCounters).get('connections_closed', 1013)).toBe(1);
    expect(await neighbour.request('echo/echo', 'here')).toBe('here');
    client.socket.resume();
    await client.closed;
  });

  it('delivers a push of the largest size that is allowed', async () => {
    const client = await start();
    const body = Buffer.alloc(MAX_PUSH_BYTES, 'x').toString('latin1').slice(2);
    expect(await cluster.api.sendToClient(client.clientId, 'big/push', body, { confirm: true })).toBe(true);
    expect(((await client.push('big/push')).body as string).length).toBe(body.length);
  });
});
