import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, type FaultClusterOptions, isLong, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';
import type { NodeProcess } from './support/node-process.js';

const HOUR_MS = 3_600_000;
const GATE = { pingInterval: 200, heartOverTimer: 1_500, requestTimeout: 2_000 };
/** Long enough for a client to be closed that is taken for silent, and for a request to time out. */
const LONGER_MS = 2_500;
const CLIENTS = 4;

describe.each(LINKS)('clocks and pauses, over %s', link => {
  let cluster: FaultCluster;
  /** These send nothing but pongs. */
  let idle: LedgerClient[];
  let load: Load;
  let pings: number;

  afterEach(() => cluster.end());

  async function start(options: Omit<FaultClusterOptions, 'link'>): Promise<void> {
    cluster = await FaultCluster.start({ link, gates: 1, workers: 1, gate: GATE, ...options });
    idle = await cluster.connect(0, CLIENTS);
    pings = 0;
    for (const { socket } of idle) socket.on('ping', () => pings++);
    load = new Load(await cluster.connect(0, CLIENTS));
    await load.flows();
  }

  /** Everything goes on: pings, requests, and the deadline of a request that nobody answers. */
  async function isWell(): Promise<void> {
    const before = pings;
    const askedAt = performance.now();
    const [asker] = idle as [LedgerClient];
    const answer = await asker.exchange('work/fail', { how: 'never', payload: { session: asker.name, seq: 0 } });
    const waitedMs = performance.now() - askedAt;
    expect(answer.error?.code).toBe('TIMEOUT');
    expect(waitedMs).toBeGreaterThan(GATE.requestTimeout * 0.9);
    expect(waitedMs).toBeLessThan(GATE.requestTimeout + 1_000);
    await delay(LONGER_MS - GATE.requestTimeout);
    await load.flows();
    // At least every other one of those that are due.
    expect(pings - before).toBeGreaterThan((CLIENTS * LONGER_MS) / GATE.pingInterval / 2);
    for (const client of [...idle, ...load.clients])
      expect([client.name, client.closedWith]).toEqual([client.name, undefined]);
  }

  async function isFaultless(what: string): Promise<void> {
    await load.stop();
    const requests = load.report();
    printFigures(`${what}, ${link}`, { requests, pings });
    expect(requests).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(cluster.effects().repeated.filter(key => !key.endsWith('/0'))).toEqual([]);
  }

  it('a clock that is set by an hour, back and forth, changes nothing', async () => {
    await start({ clocks: { gate: 0, worker: 0 } });
    const [gate, worker] = [cluster.gates[0], cluster.workers[0]] as [NodeProcess, NodeProcess];
    for (const ms of isLong ? [-HOUR_MS, HOUR_MS, 0] : [-HOUR_MS, HOUR_MS]) {
      await Promise.all([gate.setClock(ms), worker.setClock(ms)]);
      await isWell();
    }
    // A client that is silent indeed is still noticed.
    const [silent] = await cluster.connect(0, 1);
    silent!.socket.pause();
    await waitUntil('the silent client to be gone', async () => (await gate.state()).clients === 2 * CLIENTS, 6_000);
    await isFaultless('clocks set by an hour');
  });

  it('clocks that differ by a minute do not matter, nor that one of them is corrected', async () => {
    await start({ clocks: { gate: 60_000, worker: 0 } });
    await isWell();
    await (cluster.gates[0] as NodeProcess).setClock(0);
    await isWell();
    await isFaultless('clocks that differ by a minute');
  });

  it('a gate that stands still for longer than its clients may be silent closes none of them', async () => {
    await start({});
    const gate = cluster.gates[0] as NodeProcess;
    gate.signal('SIGSTOP');
    await delay(LONGER_MS);
    gate.signal('SIGCONT');
    await load.flows();
    await isWell();
    await load.stop();
    // Requests that were under way may have run out of time meanwhile; they end in one way only.
    const requests = load.report();
    printFigures(`gate stopped for ${LONGER_MS} ms, ${link}`, { requests, pings });
    expect(requests).toMatchObject(NO_DEFECTS);
    expect(Object.keys(requests.errors).filter(code => code !== 'TIMEOUT' && code !== 'WORKER_LOST')).toEqual([]);
  });

  it('a worker that stands still is worked with again, and nothing is done late', async () => {
    await start({});
    const worker = cluster.workers[0] as NodeProcess;
    worker.signal('SIGSTOP');
    await delay(LONGER_MS);
    worker.signal('SIGCONT');
    await load.flows();
    await isWell();
    await load.stop();
    const requests = load.report();
    const expired = cluster.effects().expired(load.clients);
    printFigures(`worker stopped for ${LONGER_MS} ms, ${link}`, { requests, pings, expired: expired.length });
    expect(requests).toMatchObject(NO_DEFECTS);
    expect(Object.keys(requests.errors).filter(code => code !== 'TIMEOUT' && code !== 'WORKER_LOST')).toEqual([]);
    expect(expired).toEqual([]);
  });
});
