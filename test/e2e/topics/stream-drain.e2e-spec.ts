import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { AbortSignal, OnTopic } from '@nestgate/worker';
import { interval, NEVER } from 'rxjs';
import { LINKS, LinkSupply } from '../support/links.js';

/** Time that streams have when the app of their worker closes, and that the rest may take. */
const GRACE_MS = 2_000;
const SLACK_MS = 1_500;
const seen = { aborted: 0, returned: 0 };

@Controller()
class DrainedStreams {
  @OnTopic('drain/endless')
  async *endless(@AbortSignal() signal: AbortSignal) {
    signal.addEventListener('abort', () => seen.aborted++);
    try {
      for (let i = 1; ; i++) {
        await delay(10, undefined, { signal });
        yield i;
      }
    } finally {
      seen.returned++;
    }
  }

  @OnTopic('drain/ticks')
  ticks() {
    return interval(10);
  }

  @OnTopic('drain/silent')
  silent() {
    return NEVER;
  }

  @OnTopic('drain/slow')
  async slow() {
    await delay(GRACE_MS + 500);
    return 'done';
  }

  /** Ends by itself while the worker drains. */
  @OnTopic('drain/soon')
  async *soon() {
    for (let i = 1; i <= 10; i++) {
      await delay(60);
      yield i;
    }
  }
}

describe('streams of an app that closes', () => {
  let cluster: TestCluster;
  let supply: LinkSupply;
  let client: FakeClient;

  beforeEach(() => {
    Object.assign(seen, { aborted: 0, returned: 0 });
  });
  afterEach(async () => {
    await client.close();
    await cluster.close();
    await supply.close();
  });

  async function begin(): Promise<{ endless: number[]; soon: number }> {
    client = await cluster.connect();
    const endless = ['drain/endless', 'drain/ticks', 'drain/silent'].map(topic => client.beginStream(topic));
    await waitUntil('items', () => endless.slice(0, 2).every(id => client.items(id).length > 5));
    return { endless, soon: client.beginStream('drain/soon') };
  }

  async function expectEnds({ endless, soon }: { endless: number[]; soon: number }): Promise<void> {
    const ends = await Promise.all(endless.map(id => client.streamed(id)));
    expect(ends.map(({ error }) => error?.code)).toEqual(endless.map(() => 'WORKER_LOST'));
    expect(await client.streamed(soon)).toMatchObject({ items: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ended: true });
    for (const id of [...endless, soon]) {
      expect(client.frames.filter(frame => frame.id === id && !('item' in frame))).toHaveLength(1);
    }
    expect(seen).toEqual({ aborted: 1, returned: 1 });
  }

  it.each(LINKS.filter(link => link !== 'memory'))(
    'end with WORKER_LOST after 2 s when their worker does, over %s',
    async link => {
      supply = await LinkSupply.open(link);
      const handlers = { controllers: [DrainedStreams] };
      cluster = await createTestCluster({ workers: 1, handlers, link: await supply.forCluster(1) });
      const ids = await begin();
      const started = performance.now();
      await cluster.workers[0]?.app.close();
      expect(performance.now() - started).toBeLessThan(GRACE_MS + SLACK_MS);
      await expectEnds(ids);
    },
  );

  it('do not hold up a gate that has handlers of its own', async () => {
    supply = await LinkSupply.open('memory');
    cluster = await createTestCluster({
      workers: 0,
      handlers: { controllers: [DrainedStreams] },
      gate: { drainTimeout: 20_000 },
    });
    const ids = await begin();
    const slow = client.ask('drain/slow');
    const started = performance.now();
    const closed = cluster.gates[0]?.app.close();
    await expectEnds(ids);
    // The gate still waits for a request, and no stream begins any more.
    expect((await client.stream('drain/soon')).error?.code).toBe('WORKER_LOST');
    expect((await client.answer(slow)).body).toBe('done');
    await closed;
    expect(performance.now() - started).toBeLessThan(GRACE_MS + SLACK_MS);
  });
});
