import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { NodeInfo, UnreachedGate } from '../link.js';
import { MissingGates } from './missing-gates.js';

/** How long a lost gate counts as missing, and how long when the link as a whole was down, in milliseconds. */
const GRACE_MS = 2_000;
const RETURN_MS = 5_000;
const MAX_MISSING = 1_000;

const gate = (id: string, epoch = 'e1'): NodeInfo => ({ id, epoch, role: 'gate', modules: [], draining: false });
const unreached = (name: string, wasReached: boolean): UnreachedGate => ({ name, wasReached, reason: undefined });

describe('MissingGates', () => {
  let gates: MissingGates;

  beforeEach(() => {
    jest.useFakeTimers();
    gates = new MissingGates();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('counts a lost gate as missing for two seconds, and its clients as lost after that', () => {
    gates.add(gate('a'));
    jest.advanceTimersByTime(GRACE_MS);
    expect([gates.ids(), gates.gaps, gates.fateOf('a', 'e1', false)]).toEqual([['a'], 1, 'missing']);
    jest.advanceTimersByTime(1);
    expect([gates.ids(), gates.gaps, gates.fateOf('a', 'e1', false)]).toEqual([[], 0, 'lost']);
  });

  it('knows only the boot that was lost', () => {
    gates.add(gate('a', 'e2'));
    expect([gates.has('a', 'e2'), gates.has('a', 'e1')]).toEqual([true, false]);
    expect(gates.fateOf('a', 'e1', true)).toBe('gone');
    jest.advanceTimersByTime(GRACE_MS + 1);
    expect([gates.fateOf('a', 'e2', false), gates.fateOf('a', 'e1', false)]).toEqual(['lost', 'gone']);
  });

  it('forgets a gate that comes back as the same boot, in time or late', () => {
    gates.add(gate('a'));
    gates.add(gate('b'));
    gates.noteBack(gate('a'));
    expect([gates.ids(), gates.fateOf('a', 'e1', false)]).toEqual([['b'], 'gone']);
    jest.advanceTimersByTime(GRACE_MS + 1);
    expect(gates.fateOf('b', 'e1', false)).toBe('lost');
    gates.noteBack(gate('b'));
    expect(gates.fateOf('b', 'e1', false)).toBe('gone');
  });

  it('takes a boot for lost at once when another boot has its place', () => {
    gates.add(gate('a', 'e1'));
    gates.noteBack(gate('a', 'e2'));
    expect([gates.ids(), gates.gaps, gates.fateOf('a', 'e1', true)]).toEqual([[], 0, 'lost']);
    // And remembers it when the next boot is lost too.
    gates.noteBack(gate('a', 'e3'));
    expect(gates.fateOf('a', 'e1', true)).toBe('lost');
  });

  it('takes no gate for dead while the link is down, and gives all of them five seconds when it is back', () => {
    gates.add(gate('a'));
    gates.noteStatus(false);
    jest.advanceTimersByTime(60_000);
    expect(gates.ids()).toEqual(['a']);
    gates.noteStatus(true);
    jest.advanceTimersByTime(RETURN_MS);
    expect(gates.ids()).toEqual(['a']);
    jest.advanceTimersByTime(1);
    expect([gates.ids(), gates.fateOf('a', 'e1', false)]).toEqual([[], 'lost']);
  });

  it('names the configured gates that were never reached, and takes the owner of an unknown client for one of them', () => {
    gates.noteUnreached([unreached('10.0.0.1:7000', false), unreached('b', true)]);
    expect([gates.ids(), gates.neverReached()]).toEqual([['10.0.0.1:7000'], ['10.0.0.1:7000']]);
    expect(gates.fateOf('c', 'e1', false)).toBe('missing');
    // Another boot of that gate is on the link: the id is not the one behind the address.
    expect(gates.fateOf('c', 'e1', true)).toBe('gone');
    gates.noteUnreached([unreached('b', true)]);
    expect([gates.ids(), gates.fateOf('c', 'e1', false)]).toEqual([[], 'gone']);
  });

  it('counts a gate that is both lost and unreached once, and goes on counting it when it is taken for dead', () => {
    gates.add(gate('a'));
    gates.noteUnreached([unreached('a', true), unreached('10.0.0.1:7000', false)]);
    expect(gates.gaps).toBe(2);
    jest.advanceTimersByTime(GRACE_MS + 1);
    expect(gates.gaps).toBe(2);
    gates.noteUnreached([]);
    expect(gates.gaps).toBe(0);
  });

  it('remembers so many gates and no more, the newest of them', () => {
    for (let n = 0; n <= MAX_MISSING; n++) gates.add(gate(`g${n}`));
    expect([gates.gaps, gates.has('g0', 'e1'), gates.has('g1', 'e1')]).toEqual([MAX_MISSING, false, true]);
    // One that is lost again is a new one.
    gates.add(gate('g1'));
    gates.add(gate('last'));
    expect([gates.has('g1', 'e1'), gates.has('g2', 'e1')]).toEqual([true, false]);
    jest.advanceTimersByTime(GRACE_MS + 1);
    for (let n = 0; n < MAX_MISSING; n++) gates.add(gate(`h${n}`));
    jest.advanceTimersByTime(GRACE_MS + 1);
    expect([gates.gaps, gates.fateOf('last', 'e1', false), gates.fateOf('h0', 'e1', false)]).toEqual([
      0,
      'gone',
      'lost',
    ]);
  });
});
