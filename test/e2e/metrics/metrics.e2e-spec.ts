import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { MetricsModule } from '@nestgate-app/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateMetrics, MemoryStorage, StorageHandler } from '@nestgate/gate';
import { createTestCluster, freePort, type TestCluster, type TestClusterOptions, waitUntil } from '@nestgate/testing';
import { Registry } from 'prom-client';
import { MetricsPage, problemsOf, scrape } from './support/metrics-support.js';
import { AppProcess } from '../support/app-process.js';

/** How long it takes at most until nobody holds more for a client that does not read: the system holds megabytes, a relay some more. */
const FULL_MS = 30_000;

describe('/metrics of a gate', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(gate: TestClusterOptions['gate'] = {}, workers = 0): Promise<void> {
    const imports = [HandlersModule, MetricsModule.forRoot({ process: false })];
    const options = { messageRate: 0, maxConnectionsPerIp: 0, ...gate };
    cluster = await createTestCluster({ handlers: { imports }, workers, gate: options });
  }

  const read = (): Promise<MetricsPage> => scrape(cluster.gate.port);

  it('is what Prometheus can read, from the start and after all kinds of things have been counted', async () => {
    await start();
    expect(problemsOf(await read())).toEqual([]);
    const client = await cluster.connect();
    await client.exchange('echo/fail', { code: 'A"B\\C\nD' });
    await client.exchange('nobody/here');
    await cluster.connect({ path: '/elsewhere' }).catch(() => undefined);
    await client.exchange('chat/login', { name: 'ada' });
    const page = await read();
    expect(problemsOf(page)).toEqual([]);
    expect(page.text).not.toMatch(/A"B|ada/);
    expect(page.families.size).toBeGreaterThan(30);
  });

  it('tells who is there and what became of what they sent', async () => {
    await start();
    const before = await read();
    expect(before.value('nestgate_connections')).toBe(0);
    expect(before.value('nestgate_frames_received_total')).toBe(0);
    const [ada, bob] = [await cluster.connect(), await cluster.connect()];
    await ada.request('chat/login', { name: 'ada' });
    await bob.request('fan/join', { group: 'g' });
    for (let n = 0; n < 20; n++) await ada.request('echo/echo', n);
    const outcomes = [await ada.exchange('echo/fail', { code: 'MINE' }), await ada.exchange('nobody/here')];
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['MINE', 'NO_ROUTE']);
    ada.sendRaw('{');
    await ada.push('$gate/error');

    const page = await read();
    const gauges = ['connections', 'sessions_bound', 'uids', 'groups', 'handlers_clients', 'storage_up', 'link_up'];
    expect(gauges.map(name => page.value(`nestgate_${name}`))).toEqual([2, 1, 1, 1, 2, 1, 1]);
    expect(page.value('nestgate_frames_received_total')).toBe(25);
    expect(page.value('nestgate_frames_handled_total')).toBe(22);
    for (const code of ['custom', 'NO_ROUTE', 'BAD_FRAME']) {
      expect(page.value('nestgate_frames_refused_total', `code="${code}"`)).toBe(1);
    }
    // A counter stays what it is, however often it is read.
    expect((await read()).value('nestgate_frames_received_total')).toBe(25);
    // Two hellos, and an answer to each frame.
    expect(page.value('nestgate_packs_queued_total')).toBe(27);

    const slow = ada.ask('echo/slow', { ms: 300 });
    ada.ask('echo/slow', { ms: 1 });
    await waitUntil('both frames to be with the handlers', async () => {
      const { frames } = cluster.gate.app.get(GateMetrics).snapshot();
      return frames.unanswered === 2;
    });
    const busy = await read();
    const now = ['frames_unanswered', 'handlers_running', 'handlers_waiting', 'link_requests_waiting'];
    expect(now.map(name => busy.value(`nestgate_${name}`))).toEqual([2, 1, 1, 2]);
    await ada.answer(slow);
    await bob.close();
    await waitUntil('the gate to notice', async () => (await read()).value('nestgate_connections') === 1);
  });

  it('reports clients that do not read: queued and dropped messages', async () => {
    await start({ slowClientPolicy: 'drop-newest', sendPackBuffNum: 20 });
    const [deaf, other] = [await cluster.connect(), await cluster.connect()];
    await deaf.request('fan/join', { group: 'deaf' });
    deaf.socket.pause();
    await waitUntil(
      'packs to be dropped',
      async () => {
        const push = () => other.request('fan/out', { group: 'deaf', data: 'x'.repeat(60_000) });
        await Promise.all(Array.from({ length: 20 }, push));
        return (await read()).count('nestgate_packs_dropped_total', 'reason="drop-newest"') > 0;
      },
      FULL_MS,
    );
    const page = await read();
    expect(page.value('nestgate_outbox_packs')).toBeGreaterThan(5);
    expect(page.value('nestgate_outbox_bytes')).toBeGreaterThan(60_000);
    expect(page.value('nestgate_outbox_largest_bytes')).toBe(page.value('nestgate_outbox_bytes'));
    deaf.socket.resume();
    await waitUntil('the rest to be taken', async () => (await read()).value('nestgate_outbox_bytes') === 0);
  });

  it('reports an unreachable storage', async () => {
    class Storage extends MemoryStorage {
      isThere = true;
      override get isAvailable(): boolean {
        return this.isThere;
      }
    }
    const storage = new Storage();
    await start({ providers: [{ provide: StorageHandler, useValue: storage }] });
    expect((await read()).value('nestgate_storage_up')).toBe(1);
    storage.isThere = false;
    expect((await read()).value('nestgate_storage_up')).toBe(0);
  });

  it('knows of frames for whose module no worker is there', async () => {
    await start({ workerWait: 60_000 }, 1);
    const metrics = cluster.gate.app.get(GateMetrics);
    const client = await cluster.connect();
    await client.request('echo/echo');
    expect(metrics.snapshot()).toMatchObject({ frames: { waitingForWorker: 0 }, link: { peers: { worker: 1 } } });
    await cluster.workers[0]?.app.close();
    client.ask('echo/echo');
    await waitUntil('the frame to wait', () => metrics.snapshot().frames.waitingForWorker === 1);
    expect(metrics.snapshot()).toMatchObject({ frames: { unanswered: 1 }, link: { peers: { worker: 0 } } });
    await client.close();
    await waitUntil('nobody to wait', () => metrics.snapshot().frames.waitingForWorker === 0);
    expect(metrics.snapshot().counts['frames_abandoned']).toEqual({ client_gone: 1 });
  });

  it('leaves the registry to the app, and the figures to a replacement', async () => {
    const registry = new Registry();
    const snapshot = jest.fn(() => ({ ...EMPTY, clients: { connected: 7, bound: 0, uids: 0, groups: 0 } }));
    const imports = [MetricsModule.forRoot({ registry, process: false })];
    cluster = await createTestCluster({
      handlers: { imports },
      gate: {
        providers: [
          {
            provide: GateMetrics,
            useValue: { snapshot },
          },
        ],
      },
    });
    const page = new MetricsPage(await registry.metrics());
    expect(page.value('nestgate_connections')).toBe(7);
    expect(page.families.has('process_start_time_seconds')).toBe(false);
    // All clients are looked at once, not once per figure.
    expect(snapshot).toHaveBeenCalledTimes(1);
    await registry.metrics();
    expect(snapshot).toHaveBeenCalledTimes(2);
  });
});

const EMPTY = {
  isDraining: false,
  resume: { detached: 0, remembered: 0, bytes: 0 },
  link: {
    isUp: true,
    peers: {},
    missingGates: 0,
    requestsWaiting: 0,
    counters: { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 },
    backlog: [],
  },
  defects: {},
  loopDelay: { p50: 0, p99: 0, max: 0 },
  frames: { received: 0, handled: 0, unanswered: 0, waitingForWorker: 0 },
  outbox: { queued: 0, packs: 0, bytes: 0, largestBytes: 0 },
  counts: {},
  storageUp: true,
};

describe('/metrics of the apps', () => {
  const apps: AppProcess[] = [];

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.end();
  });

  it('is there in a gate and in a worker, also while they drain', async () => {
    const NESTGATE_LINK = `tcp://127.0.0.1:${await freePort()}`;
    const gate = await AppProcess.start({ NESTGATE_LINK }, 'gate');
    apps.push(gate);
    const worker = await AppProcess.start({ NESTGATE_LINK }, 'worker');
    apps.push(worker);
    await waitUntil('them to meet', async () =>
      (await scrape(gate.port)).value('nestgate_link_peers', 'role="worker"'),
    );
    const client = await gate.connect();
    await client.request('echo/echo');
    const pages = [await scrape(gate.port), await scrape(worker.port)] as const;
    for (const page of pages) {
      expect(problemsOf(page)).toEqual([]);
      expect(page.value('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
      expect(page.value('process_cpu_seconds_total')).toBeGreaterThan(0);
      expect(page.value('process_start_time_seconds')).toBeGreaterThan(1.7e9);
      expect(page.value('nestgate_draining')).toBe(0);
    }
    expect(pages[0].value('nestgate_connections')).toBe(1);
    expect(pages[1].value('nestgate_handlers_clients')).toBe(1);
    expect(pages[1].families.has('nestgate_connections')).toBe(false);
    expect(pages[1].value('nestgate_link_peers', 'role="gate"')).toBe(1);

    client.ask('echo/slow', { ms: 2_500 });
    await client.request('$gate/ping');
    gate.signal('SIGTERM');
    await waitUntil('it to drain', async () => (await scrape(gate.port)).value('nestgate_draining') === 1);
    expect(client.closedWith).toBeUndefined();
  });
});
