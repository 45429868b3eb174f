import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { FrameKind } from '@nestgate/protocol';
import { type BinaryClient, type BinaryMessage, jsonOf } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, NETWORKS, received } from '../support/binary-support.js';

const NO_BYTES = Buffer.alloc(0);

describe.each(NETWORKS)('gate.frame over %s', network => {
  let bench: BinaryBench;
  let client: BinaryClient;

  beforeAll(async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec: 'frame' } });
  });
  afterAll(() => bench.close());
  afterEach(() => client.destroy());

  /** Connects, and takes the hello out of the messages. */
  async function connect(): Promise<BinaryMessage> {
    client = await bench.connect(network);
    const [hello] = await received(client, 1);
    client.messages.shift();
    return hello as BinaryMessage;
  }

  /** What comes after a ping is its pong: nothing else is on its way. */
  async function expectNothingMore(): Promise<void> {
    const count = client.messages.length;
    client.sendFrame(FrameKind.ping, 0, '');
    const messages = await received(client, count + 1);
    expect(messages[count]).toEqual({ kind: FrameKind.pong, id: 0, topic: '', body: NO_BYTES });
  }

  async function nextError(): Promise<unknown> {
    const count = client.messages.length;
    const [error] = (await received(client, count + 1)).slice(count);
    expect([error?.kind, error?.topic]).toEqual([FrameKind.message, '$gate/error']);
    return jsonOf(error as BinaryMessage);
  }

  it('says hello first, with the client id', async () => {
    const hello = await connect();
    expect([hello.kind, hello.topic]).toEqual([FrameKind.hello, '']);
    const { clientId, heartbeatMs } = jsonOf<{ clientId: string; heartbeatMs: number }>(hello);
    expect(heartbeatMs).toBe(25_000);
    expect(await bench.cluster.api.isOnline(clientId)).toBe(true);
    expect(jsonOf(await client.answer(client.ask('session/get')))).toMatchObject({ clientId });
  });

  it.each([
    ['all byte values', ALL_BYTES],
    ['nothing', NO_BYTES],
    ['what looks like a frame', Buffer.of(3, 0, 0, 0, 4, 0, 0)],
    ['the largest frame', Buffer.alloc(65_535 - 4 - 1 - 4 - 2 - 9, 0xa5)],
  ])('echoes %s to the byte, as a reply and as a push', async (_what, body) => {
    await connect();
    const reply = await client.answer(client.ask('echo/echo', body));
    expect([reply.kind, reply.id, reply.topic, reply.body.equals(body)]).toEqual([FrameKind.reply, 1, '', true]);
    client.send('echo/echo', body);
    const push = await client.push('echo/echo');
    expect([push.kind, push.body.equals(body)]).toEqual([FrameKind.message, true]);
    await expectNothingMore();
    expect(client.messages.length).toBe(3);
  });

  it.each([1, 7, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])('answers the id %d', async id => {
    await connect();
    client.sendFrame(FrameKind.request, id, 'echo/echo', 'x');
    expect(await client.answer(id)).toEqual({ kind: FrameKind.reply, id, topic: '', body: Buffer.from('x') });
  });

  it('gives an object handler the JSON that the bytes are', async () => {
    await connect();
    expect((await client.request('chat/login', { name: `bob-${network}` })).toString()).toBe(
      `{"uid":"bob-${network}"}`,
    );
    expect((await client.request('body/parsed', '[1, "é"]')).toString()).toBe('{"got":[1,"é"]}');
    expect((await client.request('body/parsed')).toString()).toBe('{"got":"nothing"}');
    expect((await client.request('body/declared', '[1]')).toString()).toBe('"Buffer of 3"');
    expect((await client.request('body/bytes')).equals(ALL_BYTES)).toBe(true);
    expect((await client.request('body/null')).toString()).toBe('null');
    expect((await client.request('body/nothing')).length).toBe(0);
    expect((await client.request('body/large', { bytes: 1_000_000 })).length).toBe(1_000_000);
  });

  it('drops what a handler returns to a message', async () => {
    await connect();
    for (const topic of ['body/null', 'body/bytes', 'body/parsed']) client.send(topic, '1');
    expect((await client.request('body/parsed', '2')).toString()).toBe('{"got":2}');
    expect(client.messages.length).toBe(1);
  });

  it.each([
    ['nowhere/x', {}, { code: 'NO_ROUTE', message: 'No worker serves this module' }],
    ['echo/unknown', {}, { code: 'NO_HANDLER', message: 'No handler for this topic' }],
    ['echo/fail', {}, { code: 'INTERNAL', message: 'Internal server error' }],
    ['echo/fail', { code: 'TEAPOT' }, { code: 'TEAPOT', message: 'Failed as asked' }],
    ['chat/login', 'no JSON', { code: 'BAD_REQUEST', message: 'The body is not JSON' }],
    ['a//b', {}, { code: 'BAD_TOPIC', message: 'The topic is not allowed' }],
    ['$gate/ping', {}, { code: 'BAD_TOPIC', message: 'The topic is not allowed' }],
    ['a/é', {}, { code: 'BAD_TOPIC', message: 'The topic is not allowed' }],
  ])('answers %s %j with an error of its id, or pushes it', async (topic, body, error) => {
    await connect();
    expect(await client.answer(client.ask(topic, body))).toEqual({
      kind: FrameKind.error,
      id: 1,
      topic: '',
      body: Buffer.from(JSON.stringify(error)),
    });
    client.send(topic, body);
    expect(await nextError()).toEqual({ ...error, topic });
    await expectNothingMore();
  });

  it('refuses a second request with an id that is still unanswered; the first keeps its own answer', async () => {
    await connect();
    client.sendFrame(FrameKind.request, 5, 'echo/slow', { ms: 100 });
    client.sendFrame(FrameKind.request, 5, 'echo/echo', 'second');
    await received(client, 2);
    expect(client.messages.map(({ kind, id }) => [kind, id])).toEqual([
      [FrameKind.error, 5],
      [FrameKind.reply, 5],
    ]);
    expect(jsonOf(client.messages[0] as BinaryMessage)).toMatchObject({ code: 'DUPLICATE_ID' });
    expect(jsonOf(client.messages[1] as BinaryMessage)).toEqual({ ms: 100 });
    client.sendFrame(FrameKind.request, 5, 'echo/echo', 'third');
    expect((await received(client, 3))[2]?.body.toString()).toBe('third');
  });

  it('answers what is no frame with BAD_FRAME, without an id, and the tenth time closes', async () => {
    await connect();
    const frames = [
      client.encode(FrameKind.request, 0, 'echo/echo'),
      client.encode(FrameKind.reply, 1, ''),
      client.encode(FrameKind.error, 1, '', '{}'),
      client.encode(FrameKind.hello, 0, '', '{}'),
      client.encode(7, 0, 'echo/echo'),
      client.encode(255, 0, ''),
      Buffer.of(1, 0, 0, 0, 99),
      client.encode(FrameKind.ping, 0, 'echo/echo'),
      client.encode(FrameKind.pong, 0, 'echo/echo'),
    ];
    for (const frame of frames) {
      const error = nextError();
      client.sendRaw(frame);
      expect([frame, await error]).toEqual([frame, { code: 'BAD_FRAME', message: 'The frame is malformed' }]);
    }
    expect((await client.request('echo/echo', 'still here')).toString()).toBe('still here');
    const closed = bench.counters.get('connections_closed', 1008);
    client.sendRaw(frames[0] as Buffer);
    const { code } = await client.closed;
    expect(code).toBe(network === 'ws' ? 1008 : 0);
    expect(bench.counters.get('connections_closed', 1008)).toBe(closed + 1);
  });

  it('answers pings, and takes pongs in silence', async () => {
    await connect();
    client.sendFrame(FrameKind.pong, 0, '');
    client.sendFrame(FrameKind.ping, 0, '', 'with a body');
    expect(await received(client, 1)).toEqual([{ kind: FrameKind.pong, id: 0, topic: '', body: NO_BYTES }]);
    await expectNothingMore();
  });
});
