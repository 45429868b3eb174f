import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import type { ClientAgent } from '../client/client-agent.js';
import { SessionExpiry } from './session-expiry.js';

const NOW = 1_000_000;
const ENDED = [[1008, 'auth expired']];

describe('SessionExpiry', () => {
  let expiry: SessionExpiry;

  beforeEach(() => {
    jest.useFakeTimers({ now: NOW });
    expiry = new SessionExpiry({ reportDefect: () => undefined } as unknown as LinkNode);
  });
  afterEach(() => {
    expiry.onApplicationShutdown();
    jest.useRealTimers();
  });

  type Client = ClientAgent & { ends: unknown[]; isClosed: boolean };
  function client(): Client {
    const agent = { ends: [] as unknown[], isClosed: false, close: (...end: unknown[]) => void agent.ends.push(end) };
    return agent as unknown as Client;
  }

  it('closes at the moment, and not before', () => {
    const [one, two] = [client(), client()];
    expiry.set(one, NOW + 1_000);
    expiry.set(two, NOW + 100_000);
    jest.advanceTimersByTime(999);
    expect(one.ends).toEqual([]);
    jest.advanceTimersByTime(51);
    expect([one.ends, two.ends]).toEqual([ENDED, []]);
    // Longer than one turn of the wheel.
    jest.advanceTimersByTime(98_900);
    expect(two.ends).toEqual([]);
    jest.advanceTimersByTime(200);
    expect(two.ends).toEqual(ENDED);
  });

  it('has one moment for a client: the last one that was set', () => {
    const one = client();
    expiry.set(one, NOW + 1_000);
    expiry.set(one, NOW + 5_000);
    jest.advanceTimersByTime(4_900);
    expect(one.ends).toEqual([]);
    expiry.set(one, undefined);
    jest.advanceTimersByTime(60_000);
    expect([one.ends, expiry.size]).toEqual([[], 0]);
  });

  it('closes at once what is over', () => {
    const one = client();
    expiry.set(one, NOW);
    expect([one.ends, expiry.size]).toEqual([ENDED, 0]);
  });

  it('keeps nothing of a client that has gone, and no timer when there is nothing to wait for', () => {
    const [one, gone] = [client(), client()];
    gone.isClosed = true;
    expiry.set(gone, NOW + 1_000);
    expiry.set(one, NOW + 1_000);
    expect(expiry.size).toBe(1);
    expiry.forget(one);
    expiry.forget(one);
    jest.advanceTimersByTime(2_000);
    expect([one.ends, gone.ends, expiry.size, jest.getTimerCount()]).toEqual([[], [], 0, 0]);
  });

  it.each([Number.NaN, Infinity, -1, '5', {}])('refuses %p, and changes nothing', moment => {
    const one = client();
    expiry.set(one, NOW + 1_000);
    expect(() => expiry.set(one, moment as number)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    jest.advanceTimersByTime(1_100);
    expect(one.ends).toEqual(ENDED);
  });

  it('uses one timer for many', () => {
    for (let n = 0; n < 10_000; n++) expiry.set(client(), NOW + 1_000 + n);
    expect(jest.getTimerCount()).toBe(1);
  });
});
