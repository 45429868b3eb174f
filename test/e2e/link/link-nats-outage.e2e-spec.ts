import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort, NatsProcess, TcpRelay, waitUntil } from '@nestgate/testing';
import { FrameStream, hang, NatsNodes, type NatsProbe } from './support/link-nats-support.js';
import { DialledSockets } from '../support/dialled-sockets.js';
import { heldBufferBytes } from '../support/held-memory.js';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('NATS that fails', () => {
  const nodes = new NatsNodes();
  let server: NatsProcess;
  /** An outage longer than the client's default timeout runs beside all other tests. */
  const long = { nodes: new NatsNodes(), crashedAt: 0 };
  let longServer: NatsProcess;
  let longPair: [NatsProbe, NatsProbe];

  beforeAll(async () => {
    [server, longServer] = await Promise.all([NatsProcess.start(), NatsProcess.start()]);
    longPair = await long.nodes.pair(longServer.url);
    await longServer.crash();
    long.crashedAt = performance.now();
  });
  afterEach(async () => {
    server.resume();
    await nodes.end();
  });
  afterAll(async () => {
    await long.nodes.end();
    await server.end();
    await longServer.end();
  });

  /** How long it takes until the link of every node is up or down. */
  async function until(isUp: boolean, probes: readonly NatsProbe[]): Promise<number> {
    const startedAt = performance.now();
    await waitUntil(
      `all links to be ${isUp ? 'up' : 'down'}`,
      () => probes.every(each => each.statuses.at(-1) === isUp),
      8_000,
    );
    return performance.now() - startedAt;
  }

  it('is noticed at once when it dies, and comes back by itself', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    const streams = [new FrameStream(gate, worker), new FrameStream(worker, gate)];
    await waitUntil('traffic', () => streams.every(({ received }) => received.length > 100));
    await server.crash();
    expect(await until(false, [gate, worker])).toBeLessThan(1_000);
    for (const [one, other] of [
      [gate, 'w1'],
      [worker, 'g1'],
    ] as const) {
      expect(one.link.send(other, Buffer.from('x'))).toBe('refused');
      expect(one.link.cast('*', Buffer.from('x'))).toBe('refused');
    }
    await server.restart();
    expect(await until(true, [gate, worker])).toBeLessThan(3_000);
    const counts = streams.map(({ received }) => received.length);
    await waitUntil('traffic', () => streams.every(({ received }, i) => received.length > (counts[i] as number) + 100));
    for (const stream of streams) stream.stop();
    for (const stream of streams) {
      const last = stream.accepted.at(-1) as number;
      await waitUntil('the last frame', () => stream.received.includes(last));
      const { received } = stream;
      expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
    }
    // It was shorter than it takes to be dead.
    expect([gate.story('w1'), worker.story('g1')]).toEqual([['join e1'], ['join e1']]);
    expect([gate.statuses, worker.statuses]).toEqual([
      [false, true],
      [false, true],
    ]);
  });

  it('takes no cast before all gates hear their channels again', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    // This one takes its time to come back.
    const connection = { reconnectTimeWait: 700, reconnectJitter: 0 };
    const second = await nodes.open('g2', 'gate', { url: server.url, connection });
    await Promise.all([worker.meets('g2'), second.meets('g1')]);
    await Promise.all([gate, second].map(({ link }) => link.join('group:a')));
    const sent: string[] = [];
    const shout = setInterval(() => {
      const text = `shout ${sent.length}`;
      if (worker.link.cast('group:a', Buffer.from(text)) !== 'refused') sent.push(text);
    });
    // The moment in which the link is up is the one in which the most would be missed.
    const { onStatus } = worker.events;
    let cycle = 0;
    Object.assign(worker.events, {
      onStatus: (isUp: boolean) => {
        if (isUp) worker.link.cast('group:a', Buffer.from(`back ${++cycle}`));
        onStatus(isUp);
      },
    });
    for (let i = 1; i <= 4; i++) {
      await server.restart();
      await waitUntil('the return', () => worker.statuses.filter(Boolean).length === i);
      for (const each of [gate, second]) {
        await waitUntil('what was said at once', () => each.texts('w1').includes(`back ${i}`));
      }
    }
    clearInterval(shout);
    expect([gate.story('w1'), second.story('w1')]).toEqual([['join e1'], ['join e1']]);
  });

  it('continues without the gates that do not return, and reports them', async () => {
    const relay = await TcpRelay.start(server.port);
    const [gate, worker] = await nodes.pair(server.url);
    const second = await nodes.open('g2', 'gate', `nats://127.0.0.1:${relay.port}`);
    await Promise.all([worker.meets('g2'), second.meets('w1')]);
    await relay.end();
    await server.restart();
    expect(await until(true, [gate, worker])).toBeLessThan(3_000);
    // Listeners of the status `up` know that a gate is missing.
    expect([gate.story('g2'), worker.story('g2')]).toEqual([
      ['join e1', 'lost'],
      ['join e1', 'lost'],
    ]);
    expect(worker.link.send('g2', Buffer.from('x'))).toBe('refused');
  });

  it('is noticed within 4 seconds when it hangs, and memory stays bounded meanwhile', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    const frame = Buffer.alloc(64 * KIB);
    const before = heldBufferBytes();
    const startedAt = performance.now();
    await hang(server);
    const results: Record<string, number> = { sent: 0, congested: 0, refused: 0 };
    // 33 MiB that wait, once more as much that the client has laid together to write it, and room.
    const limit = 80 * MIB;
    let highest = 0;
    const pump = setInterval(() => {
      for (let i = 0; i < 40; i++) (results[worker.link.send('g1', frame)] as number)++;
      // Most of what is there is garbage of frames that were refused: it is collected only where that matters.
      let held = process.memoryUsage().arrayBuffers - before;
      if (held > limit) held = heldBufferBytes() - before;
      highest = Math.max(highest, held);
    }, 10);
    await until(false, [gate, worker]);
    const ms = performance.now() - startedAt;
    clearInterval(pump);
    expect(ms).toBeLessThan(4_000);
    for (const result of ['sent', 'congested', 'refused']) expect(results[result]).toBeGreaterThan(0);
    // 4 MiB without a word, 32 MiB in all.
    expect((results['sent'] as number) * frame.length).toBeLessThanOrEqual(4 * MIB + frame.length);
    expect(((results['sent'] as number) + (results['congested'] as number)) * frame.length).toBeLessThanOrEqual(
      33 * MIB,
    );
    expect(highest).toBeLessThan(limit);
    expect(worker.drains).toContain(undefined);
    await server.restart();
    expect(await until(true, [gate, worker])).toBeLessThan(3_000);
    expect(worker.link.send('g1', Buffer.from('after'))).toBe('sent');
    await waitUntil('a frame', () => gate.texts('w1').includes('after'));
    expect(gate.texts('w1').filter(text => text !== 'after')).toEqual([]);
  });

  it('is left for another server when it hangs, whatever it still owes', async () => {
    const other = NatsProcess.prepare(await freePort());
    const [gate, worker] = await nodes.pair(`${server.url},127.0.0.1:${other.port}`);
    await other.restart();
    await hang(server);
    // So much that the client could not even end the connection by itself.
    while (worker.link.send('g1', Buffer.alloc(MIB)) !== 'refused');
    // One may be back, and without the other, before that has noticed.
    const pair = [gate, worker];
    await waitUntil('both to be cut off', () => pair.every(({ statuses }) => statuses.includes(false)));
    await until(true, pair);
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    expect(worker.link.send('g1', Buffer.from('over there'))).toBe('sent');
    await waitUntil('a frame', () => gate.texts('w1').includes('over there'));
    server.resume();
    await other.end();
  });

  it('can be left while it hangs, within seconds', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    await hang(server);
    worker.link.send('g1', Buffer.alloc(MIB));
    const startedAt = performance.now();
    await Promise.all([gate.link.close({ drain: false }), worker.link.close({ drain: true })]);
    expect(performance.now() - startedAt).toBeLessThan(6_000);
  });

  it('leaves no connection open when a node ends while it hangs: its process could not end', async () => {
    const sockets = new DialledSockets();
    try {
      const [gate, worker] = await nodes.pair(server.url);
      await hang(server);
      await until(false, [gate, worker]);
      await waitUntil('an attempt to connect', () => sockets.open >= 2);
      await Promise.all([gate, worker].map(({ link }) => link.close({ drain: true })));
      await waitUntil('the sockets to be gone', () => sockets.open === 0, 1_000);
    } finally {
      sockets.stop();
    }
  });

  it('leaves nothing behind, however often it comes and goes', async () => {
    const relay = await TcpRelay.start(server.port);
    const connection = { reconnectTimeWait: 5, reconnectJitter: 5 };
    const [gate, worker] = await nodes.pair({ url: `nats://127.0.0.1:${relay.port}`, connection });
    await gate.link.join('group:a');
    const inventory = () => {
      const count: Record<string, number> = {};
      for (const name of process.getActiveResourcesInfo()) count[name] = (count[name] ?? 0) + 1;
      return count;
    };
    const cycle = async (number: number) => {
      relay.cut();
      await waitUntil('the return', () => [gate, worker].every(({ statuses }) => statuses.length === 2 * number));
      worker.link.cast('group:a', Buffer.from(`cast ${number}`));
      worker.link.send('g1', Buffer.from(`sent ${number}`));
      await waitUntil('both', () => gate.frames.length === 2 * number);
    };
    await cycle(1);
    const before = inventory();
    for (let i = 2; i <= 40; i++) await cycle(i);
    await waitUntil('the same as before', () => (inventory()['TCPSocketWrap'] ?? 0) <= (before['TCPSocketWrap'] ?? 0));
    expect(inventory()['Timeout'] ?? 0).toBeLessThanOrEqual((before['Timeout'] ?? 0) + 2);
    expect(gate.texts('w1')).toEqual(Array.from({ length: 40 }, (_, i) => [`cast ${i + 1}`, `sent ${i + 1}`]).flat());
    await nodes.end();
    await relay.end();
  });

  it('is waited for longer than the client would by itself', async () => {
    await waitUntil('a long time to pass', () => performance.now() - long.crashedAt > 25_000, 30_000);
    const [gate, worker] = longPair;
    expect([gate.statuses, worker.statuses]).toEqual([[false], [false]]);
    expect([gate.story('w1'), worker.story('g1')]).toEqual([
      ['join e1', 'lost'],
      ['join e1', 'lost'],
    ]);
    await longServer.restart();
    expect(await until(true, longPair)).toBeLessThan(3_000);
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    worker.link.send('g1', Buffer.from('hello again'));
    await waitUntil('a frame', () => gate.texts('w1').includes('hello again'));
    expect([gate.story('w1'), worker.story('g1')]).toEqual([
      ['join e1', 'lost', 'join e1'],
      ['join e1', 'lost', 'join e1'],
    ]);
  });
});
