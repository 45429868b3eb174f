import { describe, expect, it } from '@jest/globals';
import { GateCounters } from '../gate-counters.js';
import { BurstBudget } from './burst-budget.js';
import type { Connection } from '../connection/connection.js';
import { DrainQueue } from './drain-queue.js';
import { Outbox, type OutboxLimits } from './outbox.js';

/** A connection whose socket either takes everything at once, or holds it until `take`. */
class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  readonly bytesRead = 0;
  writableLength = 0;
  takenBytes = 0;
  flowing = true;
  readonly writes: string[] = [];

  write(data: Uint8Array): void {
    this.writes.push(Buffer.from(data).toString());
    if (!this.flowing) this.writableLength += data.length;
  }

  awaitDrain(): void {}

  ping(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  destroy(): void {}
}

function create(limits: Partial<OutboxLimits> = {}) {
  const connection = new FakeConnection();
  const outbox = new Outbox(connection, new DrainQueue(), {
    sendPackBuffNum: 100,
    sendBuffBytes: 10_000,
    slowClientPolicy: 'disconnect',
    ...limits,
  });
  const add = (...frames: string[]) => frames.map(frame => outbox.add(Buffer.from(frame)));
  /** The socket is given back: what it held is gone, and it says so. */
  const drain = () => {
    connection.writableLength = 0;
    outbox.drain();
  };
  /** The socket stops, with the first frames given still in it. */
  const stick = async (...frames: string[]) => {
    connection.flowing = false;
    add(...frames);
    await turn();
  };
  return { connection, outbox, add, drain, stick };
}

const turn = () => new Promise<void>(resolve => queueMicrotask(resolve));

describe('Outbox', () => {
  it('merges the frames of one turn into one write, in order', async () => {
    const { connection, outbox, add } = create();
    add('a', 'b', 'c');
    expect(connection.writes).toEqual([]);
    expect(outbox.isEmpty).toBe(false);
    await turn();
    expect(connection.writes).toEqual(['abc']);
    expect(outbox.isEmpty).toBe(true);
    add('d');
    await turn();
    expect(connection.writes).toEqual(['abc', 'd']);
  });

  it('writes nothing to a socket that still holds something', async () => {
    const { connection, outbox, add, drain, stick } = create();
    await stick('a');
    add('b');
    await turn();
    add('c');
    await turn();
    expect(connection.writes).toEqual(['a']);
    expect(outbox.isEmpty).toBe(false);
    drain();
    expect(connection.writes).toEqual(['a', 'bc']);
  });

  it('counts what the socket holds, until it has been taken', async () => {
    const { outbox, connection, add, stick } = create();
    await stick('aa', 'bb');
    add('ccc');
    expect([outbox.pendingPacks, outbox.pendingBytes]).toEqual([3, 7]);
    connection.writableLength = 0;
    expect([outbox.pendingPacks, outbox.pendingBytes]).toEqual([1, 3]);
  });

  it('flushes a burst within one turn instead of refusing it', async () => {
    const { connection, add } = create({ sendPackBuffNum: 3 });
    const sent = Array.from({ length: 10 }, (_, i) => String(i));
    expect(new Set(add(...sent))).toEqual(new Set(['accepted']));
    await turn();
    expect(connection.writes.join('')).toBe(sent.join(''));
    expect(connection.writes.length).toBeLessThanOrEqual(4);
  });

  it('flushes a burst of bytes too', async () => {
    const { connection, add } = create({ sendBuffBytes: 10 });
    expect(add('aaaa', 'bbbb', 'cccc', 'dddd', 'eeee')).toEqual(Array.from({ length: 5 }, () => 'accepted'));
    await turn();
    expect(connection.writes.join('')).toBe('aaaabbbbccccddddeeee');
  });

  it('holds as many packs as allowed, those in the socket included', async () => {
    const { add, stick } = create({ sendPackBuffNum: 3 });
    await stick('a');
    expect(add('b', 'c', 'd')).toEqual(['accepted', 'accepted', 'overflow']);
  });

  it('holds as many bytes as allowed, those in the socket included', async () => {
    const { add, stick } = create({ sendBuffBytes: 10 });
    await stick('aaaa');
    expect(add('bbbb', 'ccc', 'cc')).toEqual(['accepted', 'overflow', 'accepted']);
  });

  it('has room again when the socket has taken what it held', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 2 });
    await stick('a');
    expect(add('b', 'c')).toEqual(['accepted', 'overflow']);
    connection.flowing = true;
    drain();
    expect(add('c')).toEqual(['accepted']);
    await turn();
    expect(connection.writes).toEqual(['a', 'b', 'c']);
  });

  it('drops the newest', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 3, slowClientPolicy: 'drop-newest' });
    await stick('a');
    expect(add('b', 'c', 'd', 'e')).toEqual(['accepted', 'accepted', 'refused', 'refused']);
    drain();
    expect(connection.writes).toEqual(['a', 'bc']);
  });

  it('drops the oldest that are not with the socket yet', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 3, slowClientPolicy: 'drop-oldest' });
    await stick('a');
    expect(add('b', 'c', 'd', 'e')).toEqual(['accepted', 'accepted', 'dropped', 'dropped']);
    drain();
    expect(connection.writes).toEqual(['a', 'de']);
  });

  it('drops as many of the oldest as a large frame needs', async () => {
    const { connection, outbox, add, drain, stick } = create({ sendBuffBytes: 10, slowClientPolicy: 'drop-oldest' });
    await stick('a');
    add('bb', 'cc', 'dd', 'ee');
    expect(add('ffffff')).toEqual(['dropped']);
    expect(outbox.pendingBytes).toBeLessThanOrEqual(10);
    drain();
    expect(connection.writes).toEqual(['a', 'eeffffff']);
  });

  it('keeps the order of a long queue of which the oldest are dropped, one by one, trimmed, drained or forgotten between', async () => {
    const { connection, outbox, add, drain, stick } = create({ sendPackBuffNum: 101, slowClientPolicy: 'drop-oldest' });
    const frames = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i},`);
    await stick('x');
    add(...frames(0, 100));
    for (const end of [101, 120, 177, 500]) {
      add(...frames(end - 1, end));
      expect(outbox.pendingPacks).toBe(101);
    }
    expect(outbox.clear()).toBe(100);
    add(...frames(500, 700));
    drain();
    expect(connection.writes).toEqual(['x', frames(600, 700).join('')]);
    drain();
    await stick('y');
    add(...frames(700, 950));
    drain();
    expect(connection.writes[3]).toBe(frames(850, 950).join(''));
    expect(outbox.isEmpty).toBe(true);
  });

  it('does not drop what is queued for a frame that has no room even so', async () => {
    const { connection, add, drain, stick } = create({ sendBuffBytes: 10, slowClientPolicy: 'drop-oldest' });
    await stick('aaaaaa');
    add('bb');
    add('ccccc');
    drain();
    expect(connection.writes).toEqual(['aaaaaa', 'bb']);
  });

  it('forgets what is not with the socket yet, and says how much that was', async () => {
    const { connection, outbox, add, drain, stick } = create();
    await stick('a');
    add('b', 'c');
    expect(outbox.clear()).toBe(2);
    expect(outbox.clear()).toBe(0);
    expect(outbox.isEmpty).toBe(true);
    drain();
    expect(connection.writes).toEqual(['a']);
    expect(outbox.pendingBytes).toBe(0);
  });
});

describe('Outbox with bursts', () => {
  const MAX_WRITE = 64 * 1024;
  const bounds = { sendPackBuffNum: 3, sendBuffBytes: 100, sendBurstBytes: 5_000, sendBurstTotalBytes: 10_000 };

  function createBursting(slowClientPolicy: OutboxLimits['slowClientPolicy'], options: Partial<typeof bounds> = {}) {
    const limits = { ...bounds, ...options, slowClientPolicy, slowClientTimeout: 1_000 };
    const bursts = new BurstBudget(limits, new GateCounters());
    const connection = new FakeConnection();
    const outbox = new Outbox(connection, new DrainQueue(), limits, bursts);
    connection.flowing = false;
    const drain = () => {
      connection.takenBytes += connection.writableLength;
      connection.writableLength = 0;
      outbox.drain();
    };
    return { bursts, connection, outbox, drain };
  }

  it('holds what goes beyond its soft bound, and delivers all of it in order', async () => {
    const { bursts, connection, outbox, drain } = createBursting('disconnect');
    const frames = Array.from({ length: 20 }, (_, i) => `frame ${i};`);
    for (const frame of frames) expect(outbox.add(Buffer.from(frame))).toBe('accepted');
    await turn();
    // Each counts what it costs, and what the socket holds counts too.
    expect(bursts.bytes).toBeGreaterThan(17 * 128);
    while (connection.writableLength > 0) drain();
    expect(connection.writes.join('')).toBe(frames.join(''));
    expect([bursts.bytes, outbox.pendingBytes, outbox.pendingPacks]).toEqual([0, 0, 0]);
  });

  it('holds no more than its hard bound, where each pack counts 128 bytes more', () => {
    const { outbox } = createBursting('disconnect');
    let taken = 0;
    while (outbox.add(Buffer.alloc(10)) === 'accepted') taken++;
    // The first three went to the socket, which holds their bytes only.
    expect(taken).toBe(3 + Math.floor((5_000 - 30) / (10 + 128)));
    expect(outbox.heldBytes).toBeLessThanOrEqual(5_000);
  });

  it('gives back at once what counts for it when it forgets what waits', () => {
    const { bursts, outbox } = createBursting('disconnect');
    for (let i = 0; i < 10; i++) outbox.add(Buffer.alloc(10));
    expect(bursts.bytes).toBeGreaterThan(0);
    outbox.clear();
    expect(bursts.bytes).toBe(0);
  });

  it('beyond its hard bound drops as many of the oldest as a frame needs', () => {
    const { bursts, outbox, connection, drain } = createBursting('drop-oldest');
    const number = (n: number) => Buffer.from(`${100 + n},`);
    let taken = 0;
    while (outbox.add(number(taken)) === 'accepted') taken++;
    expect(outbox.dropped).toBe(1);
    expect(outbox.add(Buffer.from('x'.repeat(500)))).toBe('dropped');
    expect(outbox.dropped).toBe(5);
    expect(bursts.bytes).toBeLessThanOrEqual(5_000);
    while (connection.writableLength > 0) drain();
    // The first three were with the socket already.
    const left = Array.from({ length: taken + 1 }, (_, n) => number(n)).filter((_, n) => n < 3 || n >= 9);
    expect(connection.writes.join('')).toBe(`${left.join('')}${'x'.repeat(500)}`);
    expect(bursts.bytes).toBe(0);
  });

  it('has none where both bounds are the same', () => {
    const { outbox } = createBursting('disconnect', { sendBurstBytes: 100 });
    const results = Array.from({ length: 5 }, () => outbox.add(Buffer.alloc(10)));
    expect(results).toEqual(['accepted', 'accepted', 'accepted', 'overflow', 'overflow']);
  });

  it('writes a long queue in pieces of whole frames, and large frames by themselves', () => {
    const large = { sendBuffBytes: 4_000_000, sendPackBuffNum: 1_000 };
    const { connection, outbox, drain } = createBursting('disconnect', large);
    outbox.add(Buffer.from('first'));
    outbox.drain();
    const sizes = [...Array.from({ length: 10 }, () => 8_000), 25_000, 25_000, 10, 10, 1_000_000, 10];
    sizes.forEach((size, i) => outbox.add(Buffer.alloc(size, String(i))));
    while (connection.writableLength > 0) drain();
    const writes = connection.writes.slice(1);
    expect(writes.map(({ length }) => length)).toEqual([64_000, 16_000, 25_000, 25_000, 20, 1_000_000, 10]);
    for (const { length } of writes) expect(length <= MAX_WRITE || sizes.includes(length)).toBe(true);
    expect(writes.join('')).toBe(sizes.map((size, i) => String(i).repeat(size).slice(0, size)).join(''));
    expect(outbox.pendingBytes).toBe(0);
  });
});
