import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { RawSocket, resetRawSockets, upgradeRequest } from '../e2e/support/raw-socket.js';
import { FaultCluster } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { LedgerClient } from './support/ledger-client.js';
import { latencyOf } from './support/latency.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';

/** Node opens many files at once when it starts: with fewer it would not. */
const MAX_FILES = 512;
/** More than fit. */
const CLIENTS = 560;
/** How long it goes on with no file left, and how much CPU time its loop may take in that, in milliseconds. */
const FULL_MS = 1_000;
const MAX_CPU_MS = FULL_MS / 2;
/** How soon a connection that does not fit is ended, and how soon new ones fit again, in milliseconds. */
const REFUSED_MS = 1_000;
const RECOVERED_MS = 3_000;

describe('a gate that cannot open any more files', () => {
  let cluster: FaultCluster;
  let clients: LedgerClient[];

  beforeAll(async () => {
    const gate = { maxConnections: 10_000, tcp: { port: 0 } };
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, maxFiles: MAX_FILES, gate });
    clients = await cluster.connect(0, 8);
  });
  afterEach(resetRawSockets);
  afterAll(() => cluster.end());

  it.each(['ws', 'tcp'])(
    'refuses who does not fit over %s, keeps the others, and takes new ones later',
    async network => {
      const node = cluster.gates[0]!;
      const load = new Load(clients, { everyMs: 50 });
      await load.flows(5);
      const { tcpPort = 0, clients: early = 0 } = await node.state();
      const port = network === 'ws' ? node.port : tcpPort;
      const open = async () => {
        const client = await RawSocket.open(port);
        if (network === 'ws') client.send(upgradeRequest());
        return client;
      };
      /** Over TCP there is no word of welcome: the gate counts those it has. */
      const taken = async () => ((await node.state()).clients ?? 0) - early;

      const sockets: RawSocket[] = [];
      for (let i = 0; i < CLIENTS; i++) sockets.push(await open());
      await waitUntil('each to be taken or ended', async () => {
        const ended = sockets.filter(socket => socket.ended).length;
        return ended + (await taken()) === CLIENTS;
      });
      const before = await taken();
      const fullAt = Date.now();
      const { cpuMs } = await node.state();
      await delay(FULL_MS);
      const spentMs = (await node.state()).cpuMs - cpuMs;
      const askedAt = Date.now();
      const late = await open();
      await waitUntil('the late one to be ended', () => late.ended, REFUSED_MS);
      const refusedMs = Date.now() - askedAt;
      await load.flows(5);
      const slowest = latencyOf(clients, fullAt).max;

      for (const socket of sockets) socket.reset();
      const leftAt = Date.now();
      await waitUntil('them to be gone', async () => (await taken()) === 0);
      const again = await open();
      if (network === 'ws') expect(await again.answer()).toBe(101);
      await waitUntil('a new one to be taken', async () => (await taken()) === 1, RECOVERED_MS);
      const recoveryMs = Date.now() - leftAt;
      const [served] = await cluster.connect(0, 1);
      await served!.call('echo/echo', 'welcome');
      served!.end();
      await load.flows(5);
      await load.stop();

      printFigures(`${CLIENTS} clients over ${network}, ${MAX_FILES} files`, {
        requests: load.report(),
        taken: before,
        refusedMs,
        recoveryMs,
        cpuMs: spentMs,
        slowestMs: slowest,
      });
      expect(before).toBeGreaterThan(0);
      expect(before).toBeLessThan(CLIENTS);
      expect(spentMs).toBeLessThan(MAX_CPU_MS);
      expect(recoveryMs).toBeLessThanOrEqual(RECOVERED_MS);
      expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
      expect(node.isOver).toBe(false);
      expect(node.output).toBe('');
      for (const client of clients) expect(client.closedWith).toBeUndefined();
    },
    30_000,
  );
});
