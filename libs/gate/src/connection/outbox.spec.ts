import { describe, expect, it } from '@jest/globals';
import type { Connection } from './connection.js';
import { DrainQueue } from './drain-queue.js';
import { Outbox, type OutboxLimits } from './outbox.js';

/** A connection whose socket either takes everything at once, or holds it until `take`. */
class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  readonly bytesRead = 0;
  writableLength = 0;
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
    expect(new Set(add(...sent))).toEqual(new Set(['taken']));
    await turn();
    expect(connection.writes.join('')).toBe(sent.join(''));
    expect(connection.writes.length).toBeLessThanOrEqual(4);
  });

  it('flushes a burst of bytes too', async () => {
    const { connection, add } = create({ sendBuffBytes: 10 });
    expect(add('aaaa', 'bbbb', 'cccc', 'dddd', 'eeee')).toEqual(Array.from({ length: 5 }, () => 'taken'));
    await turn();
    expect(connection.writes.join('')).toBe('aaaabbbbccccddddeeee');
  });

  it('holds as many packs as allowed, those in the socket included', async () => {
    const { add, stick } = create({ sendPackBuffNum: 3 });
    await stick('a');
    expect(add('b', 'c', 'd')).toEqual(['taken', 'taken', 'overflow']);
  });

  it('holds as many bytes as allowed, those in the socket included', async () => {
    const { add, stick } = create({ sendBuffBytes: 10 });
    await stick('aaaa');
    expect(add('bbbb', 'ccc', 'cc')).toEqual(['taken', 'overflow', 'taken']);
  });

  it('has room again when the socket has taken what it held', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 2 });
    await stick('a');
    expect(add('b', 'c')).toEqual(['taken', 'overflow']);
    connection.flowing = true;
    drain();
    expect(add('c')).toEqual(['taken']);
    await turn();
    expect(connection.writes).toEqual(['a', 'b', 'c']);
  });

  it('drops the newest', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 3, slowClientPolicy: 'drop-newest' });
    await stick('a');
    expect(add('b', 'c', 'd', 'e')).toEqual(['taken', 'taken', 'refused', 'refused']);
    drain();
    expect(connection.writes).toEqual(['a', 'bc']);
  });

  it('drops the oldest that are not with the socket yet', async () => {
    const { connection, add, drain, stick } = create({ sendPackBuffNum: 3, slowClientPolicy: 'drop-oldest' });
    await stick('a');
    expect(add('b', 'c', 'd', 'e')).toEqual(['taken', 'taken', 'dropped', 'dropped']);
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
