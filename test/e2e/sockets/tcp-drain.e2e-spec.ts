import { afterEach, describe, expect, it } from '@jest/globals';
import { FrameKind } from '@nestgate/protocol';
import { BinaryClient, jsonOf, waitUntil } from '@nestgate/testing';
import { BinaryBench, received } from '../support/binary-support.js';

describe('a gate that stops, and its TCP clients', () => {
  let bench: BinaryBench;
  let stopping: Promise<void> | undefined;

  afterEach(async () => {
    await stopping;
    stopping = undefined;
    await bench.close();
  });

  function stop(): void {
    stopping = bench.cluster.gate.app.close();
  }

  it('answers what they have asked, and then ends their connections', async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec: 'frame' } });
    const [busy, idle] = [await bench.connect('tcp'), await bench.connect('tcp')];
    await received(idle, 1);
    const id = busy.ask('echo/slow', { ms: 300 });
    busy.sendFrame(FrameKind.ping, 0, '');
    await waitUntil('the request to be under way', () => busy.messages.some(({ kind }) => kind === FrameKind.pong));
    stop();
    expect(jsonOf(await busy.answer(id))).toEqual({ ms: 300 });
    await Promise.all([busy.closed, idle.closed, stopping]);
    expect(bench.counters.get('connections_closed', 1012)).toBe(2);
    expect(bench.gate.tcpPort).toBeUndefined();
  });

  it('still serves them while it waits for others', async () => {
    bench = await BinaryBench.start();
    const [busy, other] = [await bench.connect('tcp'), await bench.connect('tcp')];
    busy.send('echo/slow', { ms: 300 });
    busy.sendRaw(Buffer.of(4, 0, 0, 0));
    await received(busy, 1);
    stop();
    await waitUntil('the gate to drain', () => !bench.gate.isReady);
    other.send('echo/echo', 'served');
    expect((await other.push('echo/echo')).body.toString()).toBe('served');
    await busy.push('echo/slow');
    await Promise.all([busy.closed, other.closed]);
  });

  it('takes no new ones, and says nothing to them', async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec: 'frame' } });
    const busy = await bench.connect('tcp');
    const id = busy.ask('echo/slow', { ms: 300 });
    busy.sendFrame(FrameKind.ping, 0, '');
    await waitUntil('the request to be under way', () => busy.messages.some(({ kind }) => kind === FrameKind.pong));
    stop();
    await waitUntil('the gate to drain', () => !bench.gate.isReady);
    const late = await BinaryClient.overTcp(bench.tcpPort, { codec: 'frame' });
    await late.closed;
    expect(late.messages).toEqual([]);
    expect(bench.counters.get('handshakes_refused', 'draining')).toBe(1);
    await busy.answer(id);
  });

  it('sends what is queued for them before it ends their connections', async () => {
    bench = await BinaryBench.start();
    const client = await bench.connect('tcp');
    client.sendRaw(Buffer.of(4, 0, 0, 0));
    await received(client, 1);
    const sent = Array.from({ length: 50 }, (_, n) =>
      bench.cluster.api.sendToAll('news/item', Buffer.alloc(10_000, n), undefined, undefined, { confirm: true }),
    );
    expect(await Promise.all(sent)).toEqual(sent.map(() => ({ delivered: 1 })));
    stop();
    await client.closed;
    expect(client.pushes('news/item').map(({ body }) => body[0])).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it('does not wait for one that neither reads nor ends', async () => {
    bench = await BinaryBench.start({ closeTimeout: 50, drainTimeout: 50, sendBuffBytes: 64 * 1024 * 1024 });
    const client = await bench.connect('tcp');
    client.sendRaw(Buffer.of(4, 0, 0, 0));
    await received(client, 1);
    client.transport.pause();
    const [agent] = bench.gate.delegater.sessions();
    for (let n = 0; n < 100; n++) await bench.cluster.api.sendToAll('news/item', Buffer.alloc(60_000));
    await waitUntil('the gate to hold more than the sockets do', () => (agent?.connection.writableLength ?? 0) > 0);
    const since = Date.now();
    stop();
    await stopping;
    expect(Date.now() - since).toBeLessThan(1_800);
  });
});
