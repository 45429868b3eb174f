import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { GateCounters } from '../gate-counters.js';
import { type Burst, BurstBudget, type Bursting } from './burst-budget.js';

const limits = { sendBuffBytes: 100, sendBurstBytes: 1_000, sendBurstTotalBytes: 2_500, slowClientTimeout: 1_000 };
/** Sockets are looked at so often. */
const LOOK_MS = 50;

class FakeQueue implements Bursting {
  burst: Burst | undefined;
  slowAt = -1;
  takenBytes = 0;
  slow = 0;
  defects = 0;
  heldBytes = 0;

  constructor(private readonly budget: BurstBudget) {}

  get isAboveSoftBound(): boolean {
    return this.heldBytes > limits.sendBuffBytes;
  }

  onDefect(): void {
    this.defects++;
  }

  /** Holds so much more, if it may. */
  add(bytes: number): boolean {
    if (!this.budget.admits(this, bytes)) return false;
    this.heldBytes += bytes;
    return true;
  }

  /** Its client takes so much. */
  take(bytes: number): void {
    this.takenBytes += bytes;
    this.heldBytes -= bytes;
    if (this.burst) this.budget.update(this.burst);
  }

  onSlow(): void {
    this.slow++;
    this.heldBytes = Math.min(this.heldBytes, limits.sendBuffBytes);
  }
}

describe('BurstBudget', () => {
  let counters: GateCounters;
  let budget: BurstBudget;

  beforeEach(() => {
    jest.useFakeTimers();
    counters = new GateCounters();
    budget = new BurstBudget(limits, counters);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const queue = () => new FakeQueue(budget);
  const counts = () => counters.snapshot()['slow_clients'] ?? {};

  it('lets a queue hold its hard bound, and no more', () => {
    const one = queue();
    expect([one.add(600), one.add(401), one.add(400)]).toEqual([true, false, true]);
    expect(budget.bytes).toBe(1_000);
    expect(counts()).toEqual({ full: 1 });
  });

  it('cuts a queue whose socket takes nothing for the whole time, once', () => {
    const one = queue();
    one.add(500);
    jest.advanceTimersByTime(limits.slowClientTimeout - LOOK_MS);
    expect(one.slow).toBe(0);
    jest.advanceTimersByTime(LOOK_MS);
    expect([one.slow, budget.bytes, one.burst]).toEqual([1, 0, undefined]);
    expect(counts()).toEqual({ stalled: 1 });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('ends a queue that throws when it is looked at, and goes on with the others', () => {
    const [one, two] = [queue(), queue()];
    one.add(500);
    two.add(500);
    jest.spyOn(one, 'onSlow').mockImplementation(() => {
      throw new Error('poison');
    });
    jest.advanceTimersByTime(limits.slowClientTimeout);
    expect([one.defects, one.burst, two.defects, two.slow, budget.bytes]).toEqual([1, undefined, 0, 1, 0]);
  });

  it('leaves alone who makes progress, however slowly', () => {
    const one = queue();
    one.add(900);
    for (let i = 0; i < 50; i++) {
      jest.advanceTimersByTime(limits.slowClientTimeout - 2 * LOOK_MS);
      one.take(1);
    }
    expect([one.slow, budget.bytes]).toEqual([0, 850]);
    jest.advanceTimersByTime(limits.slowClientTimeout + LOOK_MS);
    expect(one.slow).toBe(1);
  });

  it('forgets a queue that is back within its soft bound, and watches nothing then', () => {
    const one = queue();
    one.add(500);
    one.take(400);
    expect([budget.bytes, one.burst, jest.getTimerCount()]).toEqual([0, undefined, 0]);
  });

  it('gives one that was slow nothing until its client has taken something', () => {
    const one = queue();
    one.add(500);
    jest.advanceTimersByTime(limits.slowClientTimeout);
    expect(one.add(200)).toBe(false);
    one.take(1);
    expect(one.add(200)).toBe(true);
  });

  it('does not take it for a lack of progress that the process stood still', () => {
    const one = queue();
    one.add(500);
    jest.advanceTimersByTime(LOOK_MS);
    // The timers are late by a minute, and what the client has taken meanwhile is seen after them.
    const { now } = performance;
    jest.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + 60_000);
    jest.advanceTimersByTime(LOOK_MS);
    expect(one.slow).toBe(0);
    jest.advanceTimersByTime(limits.slowClientTimeout);
    expect(one.slow).toBe(1);
    jest.restoreAllMocks();
  });

  it('when all together hold too much, cuts first who has made no progress for longest', () => {
    const [dead, dying, alive] = [queue(), queue(), queue()];
    for (const each of [dead, dying]) expect(each.add(1_000)).toBe(true);
    jest.advanceTimersByTime(3 * LOOK_MS);
    dying.take(10);
    jest.advanceTimersByTime(LOOK_MS);
    expect(alive.add(800)).toBe(true);
    expect([dead.slow, dying.slow, alive.slow]).toEqual([1, 0, 0]);
    expect(budget.bytes).toBe(990 + 800);
    expect(counts()).toEqual({ gate_full: 1 });
  });

  it('does not look at all to find one that is slower', () => {
    let looks = 0;
    const others = Array.from({ length: 20 }, () =>
      Object.defineProperty(queue(), 'takenBytes', {
        get: () => {
          looks++;
          return 0;
        },
      }),
    );
    for (const each of others) expect(each.add(120)).toBe(true);
    looks = 0;
    for (const each of others) expect(each.add(120)).toBe(false);
    expect(looks).toBeLessThan(100);
  });

  it('refuses the newcomer when everybody else makes progress too', () => {
    const others = [queue(), queue()];
    for (const each of others) each.add(1_000);
    expect(queue().add(501)).toBe(false);
    expect(others.map(({ slow }) => slow)).toEqual([0, 0]);
    expect(counts()).toEqual({ gate_full: 1 });
  });
});
