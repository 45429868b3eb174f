import { afterEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { BAD_TOPICS, UNSERVED } from './support/bad-input-topics-cases.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { RawClient } from '../support/raw-websocket.js';

describe('a client', () => {
  let cluster: TestCluster;
  let port: number;

  afterEach(() => cluster.close());

  async function start(messageRate = 0): Promise<void> {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, messageRate },
    });
    ({ port } = cluster.gate);
  }

  it.each([
    ['BAD_TOPIC for topics against the grammar', BAD_TOPICS.map(topic => [topic, 'BAD_TOPIC'] as const)],
    ['NO_ROUTE and NO_HANDLER for those that nobody serves', UNSERVED],
  ])('gets %s, as the reply to its id or as a push', async (_name, rows) => {
    await start();
    await withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      for (const [i, [topic, code]] of rows.entries()) {
        const before = countersOf(cluster).get('frames_refused', code);
        const id = i + 1;
        const text = JSON.stringify(topic);
        const expected = { code, message: expect.any(String) };
        client.frames.length = 0;
        client.sendText(`{"topic":${text},"body":1,"id":${id}}`, `{"id":${id + 1_000},"topic":${text}}`);
        client.sendText(`{"topic":${text},"body":1}`, `{"topic":${text}}`);
        await client.sync();
        const push = { topic: '$gate/error', body: { ...expected, topic: expect.any(String) } };
        const replies = [id, id + 1_000].map(each => ({ id: each, error: expected }));
        const got = [...client.frames].sort((a, b) => (a.id ?? 2_000) - (b.id ?? 2_000));
        expect([topic, ...got]).toEqual([topic, ...replies, push, push, { id: 777_001, body: null }]);
        expect(countersOf(cluster).get('frames_refused', code)).toBe(before + 4);
      }
    });
  });

  it('is told the topic with an error that belongs to no id', async () => {
    await start();
    await withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      const topics = ['echo/\u001b[31m', '*', 'echo/\ud800', 'nowhere/x', 'echo/nope'];
      for (const topic of topics) client.sendText(JSON.stringify({ topic }));
      await waitUntil('the errors', () => client.frames.length === topics.length);
      expect(client.frames.map(frame => (frame.body as { topic: string }).topic)).toEqual(topics);
    });
  });

  it('may ping, and gets pong', async () => {
    await start();
    await withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.sendText('{"topic":"$gate/ping"}', '{"topic":"$gate/ping","body":{"x":1},"id":3}');
      await client.sync();
      expect(client.frames.slice(0, 2)).toEqual([{ topic: '$gate/pong' }, { id: 3, body: null }]);
    });
  });

  it.each(['echo/echo', 'echo/slow', 'echo/nope', 'nowhere/x', '$gate/ping'])(
    'gets DUPLICATE_ID for an id that is unanswered, on %s, and the first its own reply',
    async topic => {
      await start();
      await withNeighbour(cluster, async () => {
        const client = await RawClient.connect(port);
        client.sendText('{"topic":"echo/slow","body":{"ms":50},"id":7}');
        client.sendText(`{"topic":"${topic}","body":{"ms":1},"id":7}`, '{"topic":"echo/echo","body":8,"id":8}');
        await client.answer(8);
        expect(client.frames).toEqual([
          { id: 7, error: { code: 'DUPLICATE_ID', message: expect.any(String) } },
          { id: 7, body: { ms: 50 } },
          { id: 8, body: 8 },
        ]);
        // It is free again.
        await client.sync(7_000);
        client.frames.length = 0;
        client.sendText('{"topic":"echo/echo","body":9,"id":7}');
        expect((await client.answer(7)).body).toBe(9);
      });
    },
  );

  it('over its message rate gets RATE_LIMITED, and only it', async () => {
    await start(50);
    const run = async (): Promise<void> => {
      const client = await RawClient.connect(port);
      const ids = Array.from({ length: 400 }, (_, i) => i + 1);
      client.sendText(...ids.map(id => `{"topic":"echo/echo","body":${id},"id":${id}}`));
      await waitUntil('all answers', () => client.frames.length >= ids.length);
      expect(client.frames.map(frame => frame.id).sort((a, b) => (a as number) - (b as number))).toEqual(ids);
      const limited = client.frames.filter(frame => frame.error);
      expect(new Set(limited.map(frame => frame.error?.code))).toEqual(new Set(['RATE_LIMITED']));
      // A burst of twice the rate, and what has come back while the segment was read.
      expect(ids.length - limited.length).toBeGreaterThanOrEqual(100);
      expect(ids.length - limited.length).toBeLessThan(150);
      expect(countersOf(cluster).get('frames_refused', 'RATE_LIMITED')).toBe(limited.length);

      // After a pause the rate limit allows frames again.
      await waitUntil('tokens', async () => {
        client.frames.length = 0;
        client.sendText('{"topic":"echo/echo","body":1,"id":1}');
        return (await client.answer(1)).error === undefined;
      });
    };
    await withNeighbour(cluster, run, { everyMs: 40 });
  });

  it('over its message rate gets RATE_LIMITED, whatever it sends', async () => {
    await start(1);
    const client = await RawClient.connect(port);
    // Two frames are let through, and the next token comes a second later: all in one segment.
    const spent = [1, 2].map(id => `{"topic":"echo/echo","id":${id}}`);
    client.sendText(
      ...spent,
      '{"topic":"echo/echo","body":1}',
      'hello',
      '{"topic":"*","id":3}',
      '{"topic":"$gate/ping"}',
    );
    await waitUntil('the answers', () => client.frames.length === 6);
    const limited = client.frames.filter(({ id }) => id !== 1 && id !== 2);
    expect(limited.map(({ id, topic }) => id ?? topic)).toEqual(['$gate/error', '$gate/error', 3, '$gate/error']);
    expect(limited.map(({ body, error }) => (error ?? (body as typeof error))?.code)).toEqual(
      limited.map(() => 'RATE_LIMITED'),
    );
  });
});
