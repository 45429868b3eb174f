import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { type NatsProcess, waitUntil } from '@nestgate/testing';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { sumReports } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import type { NodeProcess } from './support/node-process.js';

/** How long a node may take to end, in milliseconds. */
const END_MS = 10_000;
/** How long a gate waits for its clients to be done, in milliseconds. */
const DRAIN_MS = 2_000;
/** How long the handlers take that run when their worker is told to stop, in milliseconds. */
const SLOW_MS = 800;
/** How long the broker is away, and how soon it serves again when it is back, in milliseconds. */
const AWAY_MS = 1_000;
const RECOVERED_MS = 3_000;
const GONE_AWAY = 'CLOSED_1012';

describe.each(LINKS)('a cluster whose nodes are told to stop in turn under load, over %s', link => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  /** Ends a node in order. Resolves with how long that took, in milliseconds. */
  async function terminate(node: NodeProcess): Promise<number> {
    const before = Date.now();
    node.signal('SIGTERM');
    await waitUntil(`${node.id} to end`, () => node.isOver, END_MS);
    expect(await node.exited).toEqual({ code: 0, signal: null });
    return Date.now() - before;
  }

  /** Ends the broker in order, and starts it again. Resolves with how long it takes then until newcomers are served. */
  async function restartBroker(nats: NatsProcess): Promise<number> {
    await nats.shutDown();
    await delay(AWAY_MS);
    await nats.restart();
    const before = Date.now();
    const newcomers = [...(await cluster.connect(0, 2)), ...(await cluster.connect(1, 2))];
    for (const client of newcomers) {
      await waitUntil(`${client.name} to be served`, async () => !(await client.exchange('echo/echo')).error);
    }
    return Date.now() - before;
  }

  const reportOf = (clients: readonly LedgerClient[]) => sumReports(clients.map(client => client.requests.report()));

  it('answers every request that it has taken', async () => {
    cluster = await FaultCluster.start({ link, gate: { drainTimeout: DRAIN_MS } });
    const clients = [...(await cluster.connect(0, 6)), ...(await cluster.connect(1, 6))];
    // There is never a moment without requests in flight.
    const load = new Load([...clients], { everyMs: 10, workMs: 25 });
    await load.flows(5);

    let workersMs = 0;
    let slow = 0;
    for (const worker of cluster.workers.slice(0, 2)) {
      const waiting = [...(await cluster.connect(0, 4)), ...(await cluster.connect(1, 4))];
      for (const client of waiting) client.ask('work/do', { ms: SLOW_MS });
      await waitUntil('the handlers to begin', () => {
        const effects = cluster.effects();
        return waiting.every(client => effects.of(client, 1).length > 0);
      });
      const effects = cluster.effects();
      slow += waiting.filter(client => effects.of(client, 1)[0]?.worker === worker.id).length;
      workersMs = Math.max(workersMs, await terminate(worker));
      await waitUntil('the replies', () => waiting.every(({ requests }) => requests.log.open.length === 0));
      expect(reportOf(waiting)).toMatchObject({ ...NO_DEFECTS, received: waiting.length, errors: {} });
      await load.flows();
      await cluster.startWorker();
      await cluster.isWhole();
    }
    const { errors: duringWorkers } = load.report();
    // Both workers had some of those that waited.
    expect(slow).toBeGreaterThan(1);

    let gatesMs = 0;
    for (const index of [0, 1]) {
      const gate = cluster.gates[index]!;
      const [idle, busy] = await cluster.connect(index, 2);
      busy!.ask('work/do', { ms: SLOW_MS });
      await waitUntil('its handler to begin', () => cluster.effects().of(busy!, 1).length > 0);
      const leaving = [...load.clients.filter(({ port }) => port === gate.port), idle!, busy!];
      expect(await gate.health('/health/ready')).toBe(200);
      const ended = terminate(gate);
      await waitUntil('readiness to fall', async () => (await gate.health('/health/ready')) === 503);
      expect(await gate.health()).toBe(503);
      expect(leaving.every(({ isOpen }) => isOpen)).toBe(true);
      gatesMs = Math.max(gatesMs, await ended);
      await waitUntil('the clients to be sent away', () => leaving.every(({ closedWith }) => closedWith !== undefined));
      expect(leaving.map(({ closedWith }) => closedWith)).toEqual(leaving.map(() => 1012));
      expect(busy!.requests.report()).toMatchObject({ received: 1, errors: {} });
      await load.flows();
      await cluster.startGate(index);
      await cluster.isWhole();
      load.clients.push(...(await cluster.connect(index, 6)));
      await load.flows();
    }
    const brokerMs = cluster.nats ? await restartBroker(cluster.nats) : 0;
    await load.flows();
    await load.stop();

    const requests = load.report();
    const effects = cluster.effects();
    const unanswered = load.clients.flatMap(client =>
      client.requests.log.failed
        .filter(({ seq, outcome }) => outcome === GONE_AWAY && effects.of(client, seq).length > 0)
        .map(({ seq }) => `${client.name}/${seq}`),
    );
    printFigures(`SIGTERM in turn, ${link}`, {
      duringWorkers: JSON.stringify(duringWorkers),
      requests,
      unanswered: unanswered.length,
      workersMs,
      gatesMs,
      brokerMs,
      repeated: effects.repeated.length,
    });
    expect(duringWorkers).toEqual({});
    expect(brokerMs).toBeLessThanOrEqual(RECOVERED_MS);
    expect(requests).toMatchObject(NO_DEFECTS);
    // What was on its way through the broker may be lost with it, and ends at once.
    expect(unexpectedErrors(requests, GONE_AWAY, ...(cluster.nats ? ['NO_WORKER', 'WORKER_LOST'] : []))).toEqual([]);
    // A request that a client sends while the gate closes ends with the connection; no handler has started it.
    expect(unanswered.slice(0, 5)).toEqual([]);
    expect(effects.repeated).toEqual([]);
  });
});
