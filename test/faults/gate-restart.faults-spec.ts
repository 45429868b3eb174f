import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { FakeClient, freePort, waitUntil } from '@nestgate/testing';
import { isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { BlackHole } from './support/black-hole.js';
import { NodeProcess } from './support/node-process.js';
import { type FlowReport, NumberFlow } from './support/tcp-sender.js';

const SECRET = 'shared';
const ROUNDS = isLong ? 20 : 3;
const PER_SECOND = 1_000;
/** How long each gate has its client, in milliseconds: the first moments are those that matter. */
const ROUND_MS = 1_200;
/** How long the last pushes may take, in milliseconds. */
const LAST_MS = 2_000;

describe('a sender that never stops, over tcp', () => {
  const ends: (() => unknown)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  async function startGate(port: number, id = 'gate-1'): Promise<NodeProcess> {
    const env = {
      NESTGATE_LINK: `tcp://127.0.0.1:${port}`,
      NESTGATE_SECRET: SECRET,
      NESTGATE_MSG_RATE: '0',
    };
    const gate = await NodeProcess.start('gate', id, env);
    ends.push(() => gate.end());
    return gate;
  }

  /** A client that is bound to the uid when this resolves. */
  async function connect(gate: NodeProcess, uid: string): Promise<FakeClient> {
    const client = await FakeClient.connect(`ws://127.0.0.1:${gate.port}/gate?uid=${uid}`);
    ends.push(() => client.socket.terminate());
    await client.request('$gate/ping');
    return client;
  }

  it('loses nothing silently that it sends to a client of a gate that was killed and is back', async () => {
    const port = await freePort();
    // Another gate is in reach all the time, so that pushes are accepted.
    const otherPort = await freePort();
    let [gate] = await Promise.all([startGate(port), startGate(otherPort, 'gate-2')]);
    const flow = await NumberFlow.open(`tcp://127.0.0.1:${port},127.0.0.1:${otherPort}`, SECRET);
    ends.push(() => flow.close());
    await waitUntil('the gates', () => flow.node.peers.size === 3);
    flow.start(PER_SECOND, (api, topic, n) => api.sendToUid('ada', topic, n));
    const reports: FlowReport[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const client = await connect(gate, 'ada');
      const from = flow.next;
      await delay(ROUND_MS);
      const to = flow.next;
      const got = () => flow.report([client], from, to);
      await waitUntil('the last pushes', () => got().received >= got().accepted, LAST_MS).catch(() => undefined);
      reports.push(got());
      if (round === ROUNDS) break;
      await gate.kill();
      gate = await startGate(port);
    }
    flow.stop();
    const restarted = reports.slice(1);
    const sum = (key: keyof FlowReport) => restarted.reduce((total, report) => total + report[key], 0);
    printFigures('gate killed and restarted, tcp', {
      rounds: restarted.length,
      sent: sum('sent'),
      received: sum('received'),
      told: sum('told'),
      silent: sum('silent'),
    });
    expect(restarted.map(({ silent }) => silent)).toEqual(restarted.map(() => 0));
    expect(sum('duplicates')).toBe(0);
    // The gate takes clients when the sender is there again.
    expect(sum('received')).toBeGreaterThan(sum('sent') * 0.9);
  }, 120_000);

  it('is told or counts what it sends to a client behind a link that swallows everything for a while', async () => {
    const port = await freePort();
    const gate = await startGate(port);
    // Another gate is in reach all the time, so that pushes are accepted.
    const otherPort = await freePort();
    await startGate(otherPort, 'gate-2');
    const hole = await BlackHole.start(port);
    ends.push(() => hole.end());
    const flow = await NumberFlow.open(`tcp://127.0.0.1:${hole.port},127.0.0.1:${otherPort}`, SECRET);
    ends.push(() => flow.close());
    const isBack = () => flow.node.peers.has(gate.id);
    await waitUntil('the gate', isBack);
    const client = await connect(gate, 'ada');
    const { clientId } = client;
    flow.start(200, (api, topic, n) => api.sendToClient(clientId, topic, n));
    await delay(1_000);
    hole.swallow();
    await delay(8_000);
    hole.restore();
    await waitUntil('the gate to be back', isBack, 10_000);
    await delay(500);
    flow.stop();
    await delay(500);
    const report = flow.report([client], 0, flow.next);
    printFigures('link swallows for 8 s, tcp', { ...report });
    expect(report).toMatchObject({ silent: 0, duplicates: 0 });
    expect(report.received).toBeGreaterThan(200);
    expect(report.told).toBeGreaterThan(200);
    expect(client.closedWith).toBeUndefined();
    expect(await flow.api.isOnline(clientId)).toBe(true);
  });
});
