import { describe, expect, it } from '@jest/globals';
import { ReceiptList } from './receipt-list.js';
import type { Receipt } from './receipt.js';

function create() {
  const list = new ReceiptList();
  const settled: [number, boolean][] = [];
  const add = (number: number, isOver = false): void => {
    const receipt: Receipt = { deadline: 0, isOver, settle: isReceived => void settled.push([number, isReceived]) };
    list.add(number, receipt);
  };
  return { list, settled, add };
}

describe('ReceiptList', () => {
  it('settles what an acknowledgement covers, in whatever order the numbers came', () => {
    const { list, settled, add } = create();
    for (const number of [5, 2, 9, 2]) add(number);
    list.noteAcked(1);
    expect(settled).toEqual([]);
    list.noteAcked(5);
    expect(settled).toEqual([
      [2, true],
      [2, true],
      [5, true],
    ]);
    expect(list.size).toBe(1);
  });

  it('settles those that are lost, and only those', () => {
    const { list, settled, add } = create();
    for (const number of [1, 2, 3, 4]) add(number);
    list.noteLost(3, 2);
    list.noteLost(2, 3);
    expect(settled).toEqual([
      [2, false],
      [3, false],
    ]);
    list.end();
    expect(settled.slice(2)).toEqual([
      [1, false],
      [4, false],
    ]);
    expect(list.size).toBe(0);
  });

  it('does not grow with receipts that nobody waits for any more', () => {
    const { list, add } = create();
    add(1);
    for (let number = 2; number < 1000; number++) add(number, true);
    expect(list.size).toBeLessThan(20);
    expect(list.take().map(({ number }) => number)).toEqual([1]);
  });
});
