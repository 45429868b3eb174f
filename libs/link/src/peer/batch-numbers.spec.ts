import { describe, expect, it } from '@jest/globals';
import { ByteReader } from '../wire/bytes.js';
import { readBatchHeader } from '../wire/envelope.js';
import { BatchNumbers, BEGUN_AGAIN, Outlet } from './outlet.js';
import { Congestion } from './flow-window.js';

const MAX_U32 = 2 ** 32 - 1;

describe('BatchNumbers', () => {
  /** Numbers a batch; returns the number that is in it. */
  function send(numbers: BatchNumbers): number {
    const outlet = new Outlet();
    outlet.prepare();
    outlet.writer.u32(1);
    outlet.writer.u8(0);
    const batch = outlet.take();
    if (!batch) throw new Error('Nothing has gathered');
    const number = numbers.assign(batch);
    const frame = Buffer.isBuffer(batch.frame) ? batch.frame : Buffer.concat(batch.frame);
    expect(readBatchHeader(new ByteReader(frame)).sequence).toBe(number);
    return number;
  }

  it('number batches one by one, and one that was not sent again', () => {
    const numbers = new BatchNumbers();
    expect([send(numbers), send(numbers)]).toEqual([1, 2]);
    numbers.takeBack();
    expect(send(numbers)).toBe(2);
  });

  it('count what is missing before a batch', () => {
    const numbers = new BatchNumbers();
    expect([1, 2, 5, 6].map(number => numbers.gapBefore(number))).toEqual([0, 0, 2, 0]);
    expect(new BatchNumbers().gapBefore(4)).toBe(3);
  });

  it('find no gap at a cast, which has no number', () => {
    const numbers = new BatchNumbers();
    numbers.gapBefore(1);
    expect([numbers.gapBefore(0), numbers.gapBefore(2)]).toEqual([0, 0]);
  });

  it('go on after the largest number with 1', () => {
    const [sender, receiver] = [new BatchNumbers(), new BatchNumbers()];
    Object.assign(sender, { sequenceOut: MAX_U32 - 1 });
    receiver.gapBefore(MAX_U32 - 1);
    const sent = [send(sender), send(sender), send(sender)];
    expect(sent).toEqual([MAX_U32, 1, 2]);
    expect(sent.map(number => receiver.gapBefore(number))).toEqual([0, 0, 0]);
  });

  it('begin another count when the numbers of the other side begin again', () => {
    const numbers = new BatchNumbers();
    for (let number = 1; number <= 9; number++) numbers.gapBefore(number);
    numbers.received = 9;
    const { count } = numbers;
    expect(numbers.gapBefore(1)).toBe(BEGUN_AGAIN);
    expect(numbers.received).toBe(0);
    expect(numbers.count).not.toBe(count);
    expect(numbers.gapBefore(2)).toBe(0);
  });
});

describe('Congestion', () => {
  it('settles each wait at its end, and no other', async () => {
    const congestion = new Congestion();
    expect(congestion.whenOver()).toBeUndefined();
    congestion.begin();
    const first = congestion.whenOver();
    congestion.begin();
    expect(congestion.whenOver()).toBe(first);
    congestion.end();
    await first;
    expect(congestion.whenOver()).toBeUndefined();
    congestion.begin();
    expect(congestion.whenOver()).not.toBe(first);
    congestion.end();
    // One too many.
    congestion.end();
  });
});
