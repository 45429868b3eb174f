import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { GateOptions } from '../gate-options.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { Admission } from './admission.js';

const NO_LIMITS = { maxConnections: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0 };

function create(limits: GateOptions = {}): Admission {
  return new Admission(resolveGateOptions({ ...NO_LIMITS, ...limits }));
}

describe('Admission', () => {
  beforeEach(() => {
    jest.useFakeTimers({ now: 1_000_000 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('lets everybody in when nothing is limited', () => {
    const admission = create();
    const refusals = Array.from({ length: 5_000 }, () => admission.enter('a')).filter(refusal => refusal);
    expect(refusals).toEqual([]);
  });

  it('refuses with 503 when full, until a client leaves', () => {
    const admission = create({ maxConnections: 2 });
    admission.enter('a');
    admission.enter('b');
    expect(admission.enter('c')).toMatchObject({ status: 503 });
    admission.leave('a');
    expect(admission.enter('c')).toBeUndefined();
    expect(admission.enter('a')).toMatchObject({ status: 503 });
  });

  it('counts each address by itself, with 429', () => {
    const admission = create({ maxConnectionsPerIp: 2 });
    admission.enter('a');
    admission.enter('a');
    expect(admission.enter('a')).toMatchObject({ status: 429 });
    expect(admission.enter('b')).toBeUndefined();
    admission.leave('a');
    expect(admission.enter('a')).toBeUndefined();
    expect(admission.enter('a')).toMatchObject({ status: 429 });
  });

  it('counts all addresses of an IPv6 network as one, and lets them all go', () => {
    const admission = create({ maxConnectionsPerIp: 2 });
    expect(admission.enter('2001:db8:0:7::1')).toBeUndefined();
    expect(admission.enter('2001:db8:0:7:ffff::2')).toBeUndefined();
    expect(admission.enter('2001:DB8::7:0:0:0:3')).toMatchObject({ status: 429 });
    expect(admission.enter('2001:db8:0:8::1')).toBeUndefined();
    admission.leave('2001:db8:0:7::1');
    expect(admission.enter('2001:db8:0:7::9')).toBeUndefined();
    expect(admission.enter('2001:db8:0:7::9')).toMatchObject({ status: 429 });
  });

  it('counts nobody who was refused', () => {
    const admission = create({ maxConnections: 3, maxConnectionsPerIp: 1, maxConnectionRate: 3 });
    for (let i = 0; i < 10; i++) admission.enter('a');
    expect(admission.enter('b')).toBeUndefined();
    expect(admission.enter('c')).toBeUndefined();
    expect(admission.enter('d')).toMatchObject({ status: 503 });
  });

  it('limits new connections per second, however many have left', () => {
    const admission = create({ maxConnectionRate: 2 });
    for (let i = 0; i < 2; i++) {
      expect(admission.enter('a')).toBeUndefined();
      admission.leave('a');
    }
    expect(admission.enter('a')).toMatchObject({ status: 503 });
    jest.advanceTimersByTime(500);
    expect(admission.enter('a')).toBeUndefined();
    expect(admission.enter('a')).toMatchObject({ status: 503 });
  });
});
