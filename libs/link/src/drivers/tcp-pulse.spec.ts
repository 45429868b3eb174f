import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { writeCount } from './tcp-message.js';
import { TcpPulse } from './tcp-pulse.js';

describe('TcpPulse', () => {
  let pings: number[] = [];
  let deaths = 0;
  let pulse: TcpPulse;

  beforeEach(() => {
    jest.useFakeTimers();
    pings = [];
    deaths = 0;
    pulse = new TcpPulse({ ping: content => pings.push(content.readUInt32LE(0)), die: () => deaths++ });
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
    expect(pings.length).toBeGreaterThanOrEqual(9);
    expect(pings.length).toBeLessThanOrEqual(11);
    expect(deaths).toBe(0);
  });

  it('takes silence for death within four seconds, and not before three', () => {
    jest.advanceTimersByTime(3_000);
    expect(deaths).toBe(0);
    jest.advanceTimersByTime(1_000);
    expect(deaths).toBeGreaterThan(0);
  });

  it('reads what has come during a pause of its own before it takes anybody for dead', () => {
    // The clock has gone on, and no timer was served: the process was stopped.
    const awake = performance.now() + 10_000;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => awake);
    jest.advanceTimersByTime(250);
    expect(deaths).toBe(0);
    jest.advanceTimersByTime(250);
    expect(deaths).toBe(1);
    clock.mockRestore();
  });

  it('says sooner what has come, so that little is uncertain', () => {
    jest.advanceTimersByTime(1_000);
    pings = [];
    for (let i = 0; i < 3; i++) pulse.noteReceived();
    jest.advanceTimersByTime(250);
    expect(pings).toEqual([3]);
  });

  it('knows how many frames may not have arrived', () => {
    for (let i = 0; i < 5; i++) pulse.noteSent();
    expect(pulse.uncertain).toBe(5);
    pulse.noteCount(writeCount(3));
    expect(pulse.uncertain).toBe(2);
    pulse.noteCount(writeCount(5));
    expect(pulse.uncertain).toBe(0);
  });

  it('counts the messages in them', () => {
    for (const messages of [3, 1, 5]) pulse.noteSent(messages);
    expect(pulse.uncertain).toBe(9);
    pulse.noteCount(writeCount(2));
    expect(pulse.uncertain).toBe(5);
    pulse.noteSent(2);
    pulse.noteCount(writeCount(3));
    expect(pulse.uncertain).toBe(2);
  });

  it('believes no count that cannot be', () => {
    for (let i = 0; i < 5; i++) pulse.noteSent();
    pulse.noteCount(writeCount(3));
    for (const count of [2, 6, 4_000_000_000]) pulse.noteCount(writeCount(count));
    pulse.noteCount(Buffer.of(5));
    expect(pulse.uncertain).toBe(2);
  });
});
