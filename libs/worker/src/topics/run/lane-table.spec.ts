import { beforeEach, describe, expect, it } from '@jest/globals';
import type { NodeRole } from '@nestgate/link';
import type { Caller, Peer, SessionContract } from '@nestgate/link/internal';
import { LaneTable } from './lane-table.js';

/** What the table looks at of a peer. */
const peerOf = (id: string, role: NodeRole = 'gate', epoch = 'e1'): Peer => ({ info: { id, role, epoch } }) as Peer;

describe('LaneTable', () => {
  const [g1, g2] = [peerOf('g1'), peerOf('g2')];
  let table: LaneTable<string>;

  beforeEach(() => {
    table = new LaneTable({} as Caller<SessionContract>);
  });

  it('has one lane for each client of each gate, made with its first frame', () => {
    expect(table.get(g1, 1)).toBeUndefined();
    const lane = table.of(g1, 1);
    expect([table.of(g1, 1), table.get(g1, 1), lane.clientId]).toEqual([lane, lane, 'g1.e1.1']);
    // Serials are those of a gate.
    expect(table.of(g2, 1)).not.toBe(lane);
    expect(table.count()).toEqual({ clients: 2, waiting: 0 });
  });

  it('has none for a peer that is no gate', () => {
    for (const role of ['worker', 'api'] as const) {
      expect(() => table.of(peerOf('x', role), 1)).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
    }
    expect(table.count()).toEqual({ clients: 0, waiting: 0 });
  });

  it('counts the frames that wait, one by one or beside each other', () => {
    table.of(g1, 1).wait('a', false);
    table.of(g1, 1).wait('b', true);
    table.of(g2, 1).wait('c', false);
    expect(table.count()).toEqual({ clients: 2, waiting: 3 });
  });

  it('forgets a client, and no other, and gives it another lane when it comes again', () => {
    const [one, two] = [table.of(g1, 1), table.of(g1, 2)];
    table.forget(g1, 1);
    table.forget(g1, 9);
    table.forget(g2, 1);
    expect([table.get(g1, 1), table.get(g1, 2)]).toEqual([undefined, two]);
    expect(table.of(g1, 1)).not.toBe(one);
    table.forget(g1, 1);
    table.forget(g1, 2);
    expect(table.count()).toEqual({ clients: 0, waiting: 0 });
  });

  it('gives all lanes of a gate up at once, of each of its boots', () => {
    const again = peerOf('g1', 'gate', 'e2');
    const lanes = [table.of(g1, 1), table.of(again, 1)];
    table.of(g2, 1);
    expect(table.takeAll('g1')).toEqual(lanes);
    expect([table.takeAll('g1'), table.count().clients]).toEqual([[], 1]);
  });

  it('gives up the held lanes of clients that were gone before, each lane once', () => {
    const [gone, here, other] = [table.of(g1, 1), table.of(g1, 2), table.of(g2, 1)];
    for (const lane of [gone, here, other]) table.hold(lane);
    table.forget(g1, 1);
    const taken = table.takeAll('g1');
    expect(new Set(taken)).toEqual(new Set([gone, here]));
    // None of them is released later.
    expect([table.release(g1), table.release(g2)]).toEqual([[], [other]]);
  });

  it('releases the lanes that are held for one boot of a gate, once', () => {
    const again = peerOf('g1', 'gate', 'e2');
    const [before, now] = [table.of(g1, 1), table.of(again, 1)];
    for (const lane of [before, now, now]) table.hold(lane);
    expect([table.release(again), table.release(again), table.release(g1)]).toEqual([[now], [], [before]]);
    expect(table.count().clients).toBe(2);
  });
});
