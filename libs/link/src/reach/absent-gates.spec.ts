import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { NodeInfo } from '../link.js';
import { AbsentGates } from './absent-gates.js';

const RECENT_MS = 60_000;
const MAX_ABSENT = 1_000;

const gate = (id: string, epoch = 'e1'): NodeInfo => ({ id, epoch, role: 'gate', modules: [], draining: false });

describe('AbsentGates', () => {
  let gates: AbsentGates;

  beforeEach(() => {
    jest.useFakeTimers();
    gates = new AbsentGates();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const push = (times: number): void => {
    for (let n = 0; n < times; n++) gates.notePush();
  };

  it('counts what a gate that comes back has missed, once', () => {
    push(5);
    gates.add(gate('a'));
    push(3);
    expect(gates.return(gate('a'))).toBe(3);
    expect(gates.return(gate('a'))).toBe(0);
  });

  it('leaves out what was counted before, of this gate and no other', () => {
    gates.add(gate('a'));
    gates.add(gate('b'));
    push(4);
    gates.noteCounted('a');
    gates.noteCounted('a');
    gates.noteCounted('unknown');
    expect([gates.return(gate('a')), gates.return(gate('b'))]).toEqual([2, 4]);
  });

  it('counts nothing for another boot, and forgets the one before it', () => {
    gates.add(gate('a', 'e1'));
    push(2);
    expect(gates.return(gate('a', 'e2'))).toBe(0);
    expect(gates.return(gate('a', 'e1'))).toBe(0);
  });

  it('counts from the last loss on', () => {
    gates.add(gate('a'));
    push(7);
    gates.noteCounted('a');
    gates.add(gate('a'));
    push(1);
    expect(gates.return(gate('a'))).toBe(1);
  });

  it('names those that were lost within a minute and have not come back', () => {
    gates.add(gate('a'));
    jest.advanceTimersByTime(RECENT_MS - 1);
    gates.add(gate('b'));
    gates.add(gate('c'));
    gates.return(gate('c'));
    expect(gates.recent()).toEqual(['a', 'b']);
    jest.advanceTimersByTime(1);
    expect(gates.recent()).toEqual(['b']);
    // What it has missed is counted however late it comes.
    push(1);
    expect(gates.return(gate('a'))).toBe(1);
  });

  it('remembers so many gates and no more, the newest of them', () => {
    gates.add(gate('a'));
    for (let n = 0; n < MAX_ABSENT - 1; n++) gates.add(gate(`g${n}`));
    gates.add(gate('a'));
    gates.add(gate('last'));
    push(1);
    expect(gates.recent()).toHaveLength(MAX_ABSENT);
    expect([gates.return(gate('g0')), gates.return(gate('a')), gates.return(gate('g1'))]).toEqual([0, 1, 1]);
  });
});
