import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ReplayRing, type RingLimits } from './replay-ring.js';
import { FRAME_BYTES, RingBudget, SLOT_BYTES } from './ring-budget.js';

function create(limits: Partial<RingLimits> = {}) {
  const budget = new RingBudget(1_000_000);
  return { budget, ring: new ReplayRing({ frames: 4, bytes: 1_000, ...limits }, budget) };
}

/** Writes everything; returns the frames' texts, and `gap FROM N WHY` for each gap. */
function writeAll(ring: ReplayRing): string[] {
  const written: string[] = [];
  while (ring.written < ring.top) {
    const { gap } = ring;
    if (gap) {
      written.push(`gap ${gap.from} ${gap.n} ${gap.why}`);
      ring.passGap();
      continue;
    }
    written.push(Buffer.from(ring.take()).toString());
  }
  return written;
}

const frame = (text: string): Uint8Array => Buffer.from(text);

describe('ReplayRing', () => {
  it('writes in order, keeps what is not acknowledged, and writes it again', () => {
    const { ring, budget } = create();
    for (const text of ['1', '2', '3']) expect(ring.add(frame(text))).toBe(0);
    expect(writeAll(ring)).toEqual(['1', '2', '3']);
    expect(ring.ack(1)).toBe(true);
    expect([ring.floor, ring.kept]).toEqual([2, 2]);
    ring.rewind(2);
    expect(writeAll(ring)).toEqual(['3']);
    expect(ring.ack(3)).toBe(true);
    expect([ring.floor, ring.kept, ring.keptBytes, ring.unwrittenBytes, budget.bytes]).toEqual([4, 0, 0, 0, 0]);
  });

  it('drops the oldest when it is full, and says which are missing, once', () => {
    const { ring } = create();
    const lost = Array.from({ length: 10 }, (_, i) => ring.add(frame(String(i + 1))));
    expect(lost).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    expect(writeAll(ring)).toEqual(['gap 1 6 overrun', '7', '8', '9', '10']);
    expect(ring.gap).toBeUndefined();
    // What was written before the connection was lost, and is not kept any more, is missing for the next one.
    for (const text of ['11', '12', '13']) expect(ring.add(frame(text))).toBe(0);
    ring.rewind(7);
    expect(writeAll(ring)).toEqual(['gap 8 2 overrun', '10', '11', '12', '13']);
  });

  it('is bounded by bytes too, and keeps the newest frame however large it is', () => {
    const { ring } = create({ bytes: 10 });
    ring.add(frame('12345'));
    ring.add(frame('67890'));
    expect(ring.kept).toBe(2);
    ring.add(frame('x'.repeat(50)));
    expect([ring.kept, ring.floor]).toEqual([1, 3]);
    ring.add(frame('y'));
    expect([ring.kept, ring.keptBytes]).toEqual([1, 1]);
  });

  it('says why frames are missing', () => {
    const { ring } = create();
    ring.add(frame('1'));
    ring.add(frame('2'));
    expect(ring.clear('budget')).toBe(2);
    ring.add(frame('3'));
    expect(writeAll(ring)).toEqual(['gap 1 2 budget', '3']);
  });

  it('refuses acknowledgements that cannot be', () => {
    const { ring } = create();
    for (const text of ['1', '2', '3']) ring.add(frame(text));
    writeAll(ring);
    expect(ring.ack(2)).toBe(true);
    for (const forged of [1, 4, -1, 2.5, NaN, Infinity, '3', null, undefined, {}, 2 ** 53]) {
      expect([forged, ring.ack(forged)]).toEqual([forged, false]);
    }
    expect(ring.ack(2)).toBe(true);
    expect(ring.ack(3)).toBe(true);
  });

  it('lets go of frames that the client has of an older connection only when they are written', () => {
    const { ring } = create();
    for (const text of ['1', '2', '3']) ring.add(frame(text));
    writeAll(ring);
    ring.rewind(1);
    expect(ring.ack(3)).toBe(true);
    expect(writeAll(ring)).toEqual(['2', '3']);
    expect(ring.ack(3)).toBe(true);
    expect(ring.kept).toBe(0);
  });

  it('behaves like a model of it, whatever happens in whatever order', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ type: fc.constant('add' as const), size: fc.integer({ min: 1, max: 40 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant('write' as const), count: fc.integer({ min: 1, max: 5 }) }),
      },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('ack' as const), back: fc.integer({ min: -2, max: 8 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ type: fc.constant('resume' as const), back: fc.integer({ min: 0, max: 9 }) }),
      },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('clear' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 6 }), (steps, frames) => {
        const { ring, budget } = create({ frames, bytes: 100 });
        /** What the client has been sent on the connection at hand: numbers, in order. */
        let client = 0;
        /** The sizes of all frames that were ever added. */
        const sizes: number[] = [];
        for (const step of steps) {
          if (step.type === 'add') {
            sizes.push(step.size);
            ring.add(Buffer.alloc(step.size, sizes.length % 251));
          } else if (step.type === 'write') {
            for (let i = 0; i < step.count && ring.written < ring.top; i++) {
              const { gap } = ring;
              if (gap) {
                expect(gap.from).toBe(client + 1);
                client += gap.n;
                ring.passGap();
              } else {
                const { nextLength } = ring;
                const next = ring.take();
                client++;
                expect([next.length, next[0]]).toEqual([sizes[client - 1], client % 251]);
                expect(nextLength).toBe(next.length);
              }
            }
          } else if (step.type === 'ack') {
            const seen = client - step.back;
            const isPossible = seen >= ring.acked && seen <= ring.top && seen >= 0;
            expect(ring.ack(seen)).toBe(isPossible);
          } else if (step.type === 'resume') {
            const seen = Math.max(0, Math.min(ring.top, client - step.back));
            ring.rewind(seen);
            client = seen;
          } else {
            ring.clear('budget');
          }
          expect(ring.acked).toBeLessThanOrEqual(ring.written);
          expect(ring.written).toBeLessThanOrEqual(ring.top);
          expect(ring.floor).toBeLessThanOrEqual(ring.top + 1);
          expect(ring.top).toBe(sizes.length);
          expect(ring.written).toBe(client);
          const kept = sizes.slice(ring.floor - 1);
          expect(ring.keptBytes).toBe(sum(kept));
          expect(ring.unwrittenBytes).toBe(sum(sizes.slice(Math.max(ring.floor - 1, ring.written))));
          expect(ring.unwritten).toBe(ring.top - Math.max(ring.floor - 1, ring.written));
          expect(ring.kept).toBeLessThanOrEqual(frames);
          expect(ring.kept === 1 || ring.keptBytes <= 100).toBe(true);
          expect(budget.bytes).toBe(ring.keptBytes + ring.kept * (FRAME_BYTES + SLOT_BYTES));
        }
      }),
      { numRuns: 500 },
    );
  });
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

describe('RingBudget', () => {
  it('counts a frame once, however many rings have it', () => {
    const budget = new RingBudget(1_000_000);
    const rings = Array.from({ length: 100 }, () => new ReplayRing({ frames: 10, bytes: 10_000 }, budget));
    const shared = Buffer.alloc(1_000);
    for (const ring of rings) ring.add(shared);
    expect(budget.bytes).toBe(1_000 + FRAME_BYTES + 100 * SLOT_BYTES);
    for (const ring of rings) ring.clear('overrun');
    expect(budget.bytes).toBe(0);
  });

  it('asks for room when there is too much', () => {
    const rings: ReplayRing[] = [];
    const budget = new RingBudget(3_000, () => rings[0]?.clear('budget'));
    rings.push(...Array.from({ length: 2 }, () => new ReplayRing({ frames: 10, bytes: 10_000 }, budget)));
    rings[0]?.add(Buffer.alloc(1_500));
    expect(budget.isOver).toBe(false);
    rings[1]?.add(Buffer.alloc(1_500));
    expect(budget.isOver).toBe(true);
    budget.settle();
    expect([budget.isOver, rings[0]?.kept, rings[1]?.kept]).toEqual([false, 0, 1]);
  });
});
