import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { GateCounters } from '../gate-counters.js';
import { MAX_REVOCATIONS, RevokedError, Revocations } from './revocations.js';

const HOUR = 3_600_000;

describe('Revocations', () => {
  let counters: GateCounters;
  let revocations: Revocations;

  beforeEach(() => {
    jest.useFakeTimers({ now: 1_000_000 });
    counters = new GateCounters();
    revocations = new Revocations(counters);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const revoke = (userId: string, before: number, leftMs = HOUR) => revocations.add({ userId, before, leftMs });
  const check = (userId: string, issuedAt?: number, since = performance.now()) => {
    try {
      revocations.check(userId, { issuedAt, since });
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(RevokedError);
      return false;
    }
  };

  it('refuse what was issued before, and nothing else', () => {
    revoke('ada', 500);
    expect([check('ada', 499), check('ada', 500), check('ada', 501), check('bob', 1)]).toEqual([
      false,
      true,
      true,
      true,
    ]);
    expect(counters.get('binds_refused', 'revoked')).toBe(1);
  });

  it('refuse what has come before, of which it is not known when it was issued', () => {
    const came = performance.now();
    revoke('ada', 500);
    expect(check('ada', undefined, came)).toBe(false);
    jest.advanceTimersByTime(1);
    expect(check('ada')).toBe(true);
  });

  it('end with their time', () => {
    revoke('ada', 500, 1_000);
    jest.advanceTimersByTime(999);
    expect(check('ada', 1)).toBe(false);
    expect(revocations.notices()).toEqual([{ userId: 'ada', before: 500, leftMs: 1, agoMs: 999 }]);
    jest.advanceTimersByTime(1);
    expect(revocations.notices()).toEqual([]);
    expect(check('ada', 1)).toBe(true);
    expect(revocations.size).toBe(0);
  });

  it('are news when they are later than what is known', () => {
    expect(revoke('ada', 500, 1_000)).toBe(true);
    expect(revoke('ada', 500, 10)).toBe(false);
    expect(revoke('ada', 400, HOUR)).toBe(false);
    expect(check('ada', 450)).toBe(false);
    expect(revocations.notices()).toEqual([{ userId: 'ada', before: 500, leftMs: HOUR, agoMs: 0 }]);
    expect(revoke('ada', 600, 10)).toBe(true);
    expect(revocations.notices()).toEqual([{ userId: 'ada', before: 600, leftMs: HOUR, agoMs: 0 }]);
  });

  it.each(['__proto__', 'constructor', 'toString'])('take %s for a uid as any other', userId => {
    expect(check(userId, 1)).toBe(true);
    revoke(userId, 500);
    expect(check(userId, 1)).toBe(false);
  });

  it('have a limit: what is over goes first, then the oldest, which is counted', () => {
    for (let n = 0; n < MAX_REVOCATIONS - 1; n++) revoke(`user-${n}`, 500);
    revoke('short', 500, 10);
    jest.advanceTimersByTime(10);
    revoke('next', 500);
    expect(revocations.size).toBe(MAX_REVOCATIONS);
    expect(counters.get('revocations_forgotten', 'full')).toBe(0);
    revoke('more', 500);
    expect(revocations.size).toBe(MAX_REVOCATIONS);
    expect(counters.get('revocations_forgotten', 'full')).toBe(1);
    expect([check('user-0', 1), check('user-1', 1), check('more', 1)]).toEqual([true, false, false]);
  });
});
