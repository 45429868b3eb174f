import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, type INestApplicationContext } from '@nestjs/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { type Link, LinkNode } from '@nestgate/link';
import { itemContract } from '@nestgate/link/internal';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, GateTransport, OnDisconnect, OnTopic, type Session } from '@nestgate/worker';

const seenOff = new Set<string>();
const doors: (() => void)[] = [];

@Controller()
class Endless {
  @OnTopic('gap/endless')
  async *endless() {
    for (let i = 1; ; i++) {
      // Rarely enough that the worker hears of a lost cancel by nothing that it sends itself.
      await delay(i < 3 ? 1 : 60_000, undefined, { ref: false });
      yield i;
    }
  }

  @OnTopic('gap/gated')
  async *gated() {
    for (let i = 1; i <= 3; i++) {
      yield i;
      await new Promise<void>(resolve => doors.push(resolve));
    }
  }

  @OnDisconnect()
  left(@ClientSession() { clientId }: Session): void {
    seenOff.add(clientId);
  }
}

describe('streams over a link that loses messages', () => {
  let cluster: TestCluster;
  let client: FakeClient;

  beforeAll(async () => {
    cluster = await createTestCluster({
      gates: 1,
      workers: 1,
      handlers: { imports: [HandlersModule], controllers: [Endless] },
      gate: { messageRate: 0 },
    });
  });
  beforeEach(async () => {
    client = await cluster.connect();
  });
  afterEach(() => client.close());
  afterAll(() => cluster.close());

  const appOf = (kind: 'gates' | 'workers') => (cluster[kind][0] as { app: INestApplicationContext }).app;
  const load = () => appOf('workers').get(GateTransport).load();
  const linkOf = (kind: 'gates' | 'workers') => Reflect.get(appOf(kind).get(LinkNode), 'link') as Link;

  /** Has the link of a node treat what it is given as `result` while `during` runs. */
  async function lose(kind: 'gates' | 'workers', result: 'refused' | 'sent', during: () => Promise<void>) {
    const link = linkOf(kind);
    const { send } = link;
    link.send = () => result;
    try {
      await during();
    } finally {
      link.send = send;
    }
  }

  it.each(['refused', 'sent'] as const)('a cancel that was %s reaches the handler all the same', async result => {
    const id = client.beginStream('gap/endless');
    await waitUntil('items', () => client.items(id).length === 2);
    await lose('gates', result, async () => {
      client.cancel(id);
      await client.streamed(id);
      await delay(20);
    });
    expect(load().streams).toBe(1);
    await waitUntil('the producer has ended', () => load().streams === 0);
  });

  it.each(['refused', 'sent'] as const)('a producer whose acknowledgements were %s goes on', async result => {
    const id = client.beginStream('stream/count', { n: 20_000 });
    await waitUntil('items', () => client.items(id).length > 200);
    await lose('gates', result, async () => {
      let before = -1;
      while (client.items(id).length !== before) {
        before = client.items(id).length;
        await delay(50);
      }
    });
    expect(client.items(id).length).toBeLessThan(20_000);
    const { items, ended } = await client.streamed(id);
    expect([items.length, items[19_999], ended]).toEqual([20_000, 20_000, true]);
  });

  it.each(['refused', 'sent'] as const)('a client is forgotten although the message was %s', async result => {
    const other = await cluster.connect();
    await Promise.all([client.request('echo/echo'), other.request('echo/echo')]);
    await waitUntil('those of before are forgotten', () => load().clients === 2);
    await lose('gates', result, async () => {
      await other.close();
      await delay(20);
    });
    expect(load().clients).toBe(2);
    await client.request('echo/echo');
    await waitUntil('it is forgotten', () => load().clients === 1);
  });

  it('a client that leaves while its worker is told again is seen off', async () => {
    const others = await Promise.all(Array.from({ length: 20 }, () => cluster.connect()));
    await Promise.all(others.map(other => other.request('echo/echo')));
    await lose('gates', 'sent', async () => {
      client.ask('echo/echo');
      await delay(20);
    });
    await client.request('echo/echo');
    for (const other of others) {
      await other.close();
      await delay(20);
    }
    await waitUntil('all are seen off', () => others.every(({ clientId }) => seenOff.has(clientId)));
  });

  it('a stream of which an item is lost ends with an error, also when its end is what shows the gap', async () => {
    const id = client.beginStream('gap/endless');
    await waitUntil('items', () => client.items(id).length === 2);
    const three = client.beginStream('gap/gated');
    const pass = async (): Promise<void> => {
      await waitUntil('it waits', () => doors.length > 0);
      doors.pop()?.();
    };
    await waitUntil('an item', () => client.items(three).length === 1);
    await pass();
    await waitUntil('another one', () => client.items(three).length === 2);
    await lose('workers', 'sent', async () => {
      await pass();
      await waitUntil('the third one', () => doors.length > 0);
      await delay(10);
    });
    // The end is the first that the gate gets again.
    await pass();
    const { items, error, ended } = await client.streamed(three);
    expect([items, error?.code, ended]).toEqual([[1, 2], 'WORKER_LOST', false]);
    expect((await client.streamed(id)).error?.code).toBe('WORKER_LOST');
  });

  it('a stream of which one item could not be read ends with an error', async () => {
    const { dispatcher } = appOf('gates').get(LinkNode);
    const entries = Reflect.get(dispatcher, 'entries') as Map<number, object>;
    const { id: operation } = itemContract.item;
    const entry = entries.get(operation) as object;
    const three = client.beginStream('stream/count', { n: 3, everyMs: 30 });
    await waitUntil('an item', () => client.items(three).length === 1);
    entries.set(operation, { ...entry, handle: () => entries.set(operation, entry) });
    const { items, error } = await client.streamed(three);
    expect([items, error?.code]).toEqual([[1, 3], 'WORKER_LOST']);
  });
});
