import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { ACCEPTED, PushLedger } from './support/ledger.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { MemoryWatch } from './support/memory-watch.js';
import { NO_DEFECTS } from './support/no-defects.js';
import { Starvation } from './support/starvation.js';

const MIB = 1024 * 1024;
const READERS = 16;
/** What is pushed to each: more than the operating system holds for it, and the gate may. */
const FRAME_BYTES = 60_000;
const FRAMES = 220;
/** What a client may have beyond its soft bound, with one frame, is held for it until it counts as slow. */
const BURST_BYTES = isLong ? 16 * MIB : 2 * MIB;
const MAX_HELD = BURST_BYTES + FRAME_BYTES;
/** Of other growth: buffers on their way, and garbage. */
const TOLERANCE = 48 * MIB;
/** How long a client may be there once its queue is full, and how long a neighbour may wait, in milliseconds. */
const GONE_MS = 5_000;
const NEIGHBOUR_MS = 1_000;
const TOPIC = 'fan/msg';

describe('clients that stop reading while more than 8 MB is pushed to each', () => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  it('cost what their queue may hold, are gone in time, and hold up nobody', async () => {
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, gate: { sendBurstBytes: BURST_BYTES } });
    const [gate, worker] = [cluster.gates[0]!, cluster.workers[0]!];
    const neighbours = await cluster.connect(0, 12);
    const load = new Load(neighbours, { everyMs: 20, workMs: 0 });
    const readers = await cluster.connect(0, READERS);
    const ledgers = readers.map(({ name, run }) => new PushLedger(run, name));
    for (const reader of readers) await reader.call('fan/join', { group: reader.name });
    const sockets = gate.sockets;
    await load.flows(20);
    const quietAt = Date.now();
    await load.flows(50);
    const quiet = latencyOf(neighbours, quietAt);

    for (const reader of readers) reader.socket.pause();
    const memory = new MemoryWatch([gate]);
    const starvation = new Starvation([gate, worker]);
    const startedAt = Date.now();
    const fill = 'x'.repeat(FRAME_BYTES);
    let fullAt = 0;
    const closed = async () => (await gate.state()).counts?.['connections_closed']?.['1013'] ?? 0;
    for (let i = 0; i < FRAMES; i++) {
      const push = async ({ log }: PushLedger) => {
        const payload = log.intend();
        const code = await worker.push(log.stream.session, TOPIC, { ...payload, fill });
        log.settle(payload.seq, code ?? ACCEPTED);
      };
      await Promise.all(ledgers.map(push));
      if (fullAt === 0 && (await closed()) === READERS) fullAt = Date.now();
      await delay(5);
    }
    await waitUntil('all queues to be full', async () => (await closed()) === READERS, 8_000);
    fullAt ||= Date.now();
    await waitUntil('their sockets to be gone', () => gate.sockets === sockets - READERS, GONE_MS + 2_000);
    const goneMs = Date.now() - fullAt;
    const endedAt = Date.now();
    const starvedMs = starvation.ms;
    await load.flows(20);
    await load.stop();
    memory.end();

    const { counts, clients } = await gate.state();
    const pushedRss = FRAMES * FRAME_BYTES;
    const latency = latencyOf(neighbours, startedAt, endedAt);
    printFigures(`${READERS} slow readers`, {
      requests: load.report(),
      pushedRss,
      gateRss: memory.growthOf([gate]),
      goneMs,
      p99QuietMs: quiet.p99,
      p99Ms: latency.p99,
      slowestMs: latency.max,
      dropped: JSON.stringify(counts?.['packs_dropped']),
    });
    expect(pushedRss).toBeGreaterThan(8_000_000);
    // All of it was taken by the gate, and what the queues held is counted.
    expect(ledgers.flatMap(({ log }) => log.failed)).toEqual([]);
    expect(counts?.['packs_dropped']?.['disconnect']).toBeGreaterThanOrEqual(READERS);
    expect(clients).toBe(neighbours.length);
    expect(goneMs).toBeLessThanOrEqual(GONE_MS + starvedMs);
    expect(memory.growthOf([gate])).toBeLessThanOrEqual(READERS * MAX_HELD + TOLERANCE);
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(latency.max).toBeLessThan(NEIGHBOUR_MS + starvedMs);
    for (const neighbour of neighbours) expect(neighbour.closedWith).toBeUndefined();
  }, 120_000);
});
