import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { FrameKind } from '@nestgate/protocol';
import { type BinaryClient, waitUntil } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, received } from '../support/binary-support.js';

/** Writes bytes one by one, each only when the one before is with the operating system. */
async function drip(client: BinaryClient, data: Uint8Array): Promise<void> {
  const socket = client.transport as Socket;
  for (const byte of data) {
    await new Promise<unknown>(resolve => socket.write(Buffer.of(byte), resolve));
    await new Promise(resolve => setImmediate(resolve));
  }
}

const texts = (client: BinaryClient, topic: string): string[] =>
  client.pushes(topic).map(({ body }) => body.toString());
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

describe('a stream of packs', () => {
  let bench: BinaryBench;
  let client: BinaryClient;

  beforeAll(async () => {
    // The clients of these tests send faster than they read.
    bench = await BinaryBench.start({ sendBuffBytes: 64 * 1024 * 1024 });
  });
  afterAll(() => bench.close());

  beforeEach(async () => {
    client = await bench.connect('tcp');
  });
  afterEach(async () => {
    client.destroy();
    await bench.left(0);
  });

  it('may come one byte at a time', async () => {
    await drip(
      client,
      Buffer.concat([
        client.encode(0, 0, 'echo/echo', 'first'),
        client.encode(0, 0, ''),
        client.encode(0, 0, 'echo/echo', ALL_BYTES),
      ]),
    );
    const messages = await received(client, 3);
    // The heartbeat is the gate's own business: it is answered while the first echo is with its handler.
    expect(messages.map(({ topic }) => topic).sort()).toEqual(['', 'echo/echo', 'echo/echo']);
    expect(client.pushes('echo/echo').map(({ body }) => body)).toEqual([Buffer.from('first'), ALL_BYTES]);
  });

  it('may hold 500 packs in one segment; they are answered in order', async () => {
    const packs = numbers(500).map(text => client.encode(0, 0, 'echo/echo', text));
    client.sendRaw(Buffer.concat(packs));
    await received(client, 500);
    expect(texts(client, 'echo/echo')).toEqual(numbers(500));
  });

  it('may be cut anywhere', async () => {
    const data = Buffer.concat(numbers(300).map(text => client.encode(0, 0, 'echo/echo', text)));
    const socket = client.transport as Socket;
    for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7) % 61) {
      await new Promise<unknown>(resolve => socket.write(data.subarray(at, at + size), resolve));
    }
    await received(client, 300);
    expect(texts(client, 'echo/echo')).toEqual(numbers(300));
  });

  it('of many megabytes goes through whole, both ways', async () => {
    const body = Buffer.alloc(60_000, 0x5a);
    for (let n = 0; n < 200; n++) client.send('echo/echo', Buffer.concat([body, Buffer.of(n)]));
    const messages = await received(client, 200);
    expect(messages.map(message => message.body.at(-1))).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(messages.every(message => message.body.length === 60_001)).toBe(true);
  });

  it('that ends behind its requests gets all its answers, then the end', async () => {
    const socket = client.transport as Socket;
    socket.removeAllListeners('end');
    const ended = once(socket, 'end').then(() => client.pushes('echo/slow').length + client.pushes('echo/echo').length);
    for (const ms of [80, 0, 40]) client.send('echo/slow', { ms });
    client.sendRaw(Buffer.concat(numbers(100).map(text => client.encode(0, 0, 'echo/echo', text))));
    client.end();
    expect(await ended).toBe(103);
    expect(texts(client, 'echo/slow')).toEqual(['{"ms":80}', '{"ms":0}', '{"ms":40}']);
    expect(texts(client, 'echo/echo')).toEqual(numbers(100));
    expect((await client.closed).code).toBe(0);
  });

  it('that ends within a pack gets the answers to those before it', async () => {
    client.send('echo/slow', { ms: 30 });
    client.sendRaw(client.encode(0, 0, 'echo/echo', 'never whole').subarray(0, 5));
    client.end();
    await client.closed;
    expect(client.messages.map(({ topic }) => topic)).toEqual(['echo/slow']);
  });

  it('that ends at once ends', async () => {
    client.end();
    await client.closed;
    expect(client.messages).toEqual([]);
  });

  it('that is reset is forgotten, with what it had asked', async () => {
    client.send('echo/slow', { ms: 50 });
    client.send('chat/join', { room: 'gone' });
    (client.transport as Socket).resetAndDestroy();
    await bench.left(0);
    expect(await bench.cluster.api.getClientCountByGroup('gone')).toBe(0);
  });

  it('may hold heartbeats only, thousands of them', async () => {
    client.sendRaw(Buffer.alloc(4 * 5_000, Buffer.of(4, 0, 0, 0)));
    expect((await received(client, 5_000)).every(({ topic, body }) => topic === '' && body.length === 0)).toBe(true);
  });
});

describe('a stream of frames', () => {
  let bench: BinaryBench;
  let client: BinaryClient;

  beforeAll(async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec: 'frame' }, concurrentTasks: 3 });
  });
  afterAll(() => bench.close());

  beforeEach(async () => {
    client = await bench.connect('tcp');
  });

  it('may hold 500 requests in one segment; each gets its answer, in order', async () => {
    await received(client, 1);
    const ids = Array.from({ length: 500 }, (_, i) => i + 1);
    client.sendRaw(Buffer.concat(ids.map(id => client.encode(FrameKind.request, id, 'echo/echo', String(id)))));
    const [, ...replies] = await received(client, 501);
    expect(replies.map(({ kind, id, body }) => [kind, id, body.toString()])).toEqual(
      ids.map(id => [FrameKind.reply, id, String(id)]),
    );
  });

  it('is not read further while too many of its requests are unanswered, and a neighbour is', async () => {
    const neighbour = await bench.connect('tcp');
    for (let n = 0; n < 8; n++) client.ask('echo/slow', { ms: 50 });
    // More than the two sockets hold between them.
    const flood = Buffer.concat(numbers(300).map(() => client.encode(0, 0, 'body/declared', Buffer.alloc(60_000))));
    client.sendRaw(flood);
    expect((await neighbour.request('echo/echo', 'quick')).toString()).toBe('quick');
    expect((client.transport as Socket).writableLength).toBeGreaterThan(0);
    await waitUntil('the flood to be read', () => (client.transport as Socket).writableLength === 0);
    expect((await client.request('echo/echo', 'last')).toString()).toBe('last');
  });
});
