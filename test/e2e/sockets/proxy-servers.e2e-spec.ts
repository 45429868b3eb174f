import { afterEach, describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';
import { Controller, Get } from '@nestjs/common';
import { configurationOf, ProxyServer } from '../support/proxy-server.js';

/** Clients that come while a gate drains: with two gates, each other one would be refused. */
const COMERS = 20;
const CLIENT_ADDRESS = '127.0.0.9';
/** How late a ping may come. */
const PING_LATE_MS = 5_000;

/** What the handler below waits for. */
let release: () => void = () => undefined;

@Controller()
class ProxiedTopics {
  /** What HAProxy asks. It says nothing of draining here: what is refused before a check has seen that is what counts. */
  @Get('health/ready')
  ready() {
    return { status: 'ok' };
  }

  @OnTopic('ip/get')
  get(@ClientSession() session: Session) {
    return session.ip;
  }

  @OnTopic('slow/wait')
  wait() {
    return new Promise<string>(resolve => (release = () => resolve('done')));
  }
}

describe.each(['nginx', 'haproxy'] as const)('%s in front of two gates, as docs/proxies.md has it', kind => {
  let cluster: TestCluster;
  let proxy: ProxyServer;
  const clients: FakeClient[] = [];

  afterEach(async () => {
    release();
    for (const client of clients.splice(0)) client.socket.terminate();
    await proxy.end();
    await cluster.close();
  });

  async function start(gate: { pingInterval?: number; heartOverTimer?: number } = {}, idleS?: number): Promise<void> {
    cluster = await createTestCluster({
      gates: 2,
      handlers: { controllers: [ProxiedTopics] },
      gate: { ...gate, trustedProxies: ['127.0.0.1'], drainTimeout: 20_000 },
    });
    proxy = await ProxyServer.start(
      kind,
      cluster.gates.map(({ port }) => port),
      idleS,
    );
  }

  async function connect(headers: Record<string, string> = {}): Promise<FakeClient> {
    // From an address that is not the proxy's.
    const client = await FakeClient.connect(proxy.url, { ca: proxy.ca, headers, localAddress: CLIENT_ADDRESS });
    clients.push(client);
    return client;
  }

  /** The gate that a client is on: its id is part of the client's. */
  const gateOf = ({ clientId }: FakeClient): string => clientId.slice(0, clientId.indexOf('.'));

  it('passes on the upgrade and the host, and says whose address it is', async () => {
    await start();
    // A browser says where its page is from; the port must have come through for the gate to let it in.
    const client = await connect({ origin: `https://127.0.0.1:${proxy.port}`, 'x-forwarded-for': '203.0.113.7' });
    // What the client itself has put there comes before what the proxy has seen, and is not believed.
    expect(await client.request('ip/get')).toBe(CLIENT_ADDRESS);
    await expect(connect({ origin: 'https://elsewhere.example' })).rejects.toMatchObject({ status: 403 });
  });

  it('spreads clients, and shows none of them the 503 of a gate that drains', async () => {
    await start();
    const busy = await connect();
    const waiting = busy.request('slow/wait');
    const index = cluster.gates.findIndex(({ app }) => app.get(LinkNode).info.id === gateOf(busy));
    await waitUntil('a client on each gate', async () => new Set([busy, await connect()].map(gateOf)).size === 2);
    const closing = (cluster.gates[index] as (typeof cluster.gates)[number]).app.close();
    const comers = await Promise.all(Array.from({ length: COMERS }, () => connect()));
    expect(new Set(comers.map(gateOf)).has(gateOf(busy))).toBe(false);
    // The client of the gate that drains gets its answer, and is told to come back.
    release();
    expect(await waiting).toBe('done');
    await closing;
    expect(await busy.closed).toMatchObject({ code: 1012 });
  });

  it('keeps clients that say nothing, as long as the gate pings more often than the proxy cuts', async () => {
    await start({ pingInterval: 1_000, heartOverTimer: 10_000 }, 3);
    const client = await connect();
    let pings = 0;
    client.socket.on('ping', () => pings++);
    await waitUntil('pings for longer than the proxy waits', () => pings >= 5, 15_000);
    expect(await client.request('ip/get')).toBe(CLIENT_ADDRESS);
  });

  it('keeps its clients when it is reloaded', async () => {
    await start();
    const client = await connect();
    proxy.reload();
    await waitUntil('the reloaded proxy to take a client', async () => {
      const other = await connect();
      return (await other.request('ip/get')) === CLIENT_ADDRESS;
    });
    expect(await client.request('ip/get')).toBe(CLIENT_ADDRESS);
  });
});

it.each(['nginx', 'haproxy'] as const)(
  'docs/proxies.md has idle timeouts for %s that are longer than the gate’s ping',
  kind => {
    const { pingInterval } = resolveGateOptions();
    const timeouts = Array.from(
      configurationOf(kind).matchAll(
        /(?:proxy_read_timeout|proxy_send_timeout|timeout (?:client|server|tunnel)) +(\d+)s/g,
      ),
      ([, seconds]) => Number(seconds) * 1_000,
    );
    expect(timeouts.length).toBeGreaterThanOrEqual(2);
    for (const timeout of timeouts) expect(timeout).toBeGreaterThan(pingInterval + PING_LATE_MS);
  },
);
