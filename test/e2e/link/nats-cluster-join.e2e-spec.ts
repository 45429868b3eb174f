import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsCluster, NatsProcess, waitUntil } from '@nestgate/testing';
import { NatsNodes, type NatsProbe } from './support/link-nats-support.js';

const SLOW_MS = 50;

describe('a gate that joins a channel', () => {
  const nodes = new NatsNodes();
  let cluster: NatsCluster;

  beforeAll(async () => {
    cluster = await NatsCluster.start({ slowRouteMs: SLOW_MS });
  });
  afterEach(() => nodes.end());
  afterAll(() => cluster.end());

  /** A gate on the second server, and workers on the others. */
  async function open(): Promise<[gate: NatsProbe, workers: readonly NatsProbe[]]> {
    const gate = await nodes.open('g1', 'gate', cluster.url(1));
    const workers = [
      await nodes.open('w1', 'worker', cluster.url(0)),
      await nodes.open('w3', 'worker', cluster.url(2)),
    ];
    await Promise.all([gate.meets('w1', 'w3'), ...workers.map(each => each.meets('g1'))]);
    return [gate, workers];
  }

  it('is reached by nodes on every server when the join is done', async () => {
    const [gate, workers] = await open();
    const sent: string[] = [];
    for (let round = 0; round < 10; round++) {
      const joins = Array.from({ length: 250 }, async (_, i) => {
        const name = `group:${round}-${i}`;
        // Not all in one turn: a join must not count on the one before it.
        await new Promise(resolve => setTimeout(resolve, i % 40));
        await gate.link.join(name);
        for (const worker of workers) {
          worker.link.cast(name, Buffer.from(name));
          sent.push(name);
        }
      });
      await Promise.all(joins);
    }
    expect(sent).toHaveLength(5_000);
    await waitUntil('the casts', () => gate.frames.length === sent.length, 5_000).catch(() => undefined);
    expect(sent.length - gate.frames.length).toBe(0);
  });

  it('does not wait for servers without nodes, and waits a bounded time for one that does not answer', async () => {
    const [gate, [w1, w3]] = await open();
    await Promise.all([w1, w3].map(worker => worker?.link.close({ drain: true })));
    await waitUntil('the leave', () => !gate.knows('w1') && !gate.knows('w3'));
    const alone = performance.now();
    await gate.link.join('group:alone');
    expect(performance.now() - alone).toBeLessThan(SLOW_MS);
    const third = await nodes.open('w4', 'worker', cluster.url(2));
    await Promise.all([gate.meets('w4'), third.meets('g1')]);
    cluster.servers[2]?.suspend();
    const startedAt = performance.now();
    await gate.link.join('group:hung');
    const ms = performance.now() - startedAt;
    cluster.servers[2]?.resume();
    expect(ms).toBeLessThan(3_000);
  });

  it('costs one round trip where there is one server only', async () => {
    const server = await NatsProcess.start();
    try {
      const [gate] = await nodes.pair(server.url);
      const times: number[] = [];
      for (let i = 0; i < 50; i++) {
        const startedAt = performance.now();
        await gate.link.join(`group:${i}`);
        times.push(performance.now() - startedAt);
      }
      expect(times.sort((a, b) => a - b)[25]).toBeLessThan(20);
    } finally {
      await nodes.end();
      await server.end();
    }
  });
});
