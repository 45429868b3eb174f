import { afterEach, expect, it } from '@jest/globals';
import type { GateState } from '@nestgate/client';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientTopics, Clients } from './client-support.js';

const CLIENTS = 200;
const BUCKETS = 5;
const WINDOW_MS = 500;

const clients = new Clients();
const clusters: TestCluster[] = [];
let relay: TcpRelay | undefined;

afterEach(async () => {
  clients.close();
  await relay?.end();
  for (const cluster of clusters.splice(0)) await cluster.close();
});

async function gate(): Promise<TestCluster> {
  const options = { maxConnectionsPerIp: 0, maxConnectionRate: 0 };
  const cluster = await createTestCluster({ handlers: { controllers: [ClientTopics] }, gate: options });
  clusters.push(cluster);
  return cluster;
}

/** phoenix.js has no jitter: all clients of a server that restarts come back in the same moment. */
it(`(phoenix.js: no jitter) a gate that restarts under ${CLIENTS} clients: they come back spread over the first ${WINDOW_MS} ms`, async () => {
  const [first, second] = [await gate(), await gate()];
  relay = await TcpRelay.start(first.gates[0]!.port);
  const url = `ws://127.0.0.1:${relay.port}/gate`;
  const all = Array.from({ length: CLIENTS }, () => clients.connect(url));
  const online = (): boolean => all.every(({ state }) => state.name === 'online');
  await waitUntil('all clients', online, 30_000);

  const pauses: number[] = [];
  for (const client of all) {
    const off = client.on('state', (state: GateState) => {
      if (state.name !== 'waiting') return;
      expect(state.code).toBe(1012);
      pauses.push((state.retryAt ?? 0) - Date.now());
      off();
    });
  }
  relay.redirect(second.gates[0]!.port);
  await clusters.shift()!.close();
  await waitUntil('all clients to wait', () => pauses.length === CLIENTS, 30_000);
  await waitUntil('all clients again', online, 30_000);

  const buckets = Array.from({ length: BUCKETS }, () => 0);
  for (const pause of pauses) {
    // Between the pause and this a millisecond may have passed.
    const at = Math.floor(Math.min(Math.max(pause, 0), WINDOW_MS - 1) / (WINDOW_MS / BUCKETS));
    buckets[at] = (buckets[at] ?? 0) + 1;
  }
  console.log(`pauses of ${CLIENTS} clients, by ${WINDOW_MS / BUCKETS} ms: ${buckets.join(' ')}`);
  // 40 in each by right; by chance fewer than 15 or more than 70 in one come once in 100,000 runs.
  expect(Math.min(...buckets)).toBeGreaterThan(14);
  expect(Math.max(...buckets)).toBeLessThan(71);
  const attempts = all.reduce((sum, { stats }) => sum + stats.attempts, 0);
  // One each, and a second one each at most: the gate was there.
  expect(attempts).toBeLessThanOrEqual(CLIENTS * 3);
  expect(await second.api.getAllClientCount()).toBe(CLIENTS);
});
