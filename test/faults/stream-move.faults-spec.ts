import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClient, waitUntil } from '@nestgate/testing';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { NodeProcess } from './support/node-process.js';
import { TravellingClient } from './support/travelling-client.js';

const CLIENTS = 8;
/** Items of a stream that ends, one every 2 ms. */
const ITEMS = 1_500;
/** How long producers may run after their gate was killed. */
const GATE_LOST_MS = 4_000;

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe.each(LINKS)('streams of sessions that move between processes, over %s', link => {
  let cluster: FaultCluster;
  let clients: TravellingClient[];
  let ids: number[];
  let watcher: FakeClient;
  const closed = new Set<number>();

  beforeEach(async () => {
    closed.clear();
    const gate = { resume: { maxDetachedPerAddress: 0 }, drainTimeout: 10_000 };
    cluster = await FaultCluster.start({ link, gates: 3, workers: 1, meshed: true, gate });
    const isOpen = (index: number): boolean => !closed.has(index);
    clients = await Promise.all(numbers(CLIENTS).map(() => TravellingClient.open(cluster.gates, 0, isOpen)));
    watcher = await FakeClient.connect(`ws://127.0.0.1:${gateAt(2).port}/gate`);
  }, 30_000);
  afterEach(async () => {
    watcher.socket.terminate();
    await Promise.all(clients.map(client => client.end()));
    await cluster.end();
  });

  const gateAt = (index: number): NodeProcess => cluster.gates[index] as NodeProcess;
  const begin = async (n: number): Promise<void> => {
    ids = clients.map(({ client }) => client.beginStream('stream/count', { n, everyMs: 2 }));
    await waitUntil('all run', () => clients.every((_, at) => items(at).length > 20));
  };
  const items = (at: number): unknown[] => clients[at]?.client.items(ids[at] as number) ?? [];
  const ends = (at: number): string[] => clients[at]?.client.ends(ids[at] as number) ?? [];
  const active = async (): Promise<number> => (await watcher.request<{ active: number }>('stream/active')).active;
  const areWhole = async (): Promise<void> => {
    await waitUntil('all ends', () => clients.every((_, at) => ends(at).length > 0), 15_000);
    for (const at of clients.keys()) {
      expect(items(at)).toEqual(numbers(ITEMS));
      expect(ends(at)).toEqual(['end']);
    }
    expect(clients.map(({ wasTold }) => wasTold)).toEqual(clients.map(() => false));
  };

  it('go on, whole and in order, when their gate drains', async () => {
    await begin(ITEMS);
    closed.add(0);
    const started = performance.now();
    gateAt(0).signal('SIGTERM');
    await waitUntil('the gate to end', () => gateAt(0).isOver, 15_000);
    const drainMs = performance.now() - started;
    // The gate does not wait for the end of the streams.
    expect(clients.some((_, at) => ends(at).length === 0)).toBe(true);
    expect(await gateAt(0).exited).toEqual({ code: 0, signal: null });
    await areWhole();
    printFigures(`a gate with streams drains, over ${link}`, { streams: CLIENTS, drainMs: Math.round(drainMs) });
  });

  it('go on, whole and in order, when the gate that they have moved from is killed', async () => {
    await begin(ITEMS);
    for (const client of clients) client.travel(1);
    await waitUntil('all have moved', () => clients.every(({ at, isSettled }) => at === 1 && isSettled));
    const before = clients.map((_, at) => items(at).length);
    await waitUntil('more items', () => clients.every((_, at) => items(at).length > (before[at] as number) + 50));
    closed.add(0);
    await gateAt(0).kill();
    await areWhole();
  });

  it('end once, with no item lost unseen, when their gate is killed while they move', async () => {
    await begin(1e9);
    for (const client of clients) client.travel(1);
    while (!clients.some(({ client }) => client.ownOf('resumed').length > 0)) await delay(1);
    closed.add(0);
    await gateAt(0).kill();
    const killedAt = performance.now();
    await waitUntil('all have gone on', () => clients.every(({ at, isSettled }) => at !== 0 && isSettled), 10_000);
    // Those whose session was lost have begun another one, in which nothing of the stream comes.
    const isLost = clients.map(({ refusals }) => refusals.includes('RESUME_LOST'));
    const goesOn = clients.map((_, at) => !isLost[at] && ends(at).length === 0);
    for (const at of clients.keys()) {
      expect(items(at)).toEqual(numbers(items(at).length));
      if (!goesOn[at] && !isLost[at]) expect(ends(at)).toEqual(['WORKER_LOST']);
    }
    const left = goesOn.filter(Boolean).length;
    await waitUntil('the others end', async () => (await active()) <= left, GATE_LOST_MS);
    const ms = performance.now() - killedAt;
    const stillOn = clients.filter((_, at) => !isLost[at] && ends(at).length === 0).length;
    for (const [at, { client }] of clients.entries()) if (goesOn[at]) client.cancel(ids[at] as number);
    await waitUntil('none runs', async () => (await active()) === 0);
    printFigures(`a gate is killed while streams move, over ${link}`, {
      goOn: stillOn,
      brokenOff: clients.filter((_, at) => ends(at).includes('WORKER_LOST')).length,
      sessionsLost: isLost.filter(Boolean).length,
      endedMs: Math.round(ms),
    });
  });
});
