import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, NatsCluster, NatsProcess, type TestCluster, TcpRelay, waitUntil } from '@nestgate/testing';
import { isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { NumberedPushes } from './support/numbered-pushes.js';

/** Longer than it takes to acknowledge what was sent last, in milliseconds. */
const ACKNOWLEDGED_MS = 1_500;

describe('pushes while NATS fails', () => {
  const ending: (() => Promise<void>)[] = [];
  let cluster: TestCluster;

  afterEach(async () => {
    await cluster.close();
    for (const end of ending.splice(0).toReversed()) await end();
  });

  /** Two gates and a worker that never stops to push to a client of the second gate. */
  async function start(gateUrl: string, workerUrl: string, otherUrl = workerUrl): Promise<NumberedPushes> {
    const link = (role: string, index: number): string =>
      role === 'worker' ? workerUrl : index === 1 ? gateUrl : otherUrl;
    cluster = await createTestCluster({ gates: 2, workers: 1, link, gate: { sendPackBuffNum: 100_000 } });
    const api = cluster.workers[0]!.api;
    const client = await cluster.connect({ gate: 1 });
    const { clientId } = client;
    await api.bindUid(clientId, 'ada');
    await api.joinGroup(clientId, 'room');
    const pushes = new NumberedPushes(api, cluster.workers[0]!.app.get(LinkNode), client, {
      uid: 'ada',
      group: 'room',
      clientId,
    });
    await delay(ACKNOWLEDGED_MS);
    return pushes;
  }

  /** Whether everybody is back, and a while after that. */
  async function settle(): Promise<void> {
    const nodes = [...cluster.gates, ...cluster.workers].map(({ app }) => app.get(LinkNode));
    await waitUntil(
      'all nodes to be back',
      () => nodes.every(node => node.isUp && nodes.every(({ info }) => node.peers.has(info.id))),
      20_000,
    );
    await delay(1_000);
  }

  async function check(name: string, pushes: NumberedPushes): Promise<void> {
    await settle();
    pushes.stop();
    await delay(ACKNOWLEDGED_MS);
    const { uncertain, gaps } = cluster.workers[0]!.app.get(LinkNode).counters;
    const gate = cluster.gates[1]!.app.get(LinkNode).counters;
    const report = pushes.report();
    printFigures(name, { ...report, uncertain, gaps, gateGaps: gate.gaps });
    expect(report.duplicates).toBe(0);
    expect(report.reordered).toBe(0);
    expect(report.delivered).toBeGreaterThan(500);
    expect(report.lost - uncertain - report.refused).toBeLessThanOrEqual(0);
  }

  async function servers(): Promise<NatsCluster> {
    const nats = await NatsCluster.start();
    ending.push(() => nats.end());
    return nats;
  }

  it.each(isLong ? [5_000, 6_000, 20_000] : [5_000])(
    'are delivered or counted when the server of their gate hangs for %i ms',
    async ms => {
      const nats = await servers();
      const pushes = await start(nats.url(1), nats.url(0), nats.url(2));
      nats.servers[1]?.suspend();
      await delay(ms);
      nats.servers[1]?.resume();
      await check(`a server hangs for ${ms} ms`, pushes);
    },
    60_000,
  );

  it.each(['SIGKILL', 'SIGUSR2'] as const)(
    'are delivered or counted when the server of their gate ends by %s, and it goes to another one',
    async signal => {
      const nats = await servers();
      const others = [0, 2].map(index => nats.url(index).replace('nats://', '')).join(',');
      const pushes = await start(`${nats.url(1)},${others}`, nats.url(0), nats.url(2));
      if (signal === 'SIGKILL') await nats.servers[1]?.crash();
      else nats.servers[1]?.signal(signal);
      await delay(1_500);
      await check(`a server ends by ${signal}`, pushes);
    },
    60_000,
  );

  it('are delivered, counted or refused when the server of their sender is away for 2 s', async () => {
    const nats = await servers();
    const pushes = await start(nats.url(1), nats.url(0), nats.url(2));
    await nats.servers[0]?.crash();
    await delay(2_000);
    await nats.servers[0]?.restart();
    await check('no server for the sender for 2 s', pushes);
  }, 60_000);

  it.each(isLong ? [2_000, 6_000, 20_000] : [2_000, 6_000])(
    'are delivered, counted or refused when the only server is away for %i ms',
    async ms => {
      const nats = await NatsProcess.start();
      ending.push(() => nats.end());
      const pushes = await start(nats.url, nats.url);
      await nats.crash();
      await delay(ms);
      await nats.restart();
      await check(`no server for ${ms} ms`, pushes);
    },
    60_000,
  );

  it('are delivered or counted when the link of their gate is a black hole for 8 s', async () => {
    const nats = await NatsProcess.start();
    ending.push(() => nats.end());
    const relay = await TcpRelay.start(nats.port);
    ending.push(() => relay.end());
    const pushes = await start(`nats://127.0.0.1:${relay.port}`, nats.url);
    relay.hold();
    await delay(8_000);
    relay.release();
    await check('a black hole for 8 s', pushes);
  }, 60_000);
});
