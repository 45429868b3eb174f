import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { RawSocket, resetRawSockets, upgradeRequest } from '../e2e/support/raw-socket.js';
import { RawClient, textFrame, wsFrame } from '../e2e/support/raw-websocket.js';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { LedgerClient } from './support/ledger-client.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { MemoryWatch } from './support/memory-watch.js';
import { NO_DEFECTS } from './support/no-defects.js';

const MIB = 1024 * 1024;
const RATE = 100;
/** 20,000 messages a second. */
const BURST = 200;
const EVERY_MS = 10;
/** Who goes on like that for 10 s is closed. In milliseconds. */
const PATIENCE_MS = 10_000;
const FLOOD_MS = isLong ? PATIENCE_MS + 5_000 : 1_500;
const NEIGHBOUR_MS = 1_000;
const OVERSIZED = 30;
const MAX_RSS = 48 * MIB;

describe('a gate that is flooded', () => {
  let cluster: FaultCluster;
  let neighbours: LedgerClient[];

  beforeAll(async () => {
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, gate: { messageRate: RATE } });
    neighbours = await cluster.connect(0, 12);
  });
  afterEach(resetRawSockets);
  afterAll(() => cluster.end());

  const countOf = async (counter: string, label: string | number) =>
    (await cluster.gates[0]!.state()).counts?.[counter]?.[label] ?? 0;

  /** Connects a client that counts what it gets, without looking at it. */
  async function openFlooder(): Promise<{ socket: RawSocket; bytes: () => number }> {
    const socket = await RawSocket.open(cluster.gates[0]!.port);
    let bytes = 0;
    socket.send(upgradeRequest());
    await socket.answer();
    socket.onData = data => {
      bytes += data.length;
      socket.received = Buffer.alloc(0);
    };
    return { socket, bytes: () => bytes };
  }

  /** Sends as fast as told; resolves with how many messages that were. */
  async function flood({ socket }: { socket: RawSocket }, ms: number): Promise<number> {
    const burst = Buffer.concat(Array.from({ length: BURST }, () => textFrame('{"topic":"work/note","body":1}')));
    const startedAt = Date.now();
    let bursts = 0;
    while (Date.now() < startedAt + ms && !socket.ended) {
      // What was late is made up for.
      for (; bursts * EVERY_MS < Date.now() - startedAt; bursts++) socket.send(burst);
      await delay(EVERY_MS);
    }
    return bursts * BURST;
  }

  async function withNeighbours(name: string, task: () => Promise<Record<string, number | string>>): Promise<void> {
    const load = new Load(neighbours, { everyMs: 50, workMs: 0 });
    await load.flows(5);
    const quietAt = Date.now();
    await load.flows(10);
    const startedAt = Date.now();
    const memory = new MemoryWatch(cluster.gates);
    const figures = await task();
    const endedAt = Date.now();
    memory.end();
    await load.flows(5);
    await load.stop();
    const latency = latencyOf(neighbours, startedAt, endedAt);
    printFigures(name, {
      requests: load.report(),
      ...figures,
      gateRss: memory.growthOf(cluster.gates),
      p99QuietMs: latencyOf(neighbours, quietAt, startedAt).p99,
      p99Ms: latency.p99,
      slowestMs: latency.max,
    });
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(latency.max).toBeLessThan(NEIGHBOUR_MS);
    expect(memory.growthOf(cluster.gates)).toBeLessThanOrEqual(MAX_RSS);
    for (const neighbour of neighbours) expect(neighbour.closedWith).toBeUndefined();
  }

  it(
    `with 20,000 messages a second tells the one who does that, and nobody else`,
    () =>
      withNeighbours('flood', async () => {
        const before = await countOf('frames_refused', 'RATE_LIMITED');
        const flooder = await openFlooder();
        const sent = await flood(flooder, FLOOD_MS);
        if (!isLong) {
          // Every message beyond the rate has been answered; what waits in the socket will be.
          await waitUntil(
            'most to be refused',
            async () => (await countOf('frames_refused', 'RATE_LIMITED')) > sent / 2,
          );
        } else {
          await waitUntil('the flooder to be closed', () => flooder.socket.ended, 5_000);
          expect(await countOf('connections_closed', 1008)).toBe(1);
        }
        const limited = (await countOf('frames_refused', 'RATE_LIMITED')) - before;
        expect(sent).toBeGreaterThan(FLOOD_MS * 10);
        expect(limited).toBeGreaterThan(sent / 2);
        expect(flooder.bytes()).toBeGreaterThan(0);
        flooder.socket.reset();
        return { sent, limited };
      }),
    FLOOD_MS + 20_000,
  );

  it('by one who does not even read the answers sends it away', () =>
    withNeighbours('flood without reading', async () => {
      const flooder = await openFlooder();
      flooder.socket.socket.pause();
      let isOver = false;
      const flooding = flood(flooder, 10_000).finally(() => (isOver = true));
      const before = Date.now();
      await waitUntil('it to be closed', async () => (await countOf('connections_closed', 1013)) === 1, 9_000);
      const closedMs = Date.now() - before;
      flooder.socket.reset();
      await flooding;
      expect(isOver).toBe(true);
      return { closedMs };
    }));

  it('with frames of 1 MiB closes those who send them with 1009', () =>
    withNeighbours(`${OVERSIZED} frames of 1 MiB`, async () => {
      const before = await countOf('connections_closed', 1009);
      const frame = wsFrame({ payload: Buffer.alloc(MIB, 'x') });
      const codes = new Set<number | undefined>();
      for (let i = 0; i < OVERSIZED; i++) {
        const client = await RawClient.connect(cluster.gates[0]!.port);
        client.send(frame);
        codes.add(await client.closed());
      }
      const closed = (await countOf('connections_closed', 1009)) - before;
      expect(closed).toBe(OVERSIZED);
      return { closed, codes: [...codes].join(' ') };
    }));
});
