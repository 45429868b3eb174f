import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Deadline, DeadlineWheel } from './deadline-wheel.js';

class Probe extends Deadline {
  expiredAt: number | undefined;

  constructor(private readonly after: () => void = () => undefined) {
    super();
  }

  override expire(): void {
    expect(this.expiredAt).toBeUndefined();
    this.expiredAt = performance.now();
    this.after();
  }
}

describe('DeadlineWheel', () => {
  const wheel = new DeadlineWheel();

  beforeEach(() => {
    jest.useFakeTimers({ now: 1_000_000 });
  });
  afterEach(() => {
    wheel.stop();
    jest.useRealTimers();
  });

  it.each([0, 1, 49, 50, 51, 999, 30_000, 51_200, 51_201, 200_000])(
    'acts within 100 ms after %d ms, never before',
    after => {
      const probe = new Probe();
      const end = performance.now() + after;
      wheel.add(probe, end);
      jest.advanceTimersByTime(Math.max(0, after - 1));
      expect(probe.expiredAt).toBeUndefined();
      jest.advanceTimersByTime(101);
      expect(probe.expiredAt).toBeGreaterThanOrEqual(end);
      expect(wheel.size).toBe(0);
    },
  );

  it('forgets what was removed, also from the middle of a slot', () => {
    const probes = Array.from({ length: 5 }, () => new Probe());
    for (const probe of probes) wheel.add(probe, performance.now() + 100);
    wheel.remove(probes[2] as Probe);
    wheel.remove(probes[0] as Probe);
    wheel.remove(probes[0] as Probe);
    jest.advanceTimersByTime(300);
    expect(probes.map(probe => probe.expiredAt !== undefined)).toEqual([false, true, false, true, true]);
  });

  it('lets an expiry remove and add others', () => {
    const [a, b, late]: [Probe, Probe, Probe] = [
      new Probe(() => {
        wheel.remove(b);
        wheel.add(late, performance.now() + 200);
      }),
      new Probe(() => wheel.remove(a)),
      new Probe(),
    ];
    wheel.add(a, performance.now() + 100);
    wheel.add(b, performance.now() + 100);
    jest.advanceTimersByTime(200);
    expect([a, b].filter(probe => probe.expiredAt !== undefined)).toHaveLength(1);
    jest.advanceTimersByTime(400);
    expect(late.expiredAt === undefined).toBe(a.expiredAt === undefined);
  });

  it('runs no timer while it is empty', () => {
    const probe = new Probe();
    wheel.add(probe, performance.now() + 100);
    wheel.remove(probe);
    jest.advanceTimersByTime(100);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('catches up after the process has stood still', () => {
    const probe = new Probe();
    wheel.add(probe, performance.now() + 100);
    const resumedAt = performance.now() + 3_600_000;
    jest.spyOn(performance, 'now').mockReturnValue(resumedAt);
    jest.advanceTimersByTime(50);
    jest.restoreAllMocks();
    expect(probe.expiredAt).toBeDefined();
  });

  it.each([3_600_000, -3_600_000])('ignores a wall clock that is set by %d ms', change => {
    const probe = new Probe();
    wheel.add(probe, performance.now() + 1_000);
    jest.setSystemTime(Date.now() + change);
    jest.advanceTimersByTime(999);
    expect(probe.expiredAt).toBeUndefined();
    jest.advanceTimersByTime(101);
    expect(probe.expiredAt).toBeDefined();
  });
});
