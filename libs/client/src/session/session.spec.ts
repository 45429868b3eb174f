import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeEnvironment } from '../testing/fake-environment.js';
import { createSession, isCount, type Session } from './session.js';

let environment: FakeEnvironment;
let acks: number[];
let lost: number[];

beforeEach(() => {
  environment = new FakeEnvironment();
  acks = [];
  lost = [];
});

const create = (terms: Readonly<Record<string, unknown>> = {}): Session | undefined =>
  createSession(
    environment,
    'c1',
    { ticket: 't1', keepMs: 60_000, ackEvery: 4, ackMs: 1_000, ...terms },
    seen => acks.push(seen),
    n => lost.push(n),
  );

const count = (session: Session, frames: number): boolean[] => Array.from({ length: frames }, () => session.count());

describe('a session', () => {
  it.each([
    { ticket: undefined },
    { ticket: 7 },
    { keepMs: -1 },
    { ackEvery: 'many' },
    { ackMs: 1.5 },
    { seen: Number.NaN },
  ])('is none with the terms %p', terms => {
    expect(create(terms)).toBeUndefined();
  });

  it('acknowledges after some frames, or after some time', async () => {
    const session = create()!;
    count(session, 4);
    expect(acks).toEqual([4]);
    count(session, 1);
    await environment.advance(999);
    expect(acks).toEqual([4]);
    await environment.advance(1);
    expect(acks).toEqual([4, 5]);
    expect(environment.open.timers).toBe(0);
    expect(session.seen).toBe(5);
  });

  it('acknowledges nothing while it is paused', async () => {
    const session = create()!;
    count(session, 1);
    session.pause();
    await environment.advance(5_000);
    expect([acks, environment.open.timers]).toEqual([[], 0]);
  });

  it('leaves out the frames that a resume repeats, and acknowledges at once', () => {
    const session = create()!;
    count(session, 3);
    session.resumed('t2', 2);
    expect([session.ticket, acks]).toEqual(['t2', [3]]);
    expect(session.excess(1)).toBe(0);
    expect(count(session, 3)).toEqual([false, false, true]);
    expect(session.seen).toBe(4);
  });

  it('reports the frames that a resume has skipped, unless a gap frame does', () => {
    const session = create()!;
    count(session, 3);
    session.resumed('t2', 6);
    expect(session.count()).toBe(true);
    expect([lost, session.seen]).toEqual([[2], 6]);
    session.resumed('t3', 10);
    session.gap(7, 3);
    expect(session.count()).toBe(true);
    expect([lost, session.seen]).toEqual([[2], 10]);
  });

  it('takes a gap whose numbers make no sense for the frames that were skipped', () => {
    const session = create()!;
    session.resumed('t2', 4);
    session.gap('x', undefined);
    expect([session.seen, session.excess(3)]).toEqual([3, 0]);
    // A gap that ends before what was seen changes nothing.
    session.gap(1, 1);
    expect(session.seen).toBe(3);
  });

  it('compares its count with that of the gate', () => {
    const session = create({ seen: 10 })!;
    count(session, 1);
    expect([session.excess(12), session.excess(11), session.excess(9)]).toEqual([-1, 0, 2]);
  });
});

describe('isCount', () => {
  it.each([
    [0, true],
    [2 ** 53 - 1, true],
    [2 ** 53, false],
    [-1, false],
    [1.5, false],
    ['1', false],
    [null, false],
  ])('%p: %p', (value, expected) => {
    expect(isCount(value)).toBe(expected);
  });
});
