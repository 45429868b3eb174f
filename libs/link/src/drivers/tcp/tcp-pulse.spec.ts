import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { TcpPulse } from './tcp-pulse.js';

describe('TcpPulse', () => {
  let pings = 0;
  let deaths = 0;
  let pulse: TcpPulse;

  beforeEach(() => {
    jest.useFakeTimers();
    pings = 0;
    deaths = 0;
    pulse = new TcpPulse({ ping: () => pings++, die: () => deaths++ });
    pulse.noteHeard();
    pulse.start();
  });

  afterEach(() => {
    pulse.stop();
    jest.useRealTimers();
  });

  it('sends a sign of life every second', () => {
    for (let i = 0; i < 10; i++) {
      jest.advanceTimersByTime(1_000);
      pulse.noteHeard();
    }
    expect(pings).toBeGreaterThanOrEqual(9);
    expect(pings).toBeLessThanOrEqual(11);
    expect(deaths).toBe(0);
  });

  it('takes silence for death within four seconds, and not before three', () => {
    jest.advanceTimersByTime(3_000);
    expect(deaths).toBe(0);
    jest.advanceTimersByTime(1_000);
    expect(deaths).toBeGreaterThan(0);
  });

  it('reads the input that arrived during a pause of its own before it considers a peer dead', () => {
    // The clock has gone on, and no timer was served: the process was stopped.
    const awake = performance.now() + 10_000;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => awake);
    jest.advanceTimersByTime(250);
    expect(deaths).toBe(0);
    jest.advanceTimersByTime(250);
    expect(deaths).toBe(1);
    clock.mockRestore();
  });
});
