import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Inject } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { GateCounters } from '@nestgate/gate';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, type Session } from '@nestgate/worker';

const CLIENTS = 12;
const handled = new Map<string, number[]>();
const places = new Map<string, string>();

@Controller()
class Counting {
  constructor(@Inject(LinkNode) private readonly node: LinkNode) {}

  @OnTopic('count/up')
  async up(@Payload() n: number, @ClientSession() session: Session): Promise<number> {
    const { clientId } = session;
    handled.set(clientId, [...(handled.get(clientId) ?? []), n]);
    places.set(clientId, this.node.info.id);
    // What the handler before has written is there, on whichever worker that was.
    const before = session.get<number>('n') ?? 0;
    await session.toSet('n', n);
    return before;
  }
}

describe('a worker that joins', () => {
  const clusters: TestCluster[] = [];
  afterEach(async () => {
    for (const cluster of clusters.splice(0).toReversed()) await cluster.close();
    handled.clear();
    places.clear();
  });

  it('gets half of the clients that are there, whose frames stay in order', async () => {
    const bus = new MemoryBus();
    const start = async (): Promise<TestCluster> => {
      const cluster = await createTestCluster({
        workers: 1,
        handlers: { controllers: [Counting] },
        gate: { messageRate: 0, rebalanceRate: 1_000 },
        link: () => bus.link(),
      });
      clusters.push(cluster);
      return cluster;
    };
    const first = await start();
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => first.connect()));
    const stop = new AbortController();
    const wrong: unknown[] = [];
    const count = async (client: FakeClient): Promise<number> => {
      let n = 0;
      while (!stop.signal.aborted) {
        // Several on their way at once, and then a moment without any.
        const asked = Array.from({ length: 4 }, () => ++n);
        const before = await Promise.all(asked.map(each => client.request<number>('count/up', each)));
        if (before.some((value, place) => value !== (asked[place] ?? 0) - 1)) wrong.push([asked, before]);
        // A client looks through all frames that it has kept.
        client.frames.length = 1;
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      return n;
    };
    const counting = clients.map(count);
    await waitUntil('all to be handled', () => places.size === CLIENTS);
    const [old] = new Set(places.values());
    await start();
    const moved = (): number => [...places.values()].filter(place => place !== old).length;
    await waitUntil('half of them to be moved', () => moved() === CLIENTS / 2, 20_000);
    stop.abort();
    const totals = await Promise.all(counting);
    expect(wrong).toEqual([]);
    for (const [place, { clientId }] of clients.entries()) {
      expect(handled.get(clientId)).toEqual(Array.from({ length: totals[place] ?? 0 }, (_, n) => n + 1));
    }
    expect(first.gate.app.get(GateCounters).get('clients_rebalanced', 'worker')).toBe(CLIENTS / 2);
  });
});
