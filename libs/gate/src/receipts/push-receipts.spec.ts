import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { GateCounters } from '../gate-counters.js';
import { PushReceipts, type ReceiptWait } from './push-receipts.js';
import type { Receipt } from './receipt.js';

let counters: GateCounters;
let receipts: PushReceipts;
let waiting: Receipt[];

/** A session that keeps what is to be acknowledged. */
const session = { awaitReceipt: (receipt: Receipt) => void waiting.push(receipt) };
const pushTo = (count: number) => (wait: ReceiptWait) => {
  for (let i = 0; i < count; i++) wait.add(session);
};

beforeEach(() => {
  counters = new GateCounters();
  waiting = [];
  const self = { id: 'g', role: 'gate', epoch: 'e', modules: [], draining: false } as const;
  receipts = new PushReceipts(counters, new LinkNode({ link: new MemoryBus().link(), self }));
});
afterEach(() => receipts.onApplicationShutdown());

describe('PushReceipts', () => {
  it('resolves with the last acknowledgement', async () => {
    const outcome = receipts.collect(60_000, pushTo(2));
    waiting[0]?.settle(true);
    expect(receipts.size).toBe(1);
    waiting[1]?.settle(false);
    expect(await outcome).toEqual({ delivered: 2, received: 1 });
    expect(receipts.size).toBe(0);
  });

  it('does not wait for clients that cannot acknowledge, nor for none', async () => {
    expect(await receipts.collect(60_000, wait => wait.add(undefined))).toEqual({ delivered: 1, received: 0 });
    expect(await receipts.collect(60_000, () => undefined)).toEqual({ delivered: 0, received: 0 });
  });

  it('resolves with what has come when the time is over, and hears no more', async () => {
    const outcome = receipts.collect(1, pushTo(3));
    waiting[0]?.settle(true);
    expect(await outcome).toEqual({ delivered: 3, received: 1 });
    expect([receipts.size, waiting[1]?.isOver]).toEqual([0, true]);
    waiting[1]?.settle(true);
    expect(receipts.size).toBe(0);
    expect(await receipts.collect(Number.NaN, pushTo(1))).toEqual({ delivered: 1, received: 0 });
  });

  it('settles a client that acknowledges while others are still pushed to', async () => {
    const outcome = receipts.collect(60_000, wait => {
      wait.add({ awaitReceipt: receipt => receipt.settle(true) });
      wait.add({ awaitReceipt: receipt => receipt.settle(true) });
    });
    expect(await outcome).toEqual({ delivered: 2, received: 2 });
  });

  it('adds what another gate has pushed', async () => {
    const outcome = receipts.collect(60_000, wait => {
      wait.follow(Promise.resolve({ delivered: 1, received: 1 }));
      wait.follow(Promise.reject(new Error('lost')));
    });
    expect(await outcome).toEqual({ delivered: 1, received: 1 });
    expect(receipts.size).toBe(0);
  });

  it('gives its room back when the push is refused', async () => {
    const refused = receipts.collect(60_000, wait => {
      wait.add(session);
      throw new Error('no topic');
    });
    await expect(refused).rejects.toThrow('no topic');
    expect(receipts.size).toBe(0);
  });

  it('waits for a bounded number of clients, and counts the others', async () => {
    const full = receipts.collect(60_000, pushTo(250_000));
    const late = await receipts.collect(60_000, pushTo(3));
    expect(late).toEqual({ delivered: 3, received: 0 });
    expect(counters.get('receipts_refused', 'full')).toBe(3);
    for (const receipt of waiting) receipt.settle(true);
    expect(await full).toEqual({ delivered: 250_000, received: 250_000 });
    expect(receipts.size).toBe(0);
  });
});
