import { afterEach, describe, expect, it } from '@jest/globals';
import { FakeClient, waitUntil } from '@nestgate/testing';
import { FaultCluster, LINKS, type LinkKind } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';

/** How long the streams of a killed worker may be without an outcome, in milliseconds. */
const LOST_WITHIN_MS: Readonly<Record<LinkKind, number>> = { tcp: 1_000, nats: 4_000 };
/** How long producers may run after their gate was killed. */
const GATE_LOST_MS = 4_000;

describe.each(LINKS)('streams over %s', link => {
  let cluster: FaultCluster;
  const clients: FakeClient[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.terminate();
    await cluster.end();
  });

  async function connect(gate: number): Promise<FakeClient> {
    const port = cluster.gates[gate]?.port ?? 0;
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    clients.push(client);
    return client;
  }

  it('end with WORKER_LOST, once, when their worker is killed', async () => {
    cluster = await FaultCluster.start({ link, gates: 1, workers: 1 });
    const readers = await Promise.all(Array.from({ length: 10 }, () => connect(0)));
    const ids = readers.map(client => client.beginStream('stream/count', { n: 1e9, everyMs: 2 }));
    await waitUntil('all run', () => readers.every((client, at) => client.items(ids[at] ?? 0).length > 5));
    const killedAt = performance.now();
    await cluster.workers[0]?.kill();
    const all = await Promise.all(readers.map((client, at) => client.streamed(ids[at] ?? 0)));
    const lostMs = performance.now() - killedAt;
    expect(all.map(({ error }) => error?.code)).toEqual(readers.map(() => 'WORKER_LOST'));
    for (const { items } of all) expect(items).toEqual(Array.from(items, (_, i) => i + 1));
    expect(lostMs).toBeLessThan(LOST_WITHIN_MS[link]);
    const worker = await cluster.startWorker();
    await cluster.isWhole();
    expect(worker.isOver).toBe(false);
    // A stream of before is not spoken of again, and another one begins.
    const [first] = readers;
    expect((await first?.stream('stream/count', { n: 3 }))?.items).toEqual([1, 2, 3]);
    for (const [at, client] of readers.entries()) {
      expect(client.frames.filter(frame => frame.id === ids[at] && !('item' in frame))).toHaveLength(1);
    }
    printFigures(`worker killed in mid-stream, ${link}`, { streams: readers.length, lostMs: Math.round(lostMs) });
  });

  it('have their producers cancelled when their gate is killed', async () => {
    cluster = await FaultCluster.start({ link, gates: 2, workers: 1 });
    const readers = await Promise.all(Array.from({ length: 10 }, () => connect(0)));
    const watcher = await connect(1);
    const active = async () => (await watcher.request<{ active: number }>('stream/active')).active;
    for (const client of readers) client.beginStream('stream/count', { n: 1e9, everyMs: 2 });
    await waitUntil('all run', async () => (await active()) === readers.length);
    const killedAt = performance.now();
    await cluster.gates[0]?.kill();
    await waitUntil('none runs', async () => (await active()) === 0);
    const ms = performance.now() - killedAt;
    expect(ms).toBeLessThan(GATE_LOST_MS);
    printFigures(`gate killed in mid-stream, ${link}`, { streams: readers.length, endedMs: Math.round(ms) });
  });

  it('leave nothing when 10,000 are begun and cancelled', async () => {
    cluster = await FaultCluster.start({ link, gates: 1, workers: 1 });
    const readers = await Promise.all(Array.from({ length: 20 }, () => connect(0)));
    for (let round = 0; round < 25; round++) {
      await Promise.all(
        readers.map(async client => {
          const ids = Array.from({ length: 20 }, () => client.beginStream('stream/count', { n: 1e9, everyMs: 5 }));
          for (const id of ids) client.cancel(id);
          await Promise.all(ids.map(id => client.streamed(id)));
          client.frames.length = 0;
        }),
      );
    }
    const [watcher] = readers;
    await waitUntil(
      'none runs',
      async () => (await watcher?.request<{ active: number }>('stream/active'))?.active === 0,
    );
    const state = await cluster.gates[0]?.state();
    expect(state?.counts?.['streams_ended']).toMatchObject({ cancel: 10_000 });
    expect(state?.unanswered).toBe(0);
  });
});
