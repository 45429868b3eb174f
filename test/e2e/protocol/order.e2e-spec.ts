import { afterEach, describe, expect, it } from '@jest/globals';
import type { GateOptions } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { Journal, OrderTopics } from '../support/order-support.js';

const SHAPES = [
  { name: 'one process', gates: 1, workers: 0 },
  { name: 'a gate and a worker', gates: 1, workers: 1 },
  { name: '2 gates and 2 workers', gates: 2, workers: 2 },
];

describe.each(SHAPES)('order in $name', ({ gates, workers }) => {
  let cluster: TestCluster;
  let journal: Journal;

  afterEach(async () => {
    journal.open();
    await cluster.close();
  });

  async function start(gate: GateOptions = {}): Promise<void> {
    journal = new Journal();
    cluster = await createTestCluster({
      gates,
      workers,
      gate: { messageRate: 0, ...gate },
      handlers: { controllers: [OrderTopics], providers: [{ provide: Journal, useValue: journal }] },
    });
  }

  it('handles the frames of one client one at a time, in order, across modules too', async () => {
    await start({ concurrentTasks: 100 });
    const client = await cluster.connect();
    const topics = ['order/step', 'other/step', 'order/sync'];
    const count = 40;
    const ids = Array.from({ length: count }, (_, n) =>
      client.ask(topics[n % topics.length] as string, { n, turns: count - n }),
    );
    for (const [n, id] of ids.entries()) expect((await client.answer(id)).body).toBe(n);
    expect(journal.entries).toEqual(Array.from({ length: count }, (_, n) => [`start ${n}`, `end ${n}`]).flat());
    expect(client.frames.flatMap(frame => frame.id ?? [])).toEqual(ids);
  });

  it('does so within a small credit, with and without ids, mixed with pings', async () => {
    await start({ concurrentTasks: 2 });
    const client = await cluster.connect();
    const count = 60;
    const ids: number[] = [];
    for (let n = 0; n < count; n++) {
      if (n % 3 === 0) client.send('order/step', { n, turns: 2 });
      else ids.push(client.ask('order/step', { n, turns: 3 }));
      if (n % 10 === 0) client.send('$gate/ping');
    }
    for (const id of ids) await client.answer(id);
    expect(journal.entries).toEqual(Array.from({ length: count }, (_, n) => [`start ${n}`, `end ${n}`]).flat());
    expect(client.pushes('$gate/pong').length).toBe(6);
  });

  it('does not let clients wait for each other', async () => {
    await start();
    const slow = await cluster.connect();
    const quick = await cluster.connect({ gate: gates - 1 });
    const held = slow.ask('order/hold', 'slow');
    const behind = slow.ask('order/step', { n: 1, turns: 0 });
    await journal.started('slow');
    for (let n = 10; n < 20; n++) expect(await quick.request('order/step', { n, turns: 1 })).toBe(n);
    expect(journal.entries).not.toContain('end slow');
    expect(journal.entries).not.toContain('start 1');
    await journal.release('slow');
    expect((await slow.answer(held)).body).toBe('slow');
    expect((await slow.answer(behind)).body).toBe(1);
  });

  it('runs concurrent handlers beside the other frames of their client', async () => {
    await start();
    const client = await cluster.connect();
    const free = ['a', 'b', 'c'].map(name => client.ask('order/free', name));
    expect(await client.request('order/step', { n: 1, turns: 1 })).toBe(1);
    expect(journal.running).toBe(3);
    for (const name of ['c', 'a', 'b']) await journal.release(name);
    const bodies = [];
    for (const id of free) bodies.push((await client.answer(id)).body);
    expect(bodies).toEqual(['a', 'b', 'c']);
    // A concurrent frame does not wait for one that is not, either.
    const held = client.ask('order/hold', 'held');
    await journal.started('held');
    const beside = client.ask('order/free', 'beside');
    await journal.release('beside');
    expect((await client.answer(beside)).body).toBe('beside');
    await journal.release('held');
    expect((await client.answer(held)).body).toBe('held');
  });

  it('has never more frames of a client under way than its credit, and answers all', async () => {
    await start({ concurrentTasks: 3 });
    const greedy = await cluster.connect();
    const modest = await cluster.connect({ gate: gates - 1 });
    const ids = Array.from({ length: 50 }, (_, n) => greedy.ask('order/free', `free ${n}`));
    await waitUntil('three to run', () => journal.running === 3);
    expect(await modest.request('order/step', { n: 1, turns: 5 })).toBe(1);
    for (let n = 0; n < 10; n++) {
      await journal.release(`free ${n}`);
      expect((await greedy.answer(ids[n] as number)).body).toBe(`free ${n}`);
      await journal.started(`free ${n + 3}`);
      expect(journal.running).toBe(3);
    }
    expect(journal.mostRunning).toBeLessThanOrEqual(4);
    journal.open();
    const all = await Promise.all(ids.map(id => greedy.answer(id)));
    expect(all.map(answer => answer.body)).toEqual(ids.map((_, n) => `free ${n}`));
    expect(journal.mostRunning).toBeLessThanOrEqual(4);
    expect(greedy.frames.filter(frame => frame.id !== undefined).length).toBe(50);
  });

  it.each(['order/pushes', 'order/hasty'])('keeps the pushes of %s and its reply in order', async topic => {
    await start();
    const client = await cluster.connect({ gate: gates - 1 });
    await client.request('order/join');
    const expected = [1, 2, 3, 4, 5, 'reply'];
    for (let round = 1; round <= 20; round++) {
      const id = client.ask(topic);
      await client.answer(id);
      await waitUntil('all pushes', () => client.pushes('order/push').length === round * 5);
    }
    expect(bodies(client)).toEqual(Array.from({ length: 20 }, () => expected).flat());
  });

  it('keeps what the api sends in the order it was sent, whatever its kind', async () => {
    await start();
    const client = await cluster.connect({ gate: gates - 1 });
    await client.request('order/join');
    const api = cluster.workers[0]?.api ?? cluster.api;
    for (let n = 0; n < 200; n += 4) {
      void api.sendToClient(client.clientId, 'order/push', n);
      void api.sendToGroup(['order', 'empty'], 'order/push', n + 1);
      void api.sendToUid('ada', 'order/push', n + 2);
      void api.sendToAll('order/push', n + 3);
      if (n % 20 === 0) await new Promise(resolve => setImmediate(resolve));
    }
    await waitUntil('all pushes', () => client.pushes('order/push').length === 200);
    expect(client.pushes('order/push').map(push => push.body)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });
});

/** Bodies of pushes and replies after the first request's reply, in the order they came. */
function bodies(client: FakeClient): unknown[] {
  return client.frames.filter(frame => frame.topic === 'order/push' || (frame.id ?? 0) > 1).map(frame => frame.body);
}
