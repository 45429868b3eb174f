import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { SlowClientPolicy } from '@nestgate/gate';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { ACCEPTED, PushLedger, sumReports } from './support/ledger.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { MemoryWatch } from './support/memory-watch.js';
import { NO_DEFECTS } from './support/no-defects.js';
import { PushFlow, pushOfNode } from './support/push-flow.js';

const MIB = 1024 * 1024;
/** What one that does not read may have at once: less than the test sends, so that it need not wait until it counts as slow. */
const BURST_BYTES = 2 * MIB;
const CLIENTS = isLong ? 200 : 60;
const SLOW = CLIENTS / 5;
/** A broadcast of 8 KiB, so often, for so long. In milliseconds. */
const BROADCAST_BYTES = 8 * 1024;
const EVERY_MS = isLong ? 20 : 10;
const BROADCAST_MS = isLong ? 20_000 : 2_500;
/** What is pushed to the slow ones before, where it does not last long enough to fill them: as much as a kernel holds. */
const AHEAD = isLong ? 0 : 50;
const AHEAD_BYTES = 60_000;
const MAX_RSS = 100 * MIB;
/** How long a client may be there once its queue is full, and how long a neighbour may wait, in milliseconds. */
const GONE_MS = 5_000;
const NEIGHBOUR_MS = 1_000;
const DROPPING: readonly SlowClientPolicy[] = ['drop-oldest', 'drop-newest'];
const FRAMES = 300;
const FRAME_BYTES = 32_000;
const TOPIC = 'fan/msg';

describe('clients that never read', () => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  it(
    'are sent away by "disconnect" in the midst of a broadcast, of which nobody else loses anything',
    async () => {
      const gate0 = () => ({ sendBurstBytes: BURST_BYTES });
      cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, gate: gate0 });
      const [gate, worker] = [cluster.gates[0]!, cluster.workers[0]!];
      const readers = await cluster.connect(0, CLIENTS - SLOW);
      const pushes = await PushFlow.start(pushOfNode(worker, BROADCAST_BYTES), 'all', readers, EVERY_MS);
      const load = new Load(readers, { everyMs: 200, workMs: 0 });
      const sockets = gate.sockets;
      const memory = new MemoryWatch([gate]);
      const p99: Record<'without' | 'with', number[]> = { without: [], with: [] };
      let [goneMs, slowestMs] = [0, 0];
      for (let round = 0; round < (isLong ? 2 : 1); round++) {
        await load.flows(2);
        const quietAt = Date.now();
        await delay(BROADCAST_MS);
        p99.without.push(latencyOf(readers, quietAt).p99);

        const slow = await cluster.connect(0, SLOW);
        for (const client of slow) {
          await client.call('fan/join', { group: 'slow' });
          await client.call('fan/join', { group: 'all' });
          client.socket.pause();
        }
        for (let i = 0; i < AHEAD; i++) await worker.push('slow', TOPIC, 'x'.repeat(AHEAD_BYTES));
        const slowAt = Date.now();
        const closed = async () => (await gate.state()).counts?.['connections_closed']?.['1013'] ?? 0;
        await waitUntil('all queues to be full', async () => (await closed()) === SLOW * (round + 1), BROADCAST_MS * 2);
        const fullAt = Date.now();
        await waitUntil('their sockets to be gone', () => gate.sockets === sockets, GONE_MS + 2_000);
        goneMs = Math.max(goneMs, Date.now() - fullAt);
        await delay(slowAt + BROADCAST_MS - Date.now());
        const latency = latencyOf(readers, slowAt);
        p99.with.push(latency.p99);
        slowestMs = Math.max(slowestMs, latency.max);
      }
      await load.stop();
      await pushes.stop();
      memory.end();

      const { counts, clients } = await gate.state();
      const [requests, received] = [load.report(), pushes.ledger.total()];
      printFigures(`${SLOW} of ${CLIENTS} never read`, {
        requests,
        pushes: received,
        gateRss: memory.growthOf([gate]),
        goneMs,
        p99WithoutMs: p99.without.join('/'),
        p99WithMs: p99.with.join('/'),
        slowestMs,
        dropped: JSON.stringify(counts?.['packs_dropped']),
      });
      expect(clients).toBe(readers.length);
      expect(goneMs).toBeLessThanOrEqual(GONE_MS);
      expect(memory.growthOf([gate])).toBeLessThanOrEqual(MAX_RSS);
      expect(received).toMatchObject({ ...NO_DEFECTS, errors: {} });
      expect(received.received).toBe(received.accepted);
      expect(received.accepted).toBeGreaterThan(readers.length * 100);
      expect(requests).toMatchObject({ ...NO_DEFECTS, errors: {} });
      expect(slowestMs).toBeLessThan(NEIGHBOUR_MS);
      for (const reader of readers) expect(reader.closedWith).toBeUndefined();
    },
    30_000 + 6 * BROADCAST_MS,
  );

  it('get what "drop-oldest" and "drop-newest" leave them, in order, and what is missing is counted', async () => {
    const gate = (index: number) => ({ slowClientPolicy: DROPPING[index], sendBurstBytes: BURST_BYTES });
    cluster = await FaultCluster.start({ link: 'tcp', gates: 2, workers: 1, gate });
    const worker = cluster.workers[0]!;
    for (const [index, policy] of DROPPING.entries()) {
      const [slow, quick] = await cluster.connect(index, 2);
      const ledger = new PushLedger(cluster.run, policy);
      for (const client of [slow!, quick!]) {
        const arrivals = ledger.receiver(client.name);
        client.onPush(TOPIC, body => arrivals.note(body));
        await client.call('fan/join', { group: policy });
      }
      slow!.socket.pause();
      const fill = 'x'.repeat(FRAME_BYTES);
      for (let i = 0; i < FRAMES; i++) {
        const payload = ledger.log.intend();
        ledger.log.settle(payload.seq, (await worker.push(policy, TOPIC, { ...payload, fill })) ?? ACCEPTED);
        await delay(1);
      }
      await waitUntil('the quick one to have all', () => ledger.report(quick!.name).received === FRAMES);
      const { counts } = await cluster.gates[index]!.state();
      const dropped = counts?.['packs_dropped']?.[policy] ?? 0;
      slow!.socket.resume();
      await waitUntil('what is left', () => ledger.report(slow!.name, dropped).silent <= 0);
      // An answer comes behind all that waits.
      await slow!.call('echo/echo');

      const report = ledger.report(slow!.name, dropped);
      const { seqs } = ledger.receiver(slow!.name);
      printFigures(`${policy} of ${FRAMES} frames`, { pushes: report, dropped });
      expect(dropped).toBeGreaterThan(0);
      expect(report).toMatchObject({ accepted: FRAMES, dup: 0, reorder: 0, foreign: 0, silent: 0, errors: {} });
      expect(report.received + dropped).toBe(FRAMES);
      // The last is there when the oldest were dropped, and not when the newest were.
      expect([seqs.has(1), seqs.has(FRAMES)]).toEqual([true, policy === 'drop-oldest']);
      expect(sumReports([ledger.report(quick!.name)])).toMatchObject({ ...NO_DEFECTS, received: FRAMES });
      expect(await cluster.gates[index]!.state()).toMatchObject({ counts: { packs_dropped: { [policy]: dropped } } });
      for (const client of [slow!, quick!]) expect(client.closedWith).toBeUndefined();
    }
  });
});
