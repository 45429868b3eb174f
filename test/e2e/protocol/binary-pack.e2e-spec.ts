import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type BinaryClient, jsonOf } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, NETWORKS, received } from '../support/binary-support.js';

describe.each(NETWORKS)('gate.pack over %s', network => {
  let bench: BinaryBench;
  let client: BinaryClient;

  beforeAll(async () => {
    bench = await BinaryBench.start();
  });
  afterAll(() => bench.close());
  afterEach(() => client.destroy());

  async function connect(): Promise<BinaryClient> {
    return (client = await bench.connect(network));
  }

  /** Sends a heartbeat, and expects its echo to be the next thing that comes: nothing else is on its way. */
  async function expectNothingMore(): Promise<void> {
    const count = client.messages.length;
    client.sendRaw(Buffer.of(4, 0, 0, 0));
    const messages = await received(client, count + 1);
    expect(messages[count]).toEqual({ kind: 0, id: 0, topic: '', body: Buffer.alloc(0) });
  }

  it('says nothing before it is spoken to, and echoes heartbeats', async () => {
    await connect();
    await expectNothingMore();
    await expectNothingMore();
    expect(client.messages.length).toBe(2);
  });

  it.each([
    ['all byte values', ALL_BYTES],
    ['nothing', Buffer.alloc(0)],
    ['one NUL', Buffer.of(0)],
    ['what looks like a pack', Buffer.of(9, 0, 3, 0, 0x61, 0x2f, 0x62, 0x68, 0x69)],
    ['broken UTF-8', Buffer.of(0xc3, 0x28, 0xff, 0xfe)],
    ['JSON', Buffer.from('{ "a" : 1.0 }')],
    ['the largest pack', Buffer.alloc(65_535 - 4 - 9, 0xa5)],
  ])('echoes %s to the byte, once', async (_what, body) => {
    await connect();
    client.send('echo/echo', body);
    const echo = await client.push('echo/echo');
    expect(echo.body.equals(body)).toBe(true);
    await expectNothingMore();
    expect(client.messages.length).toBe(2);
  });

  it('gives an object handler the JSON that the bytes are, and sends back what it returns', async () => {
    await connect();
    client.send('chat/login', { name: `ada-${network}` });
    expect(jsonOf(await client.push('chat/login'))).toEqual({ uid: `ada-${network}` });
    client.send('chat/join', '{"room":"röom"}');
    expect(jsonOf(await client.push('chat/joined'))).toEqual({ room: 'röom', name: `ada-${network}` });
    expect((await client.push('chat/join')).body.toString()).toBe('{"room":"röom","members":1}');
    client.send('chat/say', { room: 'röom', text: 'hé' });
    expect(jsonOf(await client.push('chat/said'))).toMatchObject({ from: `ada-${network}`, text: 'hé' });
    expect(jsonOf(await client.push('chat/say'))).toEqual({ delivered: 1 });
    await expectNothingMore();
  });

  it('hands bytes to a handler that declares bytes', async () => {
    await connect();
    client.send('body/declared', '{"json":true}');
    expect((await client.push('body/declared')).body.toString()).toBe('"Buffer of 13"');
  });

  it.each([
    ['', '{"got":"nothing"}'],
    ['null', '{"got":null}'],
    ['0', '{"got":0}'],
    [' [1, 2] ', '{"got":[1,2]}'],
    ['"🦊"', '{"got":"🦊"}'],
  ])('parses the body %j', async (text, expected) => {
    await connect();
    client.send('body/parsed', text);
    expect((await client.push('body/parsed')).body.toString()).toBe(expected);
  });

  it.each([
    ['text', Buffer.from('hello')],
    ['half an object', Buffer.from('{"name":"ada"')],
    ['bytes', ALL_BYTES],
    ['broken UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22])],
    ['a byte order mark', Buffer.from('\ufeff{"name":"ada"}')],
    ['JSON of 33 levels', Buffer.from('['.repeat(33) + ']'.repeat(33))],
    ['JSON of 30,000 levels', Buffer.from('['.repeat(30_000) + ']'.repeat(30_000))],
  ])('answers %s with BAD_REQUEST where an object is wanted', async (_what, body) => {
    await connect();
    for (const topic of ['chat/login', 'body/parsed']) {
      const count = client.messages.length;
      client.send(topic, body);
      const [error] = (await received(client, count + 1)).slice(count);
      expect(error?.topic).toBe('$gate/error');
      expect(jsonOf(error as never)).toMatchObject({ code: 'BAD_REQUEST', message: /./, topic });
    }
    await expectNothingMore();
  });

  it('tells the details of what a validator does not like', async () => {
    await connect();
    client.send('chat/login', { name: 5 });
    expect(jsonOf(await client.push('$gate/error'))).toMatchObject({
      code: 'BAD_REQUEST',
      topic: 'chat/login',
      details: expect.anything(),
    });
  });

  it('sends back every return value but undefined', async () => {
    await connect();
    client.send('body/null');
    expect((await client.push('body/null')).body.toString()).toBe('null');
    client.send('body/bytes');
    expect((await client.push('body/bytes')).body.equals(ALL_BYTES)).toBe(true);
    client.send('body/nothing');
    await expectNothingMore();
    expect(client.pushes('body/nothing')).toEqual([]);
  });

  it('sends a return value that fills a pack, and counts one that does not fit', async () => {
    await connect();
    const room = 65_535 - 4 - 'body/large'.length;
    client.send('body/large', { bytes: room });
    expect((await client.push('body/large')).body.length).toBe(room);
    const dropped = bench.counters.get('packs_dropped', 'too_large');
    client.send('body/large', { bytes: room + 1 });
    await expectNothingMore();
    expect(bench.counters.get('packs_dropped', 'too_large')).toBe(dropped + 1);
  });

  it.each([
    ['nowhere/x', {}, { code: 'NO_ROUTE', message: 'No worker serves this module' }],
    ['echo/unknown', {}, { code: 'NO_HANDLER', message: 'No handler for this topic' }],
    ['echo/fail', {}, { code: 'INTERNAL', message: 'Internal server error' }],
    ['echo/fail', { code: 'TEAPOT' }, { code: 'TEAPOT', message: 'Failed as asked' }],
  ])('pushes the error of %s %j on $gate/error', async (topic, body, error) => {
    await connect();
    client.send(topic, body);
    const { body: bytes } = await client.push('$gate/error');
    expect(bytes.toString()).toBe(JSON.stringify({ ...error, topic }));
    await expectNothingMore();
  });

  it.each(['', 'a//b', 'a/*', 'a/>', 'a b/c', 'a/b\r\nc', 'a/\0', 'a/é', 'a/\u200b', '$gate/ping', '$gate/hello', '/'])(
    'answers the topic %j with BAD_TOPIC, naming it',
    async topic => {
      await connect();
      client.send(topic, 'body');
      expect(jsonOf(await client.push('$gate/error'))).toEqual({
        code: 'BAD_TOPIC',
        message: 'The topic is not allowed',
        topic,
      });
      await expectNothingMore();
    },
  );

  it('answers topics that are too long with BAD_TOPIC, also when they cannot be repeated', async () => {
    await connect();
    client.send('x'.repeat(128));
    expect(jsonOf(await client.push('$gate/error'))).toMatchObject({ code: 'NO_ROUTE' });
    for (const topic of ['x'.repeat(129), 'x'.repeat(65_531), '\u0001'.repeat(65_531)]) {
      const count = client.messages.length;
      client.send(topic);
      const [error] = (await received(client, count + 1)).slice(count);
      const { code, topic: told } = jsonOf<{ code: string; topic: string }>(error as never);
      expect([code, topic.startsWith(told)]).toEqual(['BAD_TOPIC', true]);
    }
    await expectNothingMore();
  });
});
