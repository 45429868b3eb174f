import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { connect, type GateClient } from '@nestgate/client';
import { Gate, GateCounters } from '@nestgate/gate';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClusterApi, OnDisconnect, OnTopic } from '@nestgate/worker';
import { WebSocket } from 'ws';
import { Balancer } from '../support/balancer.js';

const gone: string[] = [];

@Controller()
class EchoTopics {
  @OnTopic('echo/echo')
  async echo(): Promise<string> {
    await new Promise(resolve => setTimeout(resolve, 5));
    return 'yes';
  }

  @OnDisconnect()
  disconnect(): void {
    gone.push('disconnect');
  }
}

const idOf = ({ gate }: TestCluster): string => gate.app.get(LinkNode).info.id;
const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1);

describe('clients of gates that have more than others', () => {
  const gates: TestCluster[] = [];
  let clients: GateClient[] = [];
  let bus: MemoryBus;
  let balancer: Balancer;

  async function startGate(resume = true): Promise<TestCluster> {
    const gate = await createTestCluster({
      workers: gates.length === 0 ? 1 : 0,
      ...(gates.length === 0 && { handlers: { controllers: [EchoTopics] } }),
      gate: { messageRate: 0, maxConnectionsPerIp: 0, ...(resume && { resume: { maxDetachedPerAddress: 0 } }) },
      link: () => bus.link(),
    });
    gates.push(gate);
    balancer.ready.add(gate.gate.port);
    return gate;
  }

  async function connectAll(count: number): Promise<void> {
    clients = numbers(count).map(() => connect(balancer.url, { WebSocket: WebSocket as never }));
    await waitUntil('all clients', () => clients.every(({ state }) => state.name === 'online'));
  }

  const counts = (): number[] => gates.map(({ gate }) => gate.app.get(Gate).delegater.getAgentNum());

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const gate of gates.splice(0).toReversed()) await gate.close();
    balancer.close();
    gone.length = 0;
  });

  async function start(): Promise<ClusterApi> {
    bus = new MemoryBus();
    balancer = await Balancer.start();
    const first = await startGate();
    return first.gate.app.get(ClusterApi);
  }

  it('move to one that has joined, and lose nothing', async () => {
    const api = await start();
    await connectAll(20);
    const ids = clients.map(({ clientId }) => clientId);
    const [first] = gates as [TestCluster];
    const got = clients.map(client => {
      const list: number[] = [];
      client.on('p/p', body => list.push(body as number));
      return list;
    });
    const failures: unknown[] = [];
    const gaps: unknown[] = [];
    for (const client of clients) client.on('gap', gap => gaps.push(gap));
    const stop = new AbortController();
    let pushed = 0;
    const pushing = (async () => {
      while (!stop.signal.aborted) {
        await first.api.sendToAll('p/p', ++pushed);
        await new Promise(resolve => setTimeout(resolve, 10));
      }
    })();
    const asking = clients.map(async client => {
      while (!stop.signal.aborted) await client.request('echo/echo').catch((error: unknown) => failures.push(error));
    });
    const second = await startGate();
    // As a balancer does that prefers the gate with the fewest connections.
    balancer.ready.delete(first.gate.port);
    expect(await api.rebalanceGates({ perSecond: 100 })).toEqual({ [idOf(first)]: 10 });
    await waitUntil('equal shares', () => counts().join() === '10,10', 15_000);
    expect(first.gate.app.get(GateCounters).get('clients_rebalanced', 'gate')).toBe(10);
    expect(await api.rebalanceGates()).toEqual({});
    stop.abort();
    await Promise.all([pushing, ...asking]);
    await waitUntil('all pushes', () => got.every(list => list.length >= pushed));
    for (const list of got) expect(list).toEqual(numbers(pushed));
    expect([failures, gaps, gone]).toEqual([[], [], []]);
    expect(clients.map(({ clientId }) => clientId)).toEqual(ids);
    expect(second.gate.app.get(GateCounters).get('sessions_resumed', 'moved')).toBe(10);
  }, 60_000);

  it('stay when the balancer leads them to the same gate, and go on', async () => {
    const api = await start();
    await connectAll(3);
    const [first] = gates as [TestCluster];
    const second = await startGate();
    balancer.ready.delete(second.gate.port);
    expect(await api.moveClients(idOf(first), 2)).toBe(2);
    await waitUntil('both to be back', () => first.gate.app.get(GateCounters).get('sessions_resumed', 'here') === 2);
    await waitUntil('all to be online', () => clients.every(({ state }) => state.name === 'online'));
    expect(await Promise.all(clients.map(client => client.request('echo/echo')))).toEqual(['yes', 'yes', 'yes']);
    expect(counts()).toEqual([3, 0]);
    // With another code their clients would take it for a final close.
    const counters = first.gate.app.get(GateCounters);
    expect([4004, 4005].map(code => counters.get('sessions_detached', code))).toEqual([0, 2]);
  }, 30_000);

  it('are asked of one gate at a time, and not where they cannot move', async () => {
    const api = await start();
    await connectAll(3);
    const [first] = gates as [TestCluster];
    // Alone, there is nowhere to go.
    expect(await api.moveClients(idOf(first), 3)).toBe(0);
    expect(await api.rebalanceGates()).toEqual({});
    await startGate();
    expect(await api.moveClients('nobody', 3)).toBeNull();
    const plain = await first.connect();
    await api.drainGate(idOf(first), { perSecond: 1 });
    expect(await api.moveClients(idOf(first), 3)).toBe(0);
    await plain.close();
    await expect(api.moveClients('', 3)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    for (const clients_ of [0, -1, 1.5, Number.NaN, 1e9, '3']) {
      await expect(api.moveClients('x', clients_ as number)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
    for (const perSecond of [0, 0.5, 1e9]) {
      await expect(api.moveClients('x', 1, { perSecond })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      await expect(api.rebalanceGates({ perSecond })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
  }, 30_000);
});
