import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, FakeClient, NatsProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { NodeProcess } from './support/node-process.js';

const STOPPED_MS = isLong ? 20_000 : 8_000;
/** After so many milliseconds the others have taken the gate for dead. */
const DEAD_MS = 6_500;

describe('a gate that is stopped, and goes on', () => {
  let nats: NatsProcess;
  let stopped: NodeProcess;
  let cluster: TestCluster;
  let pump: NodeJS.Timeout;
  const clients: FakeClient[] = [];

  afterEach(async () => {
    clearInterval(pump);
    for (const client of clients.splice(0)) client.socket.terminate();
    await stopped.end();
    await cluster.close();
    await nats.end();
  });

  async function connect(): Promise<FakeClient> {
    const client = await FakeClient.connect(`ws://127.0.0.1:${stopped.port}/gate`);
    clients.push(client);
    return client;
  }

  it('delivers nothing stale: not to who was replaced or revoked, nor to a group that was dissolved', async () => {
    nats = await NatsProcess.start();
    const options = { login: 'replace', sendPackBuffNum: 100_000 } as const;
    const env = { NESTGATE_LINK: nats.url, FAULTS_GATE: JSON.stringify(options) };
    stopped = await NodeProcess.start('gate', 'stopped', env);
    cluster = await createTestCluster({ gates: 2, workers: 1, link: () => nats.url, gate: options });
    const { api, app } = cluster.workers[0]!;
    const node = app.get(LinkNode);
    await waitUntil(
      'the gates',
      () => [...node.peers.values()].filter(({ info }) => info.role === 'gate').length === 3,
    );
    const [old, revoked, member] = [await connect(), await connect(), await connect()];
    await api.bindUid(old.clientId, 'ada');
    await api.bindUid(revoked.clientId, 'eve');
    await api.bindUid(member.clientId, 'bob');
    await api.joinGroup(member.clientId, 'room');
    let number = 0;
    pump = setInterval(() => {
      number++;
      for (const uid of ['ada', 'eve', 'bob']) void api.sendToUid(uid, `push/${uid}`, number).catch(() => undefined);
      void api.sendToGroup('room', 'push/room', number).catch(() => undefined);
    }, 5);
    const last = (client: FakeClient, topic: string): number =>
      Math.max(0, ...client.pushes(topic).map(({ body }) => body as number));
    await waitUntil('pushes', () => last(old, 'push/ada') > 10 && last(member, 'push/room') > 10);

    const stoppedAt = performance.now();
    stopped.signal('SIGSTOP');
    await delay(1_000);
    const next = await cluster.connect({ gate: 1 });
    await api.bindUid(next.clientId, 'ada');
    const takenOver = number;
    await delay(DEAD_MS - (performance.now() - stoppedAt));
    const revocation = await api.revoke('eve').catch((error: unknown) => error);
    const revokedAt = number;
    await api.ungroup('room').catch(() => undefined);
    const dissolved = number;
    await delay(STOPPED_MS - (performance.now() - stoppedAt));
    const goesOn = number;
    stopped.signal('SIGCONT');
    await waitUntil('the gate to be back', () => last(member, 'push/bob') > goesOn + 100, 10_000);
    clearInterval(pump);
    await delay(500);

    const figures = {
      toReplaced: last(old, 'push/ada') - takenOver,
      toRevoked: last(revoked, 'push/eve') - revokedAt,
      toGroup: last(member, 'push/room') - dissolved,
    };
    const { counts } = await stopped.state();
    printFigures(`a gate stopped for ${STOPPED_MS} ms`, { ...figures, counts: JSON.stringify(counts) });
    expect(revocation).toMatchObject({ code: 'PARTIAL_RESULT', details: { missing: ['stopped'] } });
    expect(old.closedWith?.code).toBe(4001);
    expect(revoked.closedWith?.reason).toBe('revoked');
    for (const late of Object.values(figures)) expect(late).toBeLessThanOrEqual(0);
    const numbers = member.pushes('push/bob').map(({ body }) => body as number);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(next.closedWith).toBeUndefined();
  });
});
