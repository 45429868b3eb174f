import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readDirectly } from './direct-read.js';

describe('a socket that is read directly', () => {
  let server: Server;
  let reader: Socket;
  let writer: Socket;
  let got: string;

  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    writer = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [reader] = await accepted;
    got = '';
    readDirectly(reader);
  });
  afterEach(() => {
    writer.destroy();
    reader.destroy();
    server.close();
  });

  /** Collects what comes; resolves when it is as much as this. */
  function collect(length: number): Promise<void> {
    return new Promise(resolve => {
      reader.on('data', (chunk: Buffer | string) => {
        got += chunk.toString();
        if (got.length >= length) resolve();
      });
    });
  }

  it('gets what comes without its stream, and the end', async () => {
    const all = collect(6);
    for (const text of ['ab', 'cd', 'ef']) {
      const seen = once(reader, 'data');
      writer.write(text);
      await seen;
    }
    await all;
    expect([got, reader.bytesRead, reader.readableLength]).toEqual(['abcdef', 6, 0]);
    // What a stream notes with the first chunk that it hands over itself.
    expect(reader.readableDidRead).toBe(false);
    const ended = once(reader, 'end');
    writer.end();
    await ended;
  });

  it('keeps the order when it is paused and goes on, however often', async () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `${i},`).join('');
    const all = collect(text.length);
    let chunks = 0;
    reader.on('data', () => {
      if (++chunks % 3 !== 0) return;
      reader.pause();
      // What has come meanwhile is buffered, and must not be overtaken.
      setImmediate(() => setImmediate(() => reader.resume()));
    });
    for (let at = 0; at < text.length; at += 700) {
      writer.write(text.slice(at, at + 700));
      await new Promise(resolve => setImmediate(resolve));
    }
    await all;
    expect(got).toBe(text);
  });

  it('does not let a chunk overtake what is still buffered', async () => {
    const all = collect(2);
    reader.pause();
    reader.unshift(Buffer.from('a'));
    // It flows again, and hands over what it has on the next tick.
    reader.resume();
    reader.push(Buffer.from('b'));
    await all;
    expect(got).toBe('ab');
  });

  it('reads nothing while it is paused, so that the sender is slowed down', async () => {
    void collect(Infinity);
    reader.pause();
    const block = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64; i++) writer.write(block);
    // When the operating system takes no more, the rest stays with the writer.
    let left = -1;
    while (left !== writer.writableLength) {
      left = writer.writableLength;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    expect(left).toBeGreaterThan(32 << 20);
    expect(got).toBe('');
    expect(reader.readableLength).toBeLessThanOrEqual(1 << 20);
  });

  it('decodes where it has been told to', async () => {
    reader.setEncoding('utf8');
    const all = collect(2);
    const bytes = Buffer.from('é!');
    for (const byte of bytes) {
      writer.write(Buffer.from([byte]));
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    await all;
    expect(got).toBe('é!');
  });
});
