import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type SocketReader, SocketFastPath } from './socket-fast-path.js';

describe.each([
  ['beside its stream', true],
  ['through its stream', false],
])('a socket that is read and written %s', (_how, isFast) => {
  let server: Server;
  let socket: Socket;
  let peer: Socket;
  let path: SocketFastPath;

  beforeEach(async () => {
    server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [socket] = await accepted;
    socket.on('error', () => undefined);
    peer.on('error', () => undefined);
    path = new SocketFastPath(isFast);
  });
  afterEach(() => {
    peer.destroy();
    socket.destroy();
    server.close();
  });

  /** Takes at most `most` bytes of each read itself; the rest comes as `data`. */
  function collect(length: number, most = Infinity): { text: () => string; all: Promise<void>; reads: () => number } {
    let text = '';
    let reads = 0;
    let finish: () => void;
    const all = new Promise<void>(resolve => (finish = resolve));
    const add = (part: string): void => {
      text += part;
      if (text.length >= length) finish();
    };
    const reader: SocketReader = {
      onBytes: (buffer, size) => {
        reads++;
        const taken = Math.min(size, most);
        add(buffer.toString('latin1', 0, taken));
        return taken;
      },
    };
    socket.on('data', chunk => add(chunk.toString('latin1')));
    path.attach(socket, reader);
    return { text: () => text, all, reads: () => reads };
  }

  it('shares a look at the clock between the frames of one read', async () => {
    const times: number[] = [];
    const read = new Promise<void>(resolve => {
      const take = (): void => {
        const first = path.clock.now();
        while (performance.now() <= first);
        times.push(first, path.clock.now());
        resolve();
      };
      socket.on('data', take);
      path.attach(socket, { onBytes: (_buffer, size) => (take(), size) });
    });
    peer.write('a');
    await read;
    const [first = 0, second = 0] = times;
    expect(second > first).toBe(!isFast);
    expect(path.clock.now()).toBeGreaterThan(first);
  });

  /** Has the socket read and written by the path. What it reads is of no interest. */
  function attach(): void {
    socket.on('data', () => undefined);
    path.attach(socket, { onBytes: (_buffer, size) => size });
  }

  /** Collects at the other side. */
  function collectPeer(length: number): Promise<string> {
    return new Promise(resolve => {
      let got = '';
      peer.on('data', chunk => {
        got += chunk.toString('latin1');
        if (got.length >= length) resolve(got);
      });
    });
  }

  it('is supported where it is a plain socket', () => {
    expect(path.supports(socket)).toBe(isFast);
    expect(path.supports(Object.assign(Object.create(socket) as Socket, { encrypted: true }))).toBe(false);
  });

  it('hands over what comes, and the end', async () => {
    const { text, all, reads } = collect(6);
    const ended = once(socket, 'end');
    for (const part of ['ab', 'cd', 'ef']) {
      peer.write(part);
      await new Promise(resolve => setImmediate(resolve));
    }
    await all;
    peer.end();
    await ended;
    expect([text(), reads() > 0]).toEqual(['abcdef', isFast]);
  });

  it('emits what its reader does not take', async () => {
    const { text, all } = collect(6, 2);
    peer.write('abcdef');
    await all;
    expect(text()).toBe('abcdef');
  });

  it('keeps the order when it is paused and goes on, however often', async () => {
    const sent = Array.from({ length: 20_000 }, (_, i) => `${i},`).join('');
    let chunks = 0;
    const { text, all } = collect(sent.length, 300);
    socket.on('data', () => {
      if (++chunks % 3 !== 0) return;
      socket.pause();
      setImmediate(() => setImmediate(() => socket.resume()));
    });
    for (let at = 0; at < sent.length; at += 700) {
      peer.write(sent.slice(at, at + 700));
      await new Promise(resolve => setImmediate(resolve));
    }
    await all;
    expect(text()).toBe(sent);
  });

  it('does not let bytes overtake what the stream holds already', async () => {
    const { text, all } = collect(2);
    socket.pause();
    socket.unshift(Buffer.from('a'));
    peer.write('b');
    await new Promise(resolve => setTimeout(resolve, 20));
    socket.resume();
    await all;
    expect(text()).toBe('ab');
  });

  it('reads nothing while it is paused, so that the sender is slowed down', async () => {
    const { text } = collect(Infinity);
    socket.pause();
    const block = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64; i++) peer.write(block);
    let left = -1;
    while (left !== peer.writableLength) {
      left = peer.writableLength;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    expect(left).toBeGreaterThan(32 << 20);
    expect(text()).toBe('');
    expect(socket.readableLength).toBeLessThanOrEqual(1 << 20);
  });

  it('writes in the order of the calls, also beside writes of the stream', async () => {
    attach();
    const writer = { onWritten: () => undefined };
    let expected = '';
    const parts = Array.from({ length: 400 }, (_, i) => `${i};`.repeat(1 + (i % 7) * 300));
    for (const part of parts) expected += part;
    const got = collectPeer(expected.length);
    for (const [i, part] of parts.entries()) {
      if (i % 5 === 0) socket.write(part);
      else path.write(socket, Buffer.from(part), writer);
    }
    expect(await got).toBe(expected);
  });

  it('leaves writes to the stream where Node writes in another way', () => {
    attach();
    const { _handle: handle } = socket as unknown as { _handle: { writeBuffer?: (...args: unknown[]) => number } };
    const written: string[] = [];
    socket.write = ((data: Buffer) => {
      written.push(data.toString());
      return handle.writeBuffer?.(undefined, data) === 0;
    }) as typeof socket.write;
    const writer = { onWritten: () => undefined };
    for (const text of ['a', 'b', 'c']) {
      handle.writeBuffer = () => 0;
      expect(path.write(socket, Buffer.from(text), writer)).toBe(0);
    }
    expect(written).toEqual(['a', 'b', 'c']);
  });

  it('reports what the operating system does not accept immediately, and when it has', async () => {
    const large = Buffer.alloc(8 << 20, 'x');
    let waiting = 0;
    attach();
    const writer = { onWritten: (bytes: number) => (waiting -= bytes) };
    path.write(socket, Buffer.from('a'), writer);
    peer.pause();
    waiting += path.write(socket, large, writer);
    const before = waiting + socket.writableLength;
    waiting += path.write(socket, Buffer.from('z'), writer);
    expect(before).toBe(large.length);
    expect(waiting + socket.writableLength).toBe(large.length + 1);
    const got = collectPeer(large.length + 2);
    peer.resume();
    const text = await got;
    await new Promise(resolve => setImmediate(resolve));
    expect(waiting + socket.writableLength).toBe(0);
    expect([text.length, text.startsWith('ax'), text.endsWith('xz')]).toEqual([large.length + 2, true, true]);
  });

  it('sends what waits before its end', async () => {
    const large = Buffer.alloc(4 << 20, 'x');
    attach();
    const writer = { onWritten: () => undefined };
    path.write(socket, Buffer.from('a'), writer);
    path.write(socket, large, writer);
    socket.end('z');
    let got = 0;
    peer.on('data', chunk => (got += chunk.length));
    await once(peer, 'end');
    expect(got).toBe(large.length + 2);
  });

  it('ends with the error of a write that fails, and takes writes after its end without one', async () => {
    const large = Buffer.alloc(8 << 20, 'x');
    let waiting = 0;
    attach();
    const writer = { onWritten: (bytes: number) => (waiting -= bytes) };
    path.write(socket, Buffer.from('a'), writer);
    peer.pause();
    waiting += path.write(socket, large, writer);
    const closed = new Promise(resolve => socket.once('close', resolve));
    peer.resetAndDestroy();
    await closed;
    expect(socket.errored).toMatchObject({ syscall: expect.stringMatching(/read|write/) as unknown });
    await new Promise(resolve => setImmediate(resolve));
    expect(waiting).toBe(0);
    waiting += path.write(socket, Buffer.from('z'), writer);
    expect(waiting).toBe(0);
  });
});
