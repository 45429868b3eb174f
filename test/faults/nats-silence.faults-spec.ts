import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, NatsProcess, type TestCluster, TcpRelay, waitUntil } from '@nestgate/testing';
import { printFigures } from './support/figures.js';
import { NumberedPushes } from './support/numbered-pushes.js';

/** Longer than it takes to acknowledge what was sent last, in milliseconds. */
const ACKNOWLEDGED_MS = 1_500;

const ending: (() => Promise<void>)[] = [];
let cluster: TestCluster;

afterEach(async () => {
  await cluster.close();
  for (const end of ending.splice(0).toReversed()) await end();
});

it('pushes are delivered or counted when the link of their gate hands on nothing for 8 s', async () => {
  const nats = await NatsProcess.start();
  ending.push(() => nats.end());
  const relay = await TcpRelay.start(nats.port);
  ending.push(() => relay.end());
  const link = (role: string, index: number): string =>
    role === 'gate' && index === 1 ? `nats://127.0.0.1:${relay.port}` : nats.url;
  cluster = await createTestCluster({ gates: 2, workers: 1, link, gate: { sendPackBuffNum: 100_000 } });
  const { api, app } = cluster.workers[0]!;
  const client = await cluster.connect({ gate: 1 });
  const { clientId } = client;
  await api.bindUid(clientId, 'ada');
  await api.joinGroup(clientId, 'room');
  const pushes = new NumberedPushes(api, app.get(LinkNode), client, { uid: 'ada', group: 'room', clientId });
  await delay(ACKNOWLEDGED_MS);

  relay.hold();
  await delay(8_000);
  relay.release();
  await allAreBack();
  pushes.stop();
  await delay(ACKNOWLEDGED_MS);

  const { uncertain, gaps } = app.get(LinkNode).counters;
  const gate = cluster.gates[1]!.app.get(LinkNode).counters;
  const report = pushes.report();
  printFigures('nothing for 8 s over nats', { ...report, uncertain, gaps, gateGaps: gate.gaps });
  expect(report.duplicates).toBe(0);
  expect(report.reordered).toBe(0);
  expect(report.delivered).toBeGreaterThan(500);
  expect(report.lost - uncertain - report.refused).toBeLessThanOrEqual(0);
});

/** Whether everybody is back, and a while after that. */
async function allAreBack(): Promise<void> {
  const nodes = [...cluster.gates, ...cluster.workers].map(({ app }) => app.get(LinkNode));
  await waitUntil(
    'all nodes to be back',
    () => nodes.every(node => node.isUp && nodes.every(({ info }) => node.peers.has(info.id))),
    20_000,
  );
  await delay(1_000);
}
