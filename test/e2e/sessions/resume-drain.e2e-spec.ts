import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { connect, type GateClient } from '@nestgate/client';
import { MemoryBus } from '@nestgate/link';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnConnect, OnDisconnect, OnTopic, type Session } from '@nestgate/worker';
import { WebSocket } from 'ws';
import { Balancer } from '../support/balancer.js';
import { ResumeClient } from '../support/resume-client.js';

const hooks: string[] = [];
const handled = new Map<string, number[]>();

@Controller()
class DrainTopics {
  @OnConnect()
  connect(@ClientSession() { clientId }: Session): void {
    hooks.push(`connect ${clientId}`);
  }

  @OnDisconnect()
  disconnect(@ClientSession() { clientId }: Session): void {
    hooks.push(`disconnect ${clientId}`);
  }

  @OnTopic('drain/take')
  async take(@Payload() body: number, @ClientSession() { clientId }: Session): Promise<number> {
    const list = handled.get(clientId) ?? [];
    handled.set(clientId, list);
    list.push(body);
    await new Promise(resolve => setTimeout(resolve, 5));
    return body;
  }
}

const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1);

describe('gates that stop in turn', () => {
  let bus: MemoryBus;
  let balancer: Balancer;
  let gates: TestCluster[];
  let workers: TestCluster;
  let clients: GateClient[];

  const startGate = async (): Promise<TestCluster> => {
    const gate = await createTestCluster({
      gate: { resume: { maxDetachedPerAddress: 0 }, messageRate: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
      link: () => bus.link(),
    });
    balancer.ready.add(gate.gate.port);
    return gate;
  };

  beforeEach(async () => {
    hooks.length = 0;
    handled.clear();
    clients = [];
    bus = new MemoryBus();
    balancer = await Balancer.start();
    workers = await createTestCluster({
      workers: 2,
      handlers: { controllers: [DrainTopics] },
      gate: { resume: {}, messageRate: 0 },
      link: () => bus.link(),
    });
    gates = [await startGate(), await startGate(), await startGate()];
    // The handlers are on the workers; the gate that came with them takes no clients.
    balancer.ready.delete(workers.gate.port);
  });
  afterEach(async () => {
    for (const client of clients) client.close();
    for (const gate of gates) await gate.close();
    await workers.close();
    balancer.close();
  });

  it('lose no message and no request of resumable clients, and run no @OnDisconnect', async () => {
    const count = 30;
    const api = workers.workers[0]?.api as TestCluster['api'];
    clients = numbers(count).map(() => connect(balancer.url, { WebSocket: WebSocket as never }));
    const got = clients.map(client => {
      const list: number[] = [];
      client.on('p/p', body => list.push(body as number));
      return list;
    });
    const gaps: unknown[] = [];
    for (const client of clients) client.on('gap', gap => gaps.push(gap));
    await waitUntil('all clients', () => clients.every(({ state }) => state.name === 'online'));
    const ids = clients.map(({ clientId }) => clientId);
    await api.joinGroup(ids, 'all');
    const stop = new AbortController();
    let pushed = 0;
    const pushing = (async () => {
      while (!stop.signal.aborted) {
        await api.sendToGroup('all', 'p/p', ++pushed);
        await api.sendToAll('p/p', ++pushed);
        await api.sendToClient(ids, 'p/p', ++pushed);
        await new Promise(resolve => setTimeout(resolve, 10));
      }
    })();
    const failures: unknown[] = [];
    const asking = clients.map(async (client, i) => {
      let asked = 0;
      while (!stop.signal.aborted) {
        await client.request('drain/take', ++asked).catch((error: unknown) => failures.push([i, asked, error]));
      }
      return asked;
    });
    for (const index of [0, 1, 2]) {
      const old = gates[index] as TestCluster;
      const next = await startGate();
      balancer.ready.delete(old.gate.port);
      gates[index] = next;
      await old.close();
    }
    stop.abort();
    await pushing;
    const asked = await Promise.all(asking);
    await waitUntil('all pushes', () => got.every(list => list.length >= pushed));
    for (const list of got) expect(list).toEqual(numbers(pushed));
    expect([failures, gaps]).toEqual([[], []]);
    for (const [i, id] of ids.entries()) expect(handled.get(id)).toEqual(numbers(asked[i] ?? 0));
    expect(clients.map(({ clientId }) => clientId)).toEqual(ids);
    expect(hooks.filter(line => line.startsWith('disconnect'))).toEqual([]);
  }, 60_000);

  it('hand over sessions without a connection; plain clients are closed with 1012', async () => {
    const [gate] = gates as [TestCluster];
    const away = await ResumeClient.open(gate.gate.url);
    const { clientId } = away;
    away.cut();
    await waitUntil('it to be away', async () => (await workers.api.getClientState(clientId)) === 'away');
    await workers.api.sendToClient(clientId, 'p/p', 1);
    const plain = await gate.connect();
    await gate.gate.app.close();
    expect((await plain.closed).code).toBe(1012);
    expect(await workers.api.getClientState(clientId)).toBe('away');
    await workers.api.sendToClient(clientId, 'p/p', 2);
    away.url = gates[1]?.gate.url as string;
    await away.resume();
    await waitUntil('the pushes', () => away.pushed('p/p').length === 2);
    expect([away.clientId, away.pushed('p/p'), away.gaps]).toEqual([clientId, [1, 2], []]);
    expect(hooks).not.toContain(`disconnect ${clientId}`);
    away.cut();
    gates.shift();
  }, 30_000);
});
