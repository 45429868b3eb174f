import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { NEWS_MS } from './support/effects.js';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { ACCEPTED } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { MemoryWatch } from './support/memory-watch.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { PushFlow, pushOf, pushOfNode } from './support/push-flow.js';

/** After so many milliseconds it is known that the server is gone, and again that it is there. */
const DETECTED_MS = 4_000;
const RECOVERED_MS = 3_000;
const MAX_RSS = 64 * 1024 * 1024;
/** Short, so that a request which is forgotten is seen. In milliseconds. */
const REQUEST_MS = 5_000;
/** How long a frame waits for a worker, in milliseconds. */
const WAIT_MS = 1_500;
/** Frames that wait for a worker that is known to be gone end while there is no server. */
const OUTAGE_MS = isLong ? 60_000 : DETECTED_MS + WAIT_MS + 1_000;
const HANG_MS = isLong ? 20_000 : OUTAGE_MS;
/** What a request may end with while there is no server. */
const REFUSALS = ['NO_WORKER', 'WORKER_LOST', 'TIMEOUT'];

describe('a NATS server under load', () => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  async function connectAll(count: number): Promise<LedgerClient[]> {
    return [...(await cluster.connect(0, count)), ...(await cluster.connect(1, count))];
  }

  const nodes = () => [...cluster.gates, ...cluster.workers];

  /** What the worker that pushes has counted as not sent, or as perhaps not arrived. */
  async function countedDrops(): Promise<number> {
    const { counters } = await cluster.workers[0]!.state();
    return (counters['refused'] ?? 0) + (counters['uncertain'] ?? 0);
  }

  async function outage(name: string, outageMs: number, begin: () => Promise<void>, end: () => Promise<void>) {
    cluster = await FaultCluster.start({ link: 'nats', gate: { requestTimeout: REQUEST_MS, workerWait: WAIT_MS } });
    const clients = await connectAll(8);
    const [sender, ...members] = await connectAll(2);
    const confirmed = await PushFlow.start(pushOf(sender!), 'confirmed', members);
    const others = await connectAll(1);
    const unconfirmed = await PushFlow.start(pushOfNode(cluster.workers[0]!), 'unconfirmed', others);
    const load = new Load(clients, { noiseBytes: 2_000 });
    await load.flows(20);

    const memory = new MemoryWatch(nodes());
    const downAt = Date.now();
    await begin();
    await delay(downAt + outageMs - Date.now());
    await end();
    const upAt = Date.now();
    await load.flows(1, RECOVERED_MS + 5_000);
    const recoveryMs = Date.now() - upAt;
    await cluster.isWhole();
    await load.flows();
    await load.stop();
    await Promise.all([confirmed.stop(), unconfirmed.stop()]);
    memory.end();

    const requests = load.report();
    const pushes = confirmed.ledger.total();
    const { log } = unconfirmed.ledger;
    const own = unconfirmed.ledger.total();
    // Each refusal is counted too, and has been told besides.
    const counted = (await countedDrops()) - log.failed.length;
    const refused = log.intents.find(({ at, outcome }) => at >= downAt && outcome !== ACCEPTED);
    const detectionMs = (refused?.at ?? Number.NaN) - downAt;
    const effects = cluster.effects();
    const expired = effects.expired(clients, NEWS_MS);
    printFigures(name, {
      requests,
      confirmed: pushes,
      unconfirmed: own,
      counted,
      detectionMs,
      recoveryMs,
      gateRss: memory.growthOf(cluster.gates),
      workerRss: memory.growthOf(cluster.workers),
      expired: expired.length,
      repeated: effects.repeated.length,
    });
    expect(detectionMs).toBeLessThanOrEqual(DETECTED_MS);
    expect(recoveryMs).toBeLessThanOrEqual(RECOVERED_MS);
    expect(memory.growthOf(nodes())).toBeLessThanOrEqual(MAX_RSS);
    // One outcome for each request, in time; none was served while nobody could.
    expect(requests).toMatchObject(NO_DEFECTS);
    expect(clients.map(({ requests: ledger }) => ledger.lateAfter(REQUEST_MS))).toEqual(clients.map(() => 0));
    expect(unexpectedErrors(requests, ...REFUSALS)).toEqual([]);
    const during = clients
      .flatMap(client => client.requests.log.intents)
      .filter(({ settledAt }) => settledAt > downAt + DETECTED_MS && settledAt < upAt);
    expect(during.length).toBeGreaterThan(0);
    expect(during.filter(({ outcome }) => outcome === ACCEPTED)).toEqual([]);
    expect(effects.repeated).toEqual([]);
    expect(expired.slice(0, 5)).toEqual([]);
    // What was confirmed has arrived; of what was not, each is there, refused, or counted.
    expect(pushes).toMatchObject(NO_DEFECTS);
    expect(unexpectedErrors(pushes, ...REFUSALS, 'PARTIAL_RESULT', 'LINK_UNAVAILABLE')).toEqual([]);
    expect(own).toMatchObject({ dup: 0, reorder: 0, foreign: 0 });
    for (const { name: member } of others) {
      expect(unconfirmed.ledger.report(member, counted).silent).toBeLessThanOrEqual(0);
    }
    const late = log.intents.filter(({ at }) => at > downAt + DETECTED_MS && at < upAt);
    expect(late.length).toBeGreaterThan(0);
    expect(late.filter(({ outcome }) => outcome !== 'LINK_UNAVAILABLE')).toEqual([]);
    for (const client of [...clients, ...members, ...others, sender!]) expect(client.closedWith).toBeUndefined();
  }

  it(
    'that is killed and comes back takes no client with it, and nothing silently',
    () =>
      outage(
        `nats killed for ${OUTAGE_MS} ms`,
        OUTAGE_MS,
        () => cluster.nats!.crash(),
        () => cluster.nats!.restart(),
      ),
    OUTAGE_MS + 120_000,
  );

  it(
    'that stands still and goes on takes no client with it, and nothing silently',
    () =>
      outage(
        `nats hung for ${HANG_MS} ms`,
        HANG_MS,
        async () => cluster.nats!.suspend(),
        async () => cluster.nats!.resume(),
      ),
    HANG_MS + 120_000,
  );
});
