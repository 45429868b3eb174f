import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection } from '../connection/connection.js';
import { Credit } from './credit.js';

const LIMIT = 2;

describe('Credit', () => {
  /** What was done to the socket. */
  let acts: string[];
  let credit: Credit;

  beforeEach(() => {
    acts = [];
    // The parts of a connection that it uses.
    const connection = { pause: () => acts.push('pause'), resume: () => acts.push('resume') };
    credit = new Credit(LIMIT, connection as unknown as Connection);
  });

  const frame = (name: string): Buffer => Buffer.from(name);
  /** Frames come; returns those that are taken at once. */
  const come = (...names: string[]): string[] =>
    names.filter(name => {
      const { isFree } = credit;
      if (!isFree) credit.keep(frame(name));
      return isFree;
    });
  /** Takes what may be taken now, and returns it. */
  function pump(): string[] {
    const taken: string[] = [];
    for (let next = credit.next(); next; next = credit.next()) {
      taken.push(next.toString());
      credit.begin(0);
    }
    return taken;
  }

  it('admits frames until so many are unanswered, and keeps the others in order', () => {
    expect(come('a')).toEqual(['a']);
    credit.begin(1);
    credit.begin(2);
    expect([come('b', 'c'), credit.isPaused, acts]).toEqual([[], true, ['pause']]);
    expect(pump()).toEqual([]);
    credit.end(1);
    expect([pump(), acts]).toEqual([['b'], ['pause']]);
    credit.end(0);
    expect(pump()).toEqual(['c']);
  });

  it('keeps a frame behind those that are kept already, though there is credit again', () => {
    credit.begin(1);
    credit.begin(2);
    come('a');
    credit.end(1);
    expect(come('b')).toEqual([]);
    credit.end(2);
    expect(pump()).toEqual(['a', 'b']);
  });

  it('reads the socket again when nothing is kept any more, once', () => {
    credit.begin(1);
    credit.begin(2);
    come('a', 'b');
    credit.end(1);
    expect([credit.next()?.toString(), acts]).toEqual(['a', ['pause']]);
    expect([pump(), acts]).toEqual([['b'], ['pause', 'resume']]);
    pump();
    expect([acts, credit.isPaused]).toEqual([['pause', 'resume'], false]);
  });

  it('keeps all frames while it is blocked, as often as it was', () => {
    credit.block();
    credit.block();
    expect(come('a')).toEqual([]);
    credit.unblock();
    expect([pump(), credit.isIdle]).toEqual([[], false]);
    credit.unblock();
    expect(pump()).toEqual(['a']);
  });

  it('goes on when all that was on its way has settled, once', () => {
    let settled = 0;
    credit.begin(1);
    credit.begin(2);
    credit.blockUntilSettled(() => settled++);
    credit.end(1);
    expect([settled, come('a')]).toEqual([0, []]);
    credit.end(2);
    expect([settled, pump()]).toEqual([1, ['a']]);
    credit.end(0);
    expect(settled).toBe(1);
  });

  it('lets a frame wait again when its turn comes', () => {
    const order: string[] = [];
    credit.begin(1);
    credit.blockUntilSettled(() => {
      order.push('first');
      credit.begin(2);
      credit.blockUntilSettled(() => order.push('second'));
    });
    credit.end(1);
    expect(order).toEqual(['first']);
    credit.end(2);
    expect(order).toEqual(['first', 'second']);
  });

  it('knows the ids of requests that are unanswered, and of no others', () => {
    expect(credit.hasId(7)).toBe(false);
    credit.begin(7);
    credit.begin(0);
    expect([credit.hasId(7), credit.hasId(0)]).toEqual([true, false]);
    credit.end(7);
    expect(credit.hasId(7)).toBe(false);
  });

  it('forgets what is kept when the client leaves, and what waits for its turn', () => {
    let settled = 0;
    credit.begin(1);
    credit.blockUntilSettled(() => settled++);
    come('a');
    credit.clear();
    credit.end(1);
    expect([settled, pump()]).toEqual([0, []]);
  });
});
