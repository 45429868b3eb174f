import { afterEach, describe, expect, it } from '@jest/globals';
import { type Link, LinkNode, TcpLink } from '@nestgate/link';
import { NatsLink } from '@nestgate/link/nats';
import { createTestCluster, freePort, NatsProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { SlowProxy } from '../support/slow-proxy.js';

/** What the slow gate takes, and what is queued for it. */
const BYTES_PER_SECOND = 3_000_000;
const PUSH_BYTES = 1_000_000;
const PUSHES = 100;

describe.each(['tcp', 'nats'])('a gate that is slow to take what it gets, over %s', name => {
  const opened: { close(): Promise<unknown> }[] = [];

  afterEach(async () => {
    for (const each of opened.splice(0).toReversed()) await each.close();
  });

  async function tcpLinks(): Promise<[(role: string, index: number) => Link, SlowProxy]> {
    const ports = [await freePort(), await freePort()] as const;
    const proxy = await SlowProxy.start(ports[1], BYTES_PER_SECOND);
    const link = (role: string, index: number): Link =>
      new TcpLink({ url: `tcp://127.0.0.1:${role === 'gate' ? ports[index] : `${ports[0]},127.0.0.1:${proxy.port}`}` });
    return [link, proxy];
  }

  async function natsLinks(): Promise<[(role: string, index: number) => Link, SlowProxy]> {
    const nats = await NatsProcess.start();
    opened.push({ close: () => nats.end() });
    const proxy = await SlowProxy.start(nats.port, BYTES_PER_SECOND);
    const link = (role: string, index: number): Link =>
      new NatsLink({ url: role === 'gate' && index === 1 ? `nats://127.0.0.1:${proxy.port}` : nats.url });
    return [link, proxy];
  }

  async function start(): Promise<{ cluster: TestCluster; proxy: SlowProxy }> {
    const [link, proxy] = await (name === 'tcp' ? tcpLinks() : natsLinks());
    opened.push(proxy);
    const cluster = await createTestCluster({ gates: 2, workers: 1, link });
    opened.push(cluster);
    return { cluster, proxy };
  }

  it('holds up nobody who asks, and those who push only when they wait for it', async () => {
    const { cluster, proxy } = await start();
    const api = cluster.workers[0]?.api;
    const node = cluster.workers[0]?.app.get(LinkNode);
    if (!api || !node) throw new Error('No worker');
    const [quick, slow] = [await cluster.connect({ gate: 0 }), await cluster.connect({ gate: 1 })];
    // Nobody has this id: its pushes travel all the way, and end there.
    const nobody = slow.clientId.replace(/[^.]+$/, 'zzz');
    const body = Buffer.alloc(PUSH_BYTES, 1);
    await api.sendToClient(nobody, 't/n', body);
    const waits: Promise<void>[] = [];
    for (let n = 0; n < PUSHES; n++) {
      waits.push(api.sendToClient(nobody, 't/n', body));
      await new Promise(resolve => setImmediate(resolve));
    }
    let drained = false;
    void (waits.at(-1) as Promise<void>).then(() => (drained = true));

    for (let n = 0; n < 2; n++) {
      const asked = Date.now();
      expect(await api.getAllClientCount()).toBe(2);
      expect(await api.isOnline(slow.clientId)).toBe(true);
      expect([...(await api.getAllClientIdList())].sort()).toEqual([quick.clientId, slow.clientId].sort());
      expect(Date.now() - asked).toBeLessThan(5_000);
    }
    // A push through the other gate does not wait either.
    await api.sendToClient(quick.clientId, 't/n', 'quick', { confirm: true });
    await quick.push('t/n');
    expect(drained).toBe(false);
    expect(node.counters).toMatchObject({ refused: 0, gaps: 0 });

    proxy.hurry();
    await Promise.all(waits);
    // Behind all others, in order.
    expect(await api.sendToClient(slow.clientId, 't/n', 'last', { confirm: true, deadlineMs: 20_000 })).toBe(true);
    await slow.push('t/n');
    expect(cluster.gates[1]?.app.get(LinkNode).counters).toMatchObject({ gaps: 0, corrupt: 0 });
    await waitUntil('nobody to wait', () => drained);
  });
});
