import { describe, expect, it } from '@jest/globals';
import { BodyKind } from '@nestgate/protocol';
import { DrainQueue } from '../client/drain-queue.js';
import { JsonSessionWire } from '../codec/json-session-wire.js';
import { JsonWsWire } from '../codec/json-ws-wire.js';
import type { Connection } from '../connection/connection.js';
import { GateCounters } from '../gate-counters.js';
import type { Receipt } from '../receipts/receipt.js';
import { ResumableQueue } from './resumable-queue.js';
import { RingBudget } from './ring-budget.js';

const wire = new JsonSessionWire(32, new JsonWsWire(32));

/** A socket that takes everything at once while it flows, and holds it while it does not. */
class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  readonly bytesRead = 0;
  readonly takenBytes = 0;
  writableLength = 0;
  flowing = true;
  awaited = 0;
  readonly writes: number[] = [];
  private received: Buffer = Buffer.alloc(0);

  write(data: Uint8Array): void {
    this.writes.push(data.length);
    this.received = Buffer.concat([this.received, data]);
    if (!this.flowing) this.writableLength += data.length;
  }

  awaitDrain(): void {
    this.awaited++;
  }

  ping(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  destroy(): void {}

  /** What was written: bodies of pushes, and names of the gate's own frames. */
  texts(): unknown[] {
    const texts: unknown[] = [];
    for (let data = this.received; data.length > 0;) {
      const [start, length] = data[1] === 126 ? [4, data.readUInt16BE(2)] : [2, data[1] as number];
      const { topic, body } = JSON.parse(data.toString('utf8', start, start + length)) as Record<string, unknown>;
      texts.push(topic === 'p/p' ? body : [topic, body]);
      data = data.subarray(start + length);
    }
    this.received = Buffer.alloc(0);
    return texts;
  }
}

function create(frames = 4, bytes = 100_000) {
  const counters = new GateCounters();
  const defects: unknown[] = [];
  const host = {
    limits: { frames, bytes },
    makingBytes: 10_000,
    counters,
    drainQueue: new DrainQueue(),
    budget: new RingBudget(1_000_000),
    rest: [],
  };
  const owner = {
    onOverflow: () => undefined,
    onStalled: () => undefined,
    onCaughtUp: () => undefined,
    onDefect: (error: unknown) => void defects.push(error),
  };
  const queue = new ResumableQueue(host, owner, wire);
  const connection = new FakeConnection();
  queue.begin(connection);
  const push = (...bodies: number[]) =>
    bodies.map(body => queue.send(wire.push('p/p', { kind: BodyKind.json, bytes: Buffer.from(String(body)) })));
  return { queue, connection, counters, push };
}

/** Notes how it is settled. */
const receiptOf = (settled: string[], name: string): Receipt => ({
  deadline: 0,
  isOver: false,
  settle: isReceived => void settled.push(`${name} ${isReceived}`),
});
const turn = () => new Promise<void>(resolve => queueMicrotask(resolve));
const own = (name: string) => wire.notice('refused', { name });

describe('ResumableQueue', () => {
  it('writes what one turn brings in one piece, the frames of the gate itself in their place', async () => {
    const { queue, connection, push } = create();
    push(1, 2);
    queue.sendNow(own('a'));
    push(3);
    await turn();
    expect(connection.texts()).toEqual([1, 2, ['$gate/refused', { name: 'a' }], 3]);
    expect(connection.writes).toHaveLength(1);
    expect([queue.isEmpty, queue.top, queue.sentCount]).toEqual([true, 3, 3]);
  });

  it('takes frames without a socket, and writes what the next one has not seen', async () => {
    const { queue, push, counters } = create();
    push(1, 2);
    await turn();
    queue.detach();
    expect(queue.isEmpty).toBe(true);
    push(3);
    expect(queue.sendNow(own('lost'))).toBe(false);
    expect(counters.get('packs_dropped', 'away')).toBe(1);
    const next = new FakeConnection();
    queue.attach(next, 1, own('resumed'));
    expect(next.texts()).toEqual([['$gate/refused', { name: 'resumed' }], 2, 3]);
    push(4);
    await turn();
    expect(next.texts()).toEqual([4]);
  });

  it('reports a gap before what follows it, on a socket that is full too', async () => {
    const { queue, connection, push, counters } = create();
    connection.flowing = false;
    push(1);
    await turn();
    push(2, 3, 4, 5, 6, 7);
    await turn();
    expect(connection.awaited).toBeGreaterThan(0);
    expect(counters.get('packs_dropped', 'overrun')).toBe(2);
    expect([queue.pendingPacks, queue.isWritten]).toEqual([4, false]);
    connection.writableLength = 0;
    connection.flowing = true;
    queue.drain();
    expect(connection.texts()).toEqual([1, ['$gate/gap', { from: 2, n: 2, why: 'overrun' }], 4, 5, 6, 7]);
    expect(counters.get('resume_gaps', 'overrun')).toBe(1);
  });

  it('does not lose what a socket takes, however much one turn brings', async () => {
    const { connection, push, counters } = create();
    push(...Array.from({ length: 100 }, (_, i) => i));
    await turn();
    expect(connection.texts()).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(counters.get('packs_dropped', 'overrun')).toBe(0);
  });

  it('bounds the frames of the gate itself', async () => {
    const { queue, connection, counters } = create();
    connection.flowing = false;
    connection.writableLength = 1;
    for (let i = 0; i < 70; i++) queue.sendNow(own(String(i)));
    expect(counters.get('packs_dropped', 'control')).toBe(6);
  });

  it('keeps messages in order behind one that is still being made, over a lost connection too', async () => {
    const { queue, push } = create();
    let make: (frame: Uint8Array) => void = () => undefined;
    queue.defer(new Promise<Uint8Array>(resolve => (make = resolve)), 10);
    push(2);
    queue.detach();
    const next = new FakeConnection();
    queue.attach(next, 0, own('resumed'));
    expect(queue.isEmpty).toBe(false);
    make(wire.push('p/p', { kind: BodyKind.json, bytes: Buffer.from('1') }));
    for (let i = 0; i < 4; i++) await turn();
    expect(next.texts().slice(1)).toEqual([1, 2]);
  });

  it('settles a receipt with the acknowledgement that covers it, over a lost connection too', async () => {
    const { queue, push } = create();
    const settled: string[] = [];
    push(1);
    queue.awaitReceipt(receiptOf(settled, 'one'));
    push(2);
    queue.awaitReceipt(receiptOf(settled, 'two'));
    push(3);
    queue.awaitReceipt(receiptOf(settled, 'three'));
    await turn();
    expect([queue.ack(1), settled]).toEqual([true, ['one true']]);
    queue.detach();
    // The client had received the second one, and its acknowledgement was lost with the connection.
    queue.attach(new FakeConnection(), 2, own('resumed'));
    expect(settled).toEqual(['one true', 'two true']);
    expect([queue.ack(3), settled.at(-1)]).toEqual([true, 'three true']);
    queue.awaitNumber(2, receiptOf(settled, 'again'));
    queue.awaitNumber(9, receiptOf(settled, 'never sent'));
    expect(settled.slice(3)).toEqual(['again true', 'never sent false']);
  });

  it('does not count a frame as received that the client was told to be missing', async () => {
    const { queue, push } = create();
    const settled: string[] = [];
    push(1);
    queue.awaitReceipt(receiptOf(settled, 'written'));
    await turn();
    queue.detach();
    for (let i = 2; i <= 7; i++) {
      push(i);
      queue.awaitReceipt(receiptOf(settled, String(i)));
    }
    // Four frames are kept: the second and third were never written. The first one was, and may have arrived.
    expect(settled).toEqual(['2 false', '3 false']);
    const next = new FakeConnection();
    queue.attach(next, 0, own('resumed'));
    expect(settled.slice(2)).toEqual(['written false']);
    await turn();
    expect(queue.ack(7)).toBe(true);
    expect(settled.slice(3)).toEqual(['4 true', '5 true', '6 true', '7 true']);
  });

  it('gives a message that is being made its number when it is made, and settles one that is not', async () => {
    const { queue, push } = create();
    const settled: string[] = [];
    let make: (frame: Uint8Array | undefined) => void = () => undefined;
    queue.defer(new Promise<Uint8Array | undefined>(resolve => (make = resolve)), 10);
    queue.awaitReceipt(receiptOf(settled, 'made'));
    queue.defer(Promise.resolve(undefined), 10);
    queue.awaitReceipt(receiptOf(settled, 'refused'));
    push(3);
    queue.awaitReceipt(receiptOf(settled, 'behind'));
    expect(settled).toEqual([]);
    make(wire.push('p/p', { kind: BodyKind.json, bytes: Buffer.from('1') }));
    for (let i = 0; i < 4; i++) await turn();
    expect(settled).toEqual(['refused false']);
    queue.ack(1);
    queue.ack(2);
    expect(settled).toEqual(['refused false', 'made true', 'behind true']);
    queue.defer(new Promise<Uint8Array>(() => undefined), 10);
    queue.awaitReceipt(receiptOf(settled, 'dropped'));
    queue.drop('closed');
    expect(settled.at(-1)).toBe('dropped false');
  });

  it('leaves receipts to the gate that the session moves to, but for what is lost', async () => {
    const { queue, push } = create();
    const settled: string[] = [];
    for (let i = 1; i <= 6; i++) {
      push(i);
      queue.awaitReceipt(receiptOf(settled, String(i)));
      if (i === 3) await turn();
    }
    // Three and more are kept, the client has one.
    queue.forwardTo({ pull: () => undefined }, 1);
    expect(settled).toEqual(['1 true', '2 false']);
    expect(queue.takeTail(1000)).toHaveLength(4);
    expect(queue.takeReceipts().map(({ number }) => number)).toEqual([3, 4, 5, 6]);
    push(7);
    queue.awaitReceipt(receiptOf(settled, 'too late'));
    expect(settled.at(-1)).toBe('too late false');
  });

  it('says what it drops', async () => {
    const { queue, connection, push, counters } = create();
    connection.writableLength = 1;
    push(1, 2, 3);
    queue.drop('closed');
    expect([counters.get('packs_dropped', 'closed'), queue.pendingPacks, queue.isEmpty]).toEqual([3, 0, true]);
    expect(queue.send(undefined)).toBe(false);
    expect(counters.get('packs_dropped', 'too_large')).toBe(1);
  });

  it('tells that frames may be missing with each connection, until the client has a later frame', () => {
    const { queue, counters, push } = create();
    const told = (seen: number): unknown[] => {
      const connection = new FakeConnection();
      queue.attach(connection, seen, wire.notice('resumed', {}));
      return connection.texts().filter(text => Array.isArray(text) && text[0] === '$gate/gap');
    };
    const gap = (from: number): unknown[] => [['$gate/gap', { from, n: null, why: 'link' }]];
    push(1);
    queue.drain();
    queue.noteDoubt('link');
    queue.drain();
    expect([told(0), queue.openDoubt]).toEqual([gap(1), 'link']);
    queue.ack(1);
    expect([told(1), queue.openDoubt]).toEqual([[], undefined]);
    queue.detach();
    queue.noteDoubt('link');
    expect([told(1), told(1)]).toEqual([gap(2), gap(2)]);
    // It has nothing that was sent behind the notice.
    queue.ack(1);
    expect(queue.openDoubt).toBe('link');
    expect(counters.get('resume_gaps', 'link')).toBe(2);
  });
});
