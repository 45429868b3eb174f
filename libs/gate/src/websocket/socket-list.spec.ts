import type { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SocketList } from './socket-list.js';

describe('SocketList', () => {
  it('has what a set has, whatever is added and removed', () => {
    const step = fc.record({ adds: fc.boolean(), index: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const sockets = Array.from({ length: 6 }, () => ({}) as Socket);
        const list = new SocketList();
        const set = new Set<Socket>();
        for (const { adds, index } of steps) {
          const socket = sockets[index] as Socket;
          if (adds) {
            list.add(socket);
            set.add(socket);
          } else {
            list.remove(socket);
            set.delete(socket);
          }
          expect(list.size).toBe(set.size);
          expect(new Set(list.all())).toEqual(set);
          expect(list.all()).toHaveLength(set.size);
        }
      }),
    );
  });

  it('gives a copy, from which sockets may be removed', () => {
    const list = new SocketList();
    const sockets = [1, 2, 3].map(() => ({}) as Socket);
    for (const socket of sockets) list.add(socket);
    for (const socket of list.all()) list.remove(socket);
    expect(list.size).toBe(0);
  });

  it('keeps nothing of a socket that was removed, and knows sockets of other lists apart', () => {
    const [one, other] = [new SocketList(), new SocketList()];
    const socket = {} as Socket;
    one.add(socket);
    other.remove(socket);
    expect(one.size).toBe(1);
    other.add(socket);
    one.remove(socket);
    expect([one.size, other.all()]).toEqual([0, [socket]]);
    const { places } = one as unknown as { readonly places: readonly unknown[] };
    expect(places).toEqual([undefined]);
  });
});
