import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, LINKS, type LinkKind } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { PushFlow, pushOf } from './support/push-flow.js';

/** How long a killed worker's requests may be without an outcome, in milliseconds. */
const LOST_WITHIN_MS: Readonly<Record<LinkKind, number>> = { tcp: 1_000, nats: 4_000 };
const CLIENTS_PER_GATE = 8;

describe.each(LINKS)('a worker that is killed, over %s', link => {
  const limit = LOST_WITHIN_MS[link];
  let cluster: FaultCluster;

  beforeAll(async () => {
    cluster = await FaultCluster.start({ link });
  });
  afterAll(() => cluster.end());

  async function connectAll(count: number): Promise<LedgerClient[]> {
    return [...(await cluster.connect(0, count)), ...(await cluster.connect(1, count))];
  }

  function failuresOf(clients: readonly LedgerClient[]) {
    return clients.flatMap(client => client.requests.log.failed.map(intent => ({ name: client.name, ...intent })));
  }

  it('takes its requests in flight with it, and nothing else, under load', async () => {
    const clients = await connectAll(CLIENTS_PER_GATE);
    const [sender, ...members] = await connectAll(2);
    const pushes = await PushFlow.start(pushOf(sender!), 'group', members);
    const load = new Load(clients);
    await load.flows(20);

    const victim = cluster.workers[0]!;
    const killedAt = Date.now();
    await victim.kill();
    await load.flows();
    await load.stop();
    await pushes.stop();

    const effects = cluster.effects();
    const hit = clients.filter(client => effects.workerOf(client, killedAt) === victim.id);
    const failed = failuresOf(clients);
    const requests = load.report();
    printFigures(`worker killed under load, ${link}`, {
      requests,
      pushes: pushes.ledger.total(),
      lostWithinMs: Math.max(...failed.map(({ settledAt }) => settledAt)) - killedAt,
      repeated: effects.repeated.length,
    });
    // Both workers had clients, and only those of the killed one lost anything.
    expect(hit.length).toBeGreaterThan(0);
    expect(hit.length).toBeLessThan(clients.length);
    expect(new Set(failed.map(({ name }) => name))).toEqual(new Set(hit.map(({ name }) => name)));
    expect(requests).toMatchObject({ ...NO_DEFECTS, errors: { WORKER_LOST: failed.length } });
    for (const { settledAt } of failed) expect(settledAt).toBeLessThanOrEqual(killedAt + limit);
    // Requests that a client sent after the reported loss were served.
    for (const { requests: ledger } of hit) {
      const told = Math.min(...ledger.log.failed.map(({ settledAt }) => settledAt));
      expect(ledger.log.failed.filter(({ at }) => at > told)).toEqual([]);
    }
    expect(effects.repeated).toEqual([]);
    expect(effects.expired(clients)).toEqual([]);
    expect(pushes.ledger.total()).toMatchObject(NO_DEFECTS);
    expect(unexpectedErrors(pushes.ledger.total(), 'WORKER_LOST')).toEqual([]);
    expect(pushes.ledger.total().received).toBeGreaterThan(0);
    for (const client of [...clients, sender!, ...members]) {
      expect(client.closedWith).toBeUndefined();
      expect(client.strays).toEqual([]);
      client.end();
    }
  });

  it('is noticed in time where nothing else is sent, too', async () => {
    const survivor = cluster.workers[1]!;
    const victim = await cluster.startWorker();
    await cluster.isWhole();
    const clients = await connectAll(4);
    for (const client of clients) client.ask('work/do', { ms: 20_000 });
    await waitUntil('the handlers to begin', () => {
      const effects = cluster.effects();
      return clients.every(client => effects.of(client, 1).length === 1);
    });
    const effects = cluster.effects();
    const hit = clients.filter(client => effects.of(client, 1)[0]?.worker === victim.id);
    const others = clients.filter(client => !hit.includes(client));
    const killedAt = Date.now();
    await victim.kill();
    await waitUntil('the loss', () => hit.every(({ requests }) => requests.log.open.length === 0), limit + 2_000);
    const failed = failuresOf(clients);
    const lostWithinMs = Math.max(...failed.map(({ settledAt }) => settledAt)) - killedAt;
    printFigures(`worker killed in silence, ${link}`, { failed: failed.length, lostWithinMs });
    expect(hit.length).toBeGreaterThan(0);
    expect(failed.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual(
      hit.map(({ name }) => `${name} WORKER_LOST`),
    );
    expect(lostWithinMs).toBeLessThanOrEqual(limit);
    expect(others.every(({ requests }) => requests.log.open.length === 1)).toBe(true);
    for (const client of hit) client.ask('work/do', { ms: 0 });
    await waitUntil('the replies', () => hit.every(({ requests }) => requests.replied === 1));
    const after = cluster.effects();
    expect(hit.map(client => after.of(client, 2)[0]?.worker)).toEqual(hit.map(() => survivor.id));
    expect(after.repeated).toEqual([]);
  });
});
