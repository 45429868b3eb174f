import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Peer, StreamItem } from '@nestgate/link/internal';
import { JsonText } from '@nestgate/protocol';
import { StreamOutlet } from './stream-outlet.js';

describe('StreamOutlet', () => {
  let marks: number[];
  let sent: number;
  let outlet: StreamOutlet;

  beforeEach(() => {
    marks = [];
    sent = 0;
    const notify = (_operation: unknown, { isMarked }: StreamItem): void => {
      sent++;
      if (isMarked) marks.push(sent);
    };
    outlet = new StreamOutlet({ notify } as unknown as Peer, 1, 1_000);
  });

  const send = (count: number, size = 1): void => {
    for (let i = 0; i < count; i++) outlet.send(new JsonText('x'.repeat(size)));
  };

  it('is full with 32 items, until the first half is written', async () => {
    send(31);
    expect(outlet.isFull).toBe(false);
    send(1);
    expect([outlet.isFull, marks]).toEqual([true, [16, 32]]);
    const free = outlet.whenFree();
    outlet.noteWritten(16);
    await free;
    expect(outlet.isFull).toBe(false);
  });

  it('is full with 64 KiB, however few items they are, and an item is marked then', () => {
    send(1, 70_000);
    expect([outlet.isFull, marks]).toEqual([true, [1]]);
    outlet.noteWritten(1);
    expect(outlet.isFull).toBe(false);
    send(3, 30_000);
    expect([outlet.isFull, marks]).toEqual([true, [1, 3]]);
  });

  it('is overrun with 256 items, or with 4 MiB; what came in the beginning is allowed beside', () => {
    send(255);
    expect(outlet.isOverrun(false)).toBe(false);
    send(1);
    expect(outlet.isOverrun(false)).toBe(true);
    outlet.noteWritten(256);
    expect(outlet.isOverrun(false)).toBe(false);
    send(5, 1_000_000);
    expect(outlet.isOverrun(false)).toBe(true);
    const other = new StreamOutlet({ notify: () => undefined } as unknown as Peer, 1, 1_000);
    for (let i = 0; i < 4_096; i++) {
      expect(other.isOverrun(true)).toBe(false);
      other.send(new JsonText('1'));
    }
    expect(other.isOverrun(true)).toBe(true);
    expect(other.isOverrun(false)).toBe(false);
  });

  it('takes no acknowledgement of what it has not sent, nor an older one', () => {
    send(32);
    outlet.noteWritten(1e9);
    expect(outlet.isFull).toBe(true);
    outlet.noteWritten(32);
    outlet.noteWritten(16);
    send(31);
    expect(outlet.isFull).toBe(false);
  });
});
