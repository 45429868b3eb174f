import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type DelayedRelay, startDelayedRelay } from './delayed-relay.js';
import { waitUntil } from '../wait-until.js';

const MIB = 1024 * 1024;
const DELAY_MS = 20;

describe('startDelayedRelay', () => {
  let relay: DelayedRelay | undefined;
  let server: Server;
  const sockets: Socket[] = [];

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await relay?.close();
    server.close();
  });

  async function join(): Promise<{ near: Socket; far: Socket }> {
    server = createServer({ noDelay: true, allowHalfOpen: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    relay = await startDelayedRelay({ target: { host: '127.0.0.1', port }, delayMs: DELAY_MS, bufferBytes: 64 * 1024 });
    const near = connect({ port: relay.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const [far] = (await once(server, 'connection')) as [Socket];
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on('error', () => undefined);
    return { near, far };
  }

  it('delivers each byte in order, later by the delay of each way', async () => {
    const { near, far } = await join();
    far.pipe(far);
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i * 7));
    const received: Buffer[] = [];
    near.on('data', chunk => received.push(chunk));
    const startedAt = performance.now();
    near.write('x');
    await once(near, 'data');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2 * DELAY_MS - 1);
    near.end(sent);
    await once(near, 'end');
    expect(Buffer.concat(received).subarray(1).equals(sent)).toBe(true);
  });

  it('stops a sender whose receiver does not read, and goes on when it does', async () => {
    const { near, far } = await join();
    near.pause();
    let taken = 0;
    const chunk = Buffer.alloc(MIB);
    for (let i = 0; i < 40; i++) far.write(chunk, () => (taken += chunk.length));
    await delay(500);
    // What the kernel holds for the four sockets between the two, and the relay's own buffer.
    expect(taken).toBeLessThan(20 * MIB);
    let received = 0;
    near.on('data', data => (received += data.length));
    near.resume();
    await waitUntil('some of it to arrive', () => received > MIB);
  });

  it('breaks the far connection when the near one breaks', async () => {
    const { near, far } = await join();
    near.write('x');
    await once(far, 'data');
    near.resetAndDestroy();
    await waitUntil('the far one to be closed', () => far.destroyed);
  });
});
