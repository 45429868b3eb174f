import { describe, expect, it } from '@jest/globals';
import { Tickets } from './tickets.js';

const ID = 'g1.k3.9x';

describe('Tickets', () => {
  it('has 22 characters of base64url, different for each session, generation and boot', () => {
    const tickets = new Tickets();
    const made = [
      tickets.make(ID, { generation: 0 }),
      tickets.make(ID, { generation: 1 }),
      tickets.make('g1.k3.9y', { generation: 0 }),
      new Tickets().make(ID, { generation: 0 }),
    ];
    expect(new Set(made).size).toBe(4);
    for (const ticket of made) expect(ticket).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(tickets.make(ID, { generation: 0 })).toBe(made[0]);
  });

  it('is valid from the one that the client is known to have up to the newest one', () => {
    const tickets = new Tickets();
    const check = (generation: number, state: { generation: number; confirmed: number }) =>
      tickets.check(tickets.make(ID, { generation }), ID, state);
    const state = { generation: 7, confirmed: 5 };
    expect([4, 5, 6, 7, 8].map(one => check(one, state))).toEqual([undefined, 5, 6, 7, undefined]);
    // Resumed very often without one acknowledgement: the first and the last ones.
    const lost = { generation: 100, confirmed: 5 };
    expect([4, 5, 6, 99, 100].map(one => check(one, lost))).toEqual([undefined, 5, undefined, 99, 100]);
  });

  it('is valid on another gate that has the key of the session, and of no other session', () => {
    const [here, there] = [new Tickets(), new Tickets()];
    const ticket = here.make(ID, { generation: 3 });
    const state = { generation: 3, confirmed: 3 };
    expect(there.check(ticket, ID, state)).toBeUndefined();
    expect(there.check(ticket, ID, { ...state, key: here.keyOf(ID) })).toBe(3);
    expect(there.check(ticket, ID, { ...state, key: here.keyOf('g1.k3.9y') })).toBeUndefined();
    expect(
      here.check(there.make(ID, { generation: 4, key: here.keyOf(ID) }), ID, { generation: 4, confirmed: 3 }),
    ).toBe(4);
  });

  it('refuses what is no ticket', () => {
    const tickets = new Tickets();
    const state = { generation: 0, confirmed: 0 };
    const ticket = tickets.make(ID, { generation: 0 });
    const last = ticket.at(-1) === 'A' ? 'B' : 'A';
    const wrong = [
      '',
      ticket.slice(1),
      `${ticket}A`,
      ` ${ticket.slice(1)}`,
      `${ticket.slice(0, -1)}${last}`,
      'x'.repeat(1e6),
    ];
    for (const one of [...wrong, undefined, null, 7, {}, [ticket]]) {
      expect(tickets.check(one, ID, state)).toBeUndefined();
    }
    expect(tickets.check(ticket, 'g1.k3.9y', state)).toBeUndefined();
    expect(tickets.check(ticket, ID, state)).toBe(0);
  });
});
