import { describe, expect, it } from '@jest/globals';
import { createOutbox, type Outbox, type Outgoing } from './outbox.js';

const NEVER = Infinity;

/** An outbox whose connection can be opened and closed, and what was written on it. */
function setUp(limits = { frames: 3, bytes: 100 }) {
  const written: unknown[] = [];
  const line = { isOpen: true, written, outbox: undefined as unknown as Outbox };
  line.outbox = createOutbox(limits, ({ data }) => line.isOpen && written.push(data) > 0);
  return line;
}

const frame = (data: string, fields: Partial<Outgoing> = {}): Outgoing => ({
  data,
  topic: 'a/b',
  id: 0,
  expiresAt: NEVER,
  ...fields,
});

describe('an outbox', () => {
  it('writes at once, and queues behind what waits', () => {
    const line = setUp();
    expect(line.outbox.submit(frame('1'), 0)).toBe(true);
    line.isOpen = false;
    expect(line.outbox.submit(frame('2'), 0)).toBe(true);
    line.isOpen = true;
    line.outbox.submit(frame('3'), 0);
    expect(line.written).toEqual(['1']);
    expect(line.outbox.flush(0)).toBe(0);
    expect(line.written).toEqual(['1', '2', '3']);
    expect(line.outbox.waiting).toEqual([]);
  });

  it('keeps what cannot be written, in order', () => {
    const line = setUp();
    line.isOpen = false;
    for (const data of ['1', '2']) line.outbox.submit(frame(data), 0);
    line.outbox.flush(0);
    expect(line.outbox.waiting.map(({ data }) => data)).toEqual(['1', '2']);
  });

  it('lets new frames overtake those that wait while it is held', () => {
    const line = setUp();
    line.isOpen = false;
    line.outbox.submit(frame('queued'), 0);
    line.isOpen = true;
    line.outbox.isHeld = true;
    line.outbox.submit(frame('login'), 0);
    expect(line.outbox.flush(0)).toBe(0);
    expect(line.written).toEqual(['login']);
    line.outbox.isHeld = false;
    line.outbox.flush(0);
    expect(line.written).toEqual(['login', 'queued']);
  });

  it('is bounded by frames and by bytes; expired frames make room', () => {
    const line = setUp();
    line.isOpen = false;
    expect(line.outbox.submit(frame('x'.repeat(101)), 0)).toBe(false);
    line.outbox.submit(frame('1', { expiresAt: 5 }), 0);
    line.outbox.submit(frame('2'), 0);
    line.outbox.submit(frame('3'), 0);
    expect(line.outbox.submit(frame('4'), 4)).toBe(false);
    expect(line.outbox.submit(frame('4'), 5)).toBe(true);
    expect(line.outbox.waiting.map(({ data }) => data)).toEqual(['2', '3', '4']);
    expect(line.outbox.submit(frame('5'.repeat(98)), 5)).toBe(false);
  });

  it('drops expired frames when it is flushed, and counts them', () => {
    const line = setUp();
    line.isOpen = false;
    line.outbox.submit(frame('1', { expiresAt: 5 }), 0);
    line.outbox.submit(frame('2'), 0);
    line.isOpen = true;
    expect(line.outbox.flush(5)).toBe(1);
    expect(line.written).toEqual(['2']);
  });

  it('withdraws a frame that waits by its id', () => {
    const line = setUp();
    line.isOpen = false;
    line.outbox.submit(frame('1', { id: 1 }), 0);
    line.outbox.submit(frame('2', { id: 2 }), 0);
    line.outbox.withdraw(1);
    line.outbox.withdraw(7);
    expect(line.outbox.waiting.map(({ id }) => id)).toEqual([2]);
  });

  it('counts frames of a session: logged, acknowledged, not counted by the gate', () => {
    const { outbox } = setUp();
    for (const id of [1, 2, 3]) expect(outbox.log(frame(`${id}`, { id }))).toBe(true);
    expect(outbox.sent).toBe(3);
    expect(outbox.acknowledge(2)).toBe(true);
    expect(outbox.acknowledge(1)).toBe(false);
    expect(outbox.acknowledge(4)).toBe(false);
    expect(outbox.unacked.map(({ id }) => id)).toEqual([3]);
    outbox.uncount(3, undefined);
    expect([outbox.sent, outbox.unacked]).toEqual([2, []]);
    outbox.log(frame('message'));
    outbox.uncount(0, 'other/topic');
    expect(outbox.sent).toBe(3);
    outbox.uncount(0, 'a/b');
    expect(outbox.sent).toBe(2);
    outbox.reset(7);
    expect([outbox.sent, outbox.unacked]).toEqual([7, []]);
  });

  it('logs 1,000 frames and 1 MiB at most, but always one', () => {
    const { outbox } = setUp();
    expect(outbox.log(frame('x'.repeat(2 * 1024 * 1024)))).toBe(true);
    expect(outbox.log(frame('x'))).toBe(false);
    outbox.acknowledge(1);
    for (let i = 0; i < 1_000; i++) expect(outbox.log(frame('x'))).toBe(true);
    expect(outbox.log(frame('x'))).toBe(false);
    expect(outbox.sent).toBe(1_001);
  });
});
