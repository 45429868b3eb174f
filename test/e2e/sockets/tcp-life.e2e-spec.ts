import { afterEach, describe, expect, it } from '@jest/globals';
import type { GateModuleExtras, GateOptions } from '@nestgate/gate';
import { FrameKind } from '@nestgate/protocol';
import { type BinaryClient, waitUntil } from '@nestgate/testing';
import { BinaryBench, NETWORKS, received } from '../support/binary-support.js';

describe('clients over TCP', () => {
  let bench: BinaryBench;

  afterEach(() => bench.close());

  async function start(options: GateOptions & GateModuleExtras = {}): Promise<BinaryClient> {
    bench = await BinaryBench.start(options);
    return bench.connect('tcp');
  }

  async function expectEcho(client: BinaryClient, text: string): Promise<void> {
    const seen = client.pushes('echo/echo').length;
    client.send('echo/echo', text);
    await waitUntil('the echo', () => client.pushes('echo/echo')[seen]);
    expect(client.pushes('echo/echo').at(-1)?.body.toString()).toBe(text);
  }

  describe('that are silent', () => {
    const times = { pingInterval: 100, heartOverTimer: 600 };

    it('are closed when they send packs, which have no pings', async () => {
      const silent = await start(times);
      const alive = await bench.connect('tcp');
      const since = Date.now();
      while (!silent.closedWith) {
        alive.sendRaw(Buffer.of(4, 0, 0, 0));
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      expect(Date.now() - since).toBeGreaterThanOrEqual(400);
      expect(bench.counters.get('connections_closed', 4003)).toBe(1);
      await expectEcho(alive, 'still here');
      expect(silent.messages).toEqual([]);
    });

    it('are pinged when they speak frames, and closed unless they answer', async () => {
      const silent = await start({ ...times, tcp: { port: 0, codec: 'frame' } });
      const alive = await bench.connect('tcp');
      let answered = 0;
      await waitUntil('the silent one to be closed, long after that for the other', () => {
        const pings = alive.messages.filter(({ kind }) => kind === FrameKind.ping).length;
        for (; answered < pings; answered++) alive.sendFrame(FrameKind.pong, 0, '');
        return silent.closedWith && answered >= 12;
      });
      expect(silent.messages.map(({ kind }) => kind).slice(0, 2)).toEqual([FrameKind.hello, FrameKind.ping]);
      expect(bench.counters.get('connections_closed', 4003)).toBe(1);
      await expectEcho(alive, 'still here');
    });

    it('and do not end their side either, are cut off', async () => {
      const stubborn = await start({ ...times });
      stubborn.transport.removeAllListeners('end');
      await bench.left(0);
      expect(await cutOff(stubborn)).toBeLessThan(4_000);
      expect(stubborn.messages).toEqual([]);
    });
  });

  it('that do not read are sent away once their queue is full, and hurt nobody else', async () => {
    const slow = await start({ sendBuffBytes: 256 * 1024 });
    const neighbour = await bench.connect('tcp');
    slow.send('chat/login', { name: 'slow' });
    await slow.push('chat/login');
    slow.transport.pause();
    const { api } = bench.cluster;
    const body = Buffer.alloc(60_000);
    let sent = 0;
    while ((await api.sendToUid('slow', 'flood/drop', body, { confirm: true })).delivered === 1) sent++;
    expect(sent).toBeGreaterThan(3);
    expect(bench.counters.get('connections_closed', 1013)).toBe(1);
    expect(await api.isUidOnline('slow')).toBe(false);
    await expectEcho(neighbour, 'here');
    expect(await cutOff(slow)).toBeLessThan(5_000);
  });

  it('keep their order and get everything when they read late', async () => {
    const late = await start();
    late.transport.pause();
    for (let n = 0; n < 300; n++) late.send('echo/echo', `${n} ${'x'.repeat(2_000)}`);
    // Its requests have all reached the gate when one more client has got its answer behind them.
    await expectEcho(await bench.connect('tcp'), 'meanwhile');
    late.transport.resume();
    await received(late, 300);
    expect(late.messages.map(({ body }) => Number.parseInt(body.toString(), 10))).toEqual(
      Array.from({ length: 300 }, (_, n) => n),
    );
  });

  it('are closed by the application, with a last message', async () => {
    const client = await start();
    client.send('session/get');
    const { clientId } = JSON.parse((await client.push('session/get')).body.toString()) as { clientId: string };
    for (let n = 0; n < 20; n++) await bench.cluster.api.sendToClient(clientId, 'news/item', Buffer.alloc(5_000, n));
    expect(await bench.cluster.api.closeClient(clientId, 'bye/bye', 'kicked')).toBe(true);
    await client.closed;
    expect(client.pushes('news/item').map(({ body }) => body[0])).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(client.messages.at(-1)).toMatchObject({ topic: 'bye/bye', body: Buffer.from('"kicked"') });
  });

  it('know their own address and network', async () => {
    const client = await start();
    client.send('chat/login', { name: 'me' });
    await client.push('chat/login');
    const [agent] = bench.gate.delegater.sessions();
    expect([agent?.connection.network, agent?.connection.ip]).toEqual(['tcp', '127.0.0.1']);
  });

  it.each(NETWORKS)('share the limit per address with those over %s', async network => {
    const first = await start({ maxConnectionsPerIp: 2 });
    const second = await bench.connect(network);
    for (let n = 1; n <= 3; n++) {
      const third = await bench.connect('tcp');
      expect(await third.closed).toEqual({ code: 0, reason: '' });
      expect(third.messages).toEqual([]);
      expect(bench.counters.get('handshakes_refused', 429)).toBe(n);
    }
    await expect(bench.connect('ws')).rejects.toMatchObject({ status: 429 });
    second.destroy();
    await bench.left(1);
    await waitUntil('the place to be free', async () => {
      const next = await bench.connect('tcp');
      next.sendRaw(Buffer.of(4, 0, 0, 0));
      await waitUntil('an answer or the end', () => next.messages.length > 0 || next.closedWith);
      return !next.closedWith;
    });
    await expectEcho(first, 'here all the time');
  });

  it('are refused when the gate is full', async () => {
    const first = await start({ maxConnections: 1 });
    const second = await bench.connect('tcp');
    await second.closed;
    expect(bench.counters.get('handshakes_refused', 503)).toBe(1);
    await expectEcho(first, 'here');
  });

  it('are limited to the message rate', async () => {
    const client = await start({ messageRate: 10 });
    for (let n = 0; n < 40; n++) client.send('echo/echo', String(n));
    await received(client, 40);
    expect(client.pushes('echo/echo').length).toBeGreaterThanOrEqual(20);
    const errors = client.pushes('$gate/error').map(({ body }) => JSON.parse(body.toString()) as { code: string });
    expect(errors.length).toBe(40 - client.pushes('echo/echo').length);
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['RATE_LIMITED']));
  });
});

/**
 * Goes on sending until the connection is cut, and returns how long that took: who sends into a connection that is no more
 * gets a reset, whether it reads or not.
 */
async function cutOff(client: BinaryClient): Promise<number> {
  const since = Date.now();
  const sending = setInterval(() => client.sendRaw(Buffer.of(4, 0, 0, 0)), 20);
  try {
    await client.closed;
    return Date.now() - since;
  } finally {
    clearInterval(sending);
  }
}
