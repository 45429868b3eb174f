import { describe, expect, it } from '@jest/globals';
import type { ClientAgent } from '../client/client-agent.js';
import { BorrowedKeys } from './borrowed-keys.js';

const SETTINGS = { a: 1, b: 2, c: 3 };

describe('BorrowedKeys', () => {
  const ada = {} as ClientAgent;
  const bob = {} as ClientAgent;

  it('leaves out what is borrowed, of the client that has borrowed it', () => {
    const borrowed = new BorrowedKeys();
    borrowed.set(ada, ['a', 'b']);
    expect(borrowed.without(ada, SETTINGS)).toEqual({ c: 3 });
    expect(borrowed.without(bob, SETTINGS)).toBe(SETTINGS);
    expect([borrowed.of(ada), borrowed.of(bob)]).toEqual([['a', 'b'], []]);
  });

  it('forgets keys on which the connection decides, and clients', () => {
    const borrowed = new BorrowedKeys();
    borrowed.set(ada, ['a', 'b']);
    borrowed.own(ada, ['b', 'c']);
    borrowed.own(bob, ['a']);
    expect(borrowed.of(ada)).toEqual(['a']);
    borrowed.own(ada, ['a']);
    expect(borrowed.without(ada, SETTINGS)).toBe(SETTINGS);
    borrowed.set(ada, ['a']);
    borrowed.forget(ada);
    expect(borrowed.of(ada)).toEqual([]);
  });
});
