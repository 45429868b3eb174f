import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import { Defects, type Peer, type Pending, type SessionTurn } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { Turns } from './turns.js';

/** A node that answers when a test lets it. */
class FakePeer {
  readonly asked: { readonly sessions: readonly SessionTurn[]; readonly call: Pending<void> }[] = [];

  constructor(readonly info: { readonly id: string }) {}

  request(_: unknown, { sessions }: { sessions: readonly SessionTurn[] }, call: Pending<void>): void {
    this.asked.push({ sessions, call });
  }

  get last(): { readonly sessions: readonly SessionTurn[]; readonly call: Pending<void> } {
    return this.asked.at(-1) as (typeof this.asked)[number];
  }

  get peer(): Peer {
    return this as unknown as Peer;
  }
}

describe('Turns', () => {
  let peers: Map<string, Peer>;
  let one: FakePeer;
  let two: FakePeer;
  let turns: Turns;
  let log: string[];
  const defects: unknown[] = [];

  const source = (clientId: string) => ({
    turn: { clientId, serial: 1, generation: 1, from: 'g0' },
    sent: (to: readonly Peer[]) => void log.push(`${clientId} to ${to.map(({ info }) => info.id).join(' ')}`),
    late: (peer: Peer) => void log.push(`${clientId} ${peer.info.id} late`),
    turned: (peer: Peer, isSure: boolean) => void log.push(`${clientId} ${peer.info.id} ${isSure}`),
  });
  const idsOf = ({ sessions }: { readonly sessions: readonly SessionTurn[] }) => sessions.map(each => each.clientId);

  beforeEach(() => {
    jest.useFakeTimers();
    log = [];
    [one, two] = [new FakePeer({ id: 'n1' }), new FakePeer({ id: 'n2' })];
    peers = new Map([one, two].map(each => [each.info.id, each.peer]));
    const node = { peers, defects: new Defects(undefined), reportDefect: (error: unknown) => void defects.push(error) };
    turns = new Turns(node as unknown as LinkNode);
  });
  afterEach(() => {
    turns.stop();
    expect(jest.getTimerCount()).toBe(0);
    expect(defects).toEqual([]);
    jest.useRealTimers();
  });

  it('tells the first session at once, and those that follow together', () => {
    turns.add(source('a'));
    expect(idsOf(one.last)).toEqual(['a']);
    turns.add(source('b'));
    turns.add(source('c'));
    expect(one.asked).toHaveLength(1);
    jest.advanceTimersByTime(20);
    expect([idsOf(one.last), idsOf(two.last)]).toEqual([
      ['b', 'c'],
      ['b', 'c'],
    ]);
    expect(log).toEqual(['a to n1 n2', 'b to n1 n2', 'c to n1 n2']);
    // The pace is over: the next one goes at once again.
    jest.advanceTimersByTime(40);
    turns.add(source('d'));
    expect(idsOf(one.last)).toEqual(['d']);
  });

  it('does not wait when 500 have come together', () => {
    for (let i = 0; i < 1 + 499; i++) turns.add(source(String(i)));
    expect(one.asked).toHaveLength(1);
    turns.add(source('last'));
    expect(one.asked).toHaveLength(2);
    expect(one.last.sessions).toHaveLength(500);
  });

  it('says of each node whether it has turned, in the same turn as its answer', () => {
    turns.add(source('a'));
    log.length = 0;
    one.last.call.succeed(undefined);
    expect(log).toEqual(['a n1 true']);
    two.last.call.fail(new GateError('TIMEOUT'));
    expect(log).toEqual(['a n1 true', 'a n2 false']);
  });

  it('still waits for a node that is late: its answer says from where on it sends to this gate', async () => {
    const barrier = turns.barrier(one.peer);
    turns.add(source('a'));
    log.length = 0;
    const extended: number[] = [];
    for (const { call } of one.asked) {
      const end = (pending: Pending, error: GateError): void => pending.fail(error);
      call.table = { end, extend: (_, until) => void extended.push(until - performance.now()) };
      call.expire();
    }
    expect([log, extended]).toEqual([['a n1 late'], [10_000, 10_000]]);
    await barrier;
    one.last.call.succeed(undefined);
    expect(log).toEqual(['a n1 late', 'a n1 true']);
    // The second time is the last one.
    one.asked[0]?.call.expire();
    turns.add(source('b'));
    jest.advanceTimersByTime(20);
    one.last.call.fail(new GateError('TIMEOUT'));
    expect(log.at(-1)).toBe('b n1 false');
  });

  it('is sure of a node that is gone, but not of one that is back', () => {
    turns.add(source('a'));
    log.length = 0;
    peers.delete('n2');
    two.last.call.fail(new GateError('NODE_LOST'));
    one.last.call.fail(new GateError('NODE_LOST'));
    expect(log).toEqual(['a n2 true', 'a n1 false']);
  });

  it('remembers a node that does not know how sessions move, while it is there', () => {
    expect(turns.isKnownByAll).toBe(true);
    turns.add(source('a'));
    two.last.call.fail(new GateError('UNKNOWN_OPERATION'));
    expect([turns.isKnownByAll, log.at(-1)]).toEqual([false, 'a n2 false']);
    peers.set('n2', new FakePeer({ id: 'n2' }).peer);
    expect(turns.isKnownByAll).toBe(true);
  });

  it('tells one node all that it has missed, in parts, and a barrier without any', async () => {
    const told = turns.tell(
      one.peer,
      Array.from({ length: 501 }, (_, i) => source(String(i))),
    );
    expect(one.last.sessions).toHaveLength(500);
    one.last.call.succeed(undefined);
    await Promise.resolve();
    expect(one.last.sessions).toHaveLength(1);
    one.last.call.succeed(undefined);
    await told;
    const barrier = turns.barrier(two.peer);
    expect(two.last.sessions).toEqual([]);
    // Whatever the answer is: it has come behind all that the node had sent.
    two.last.call.fail(new GateError('UNKNOWN_OPERATION'));
    await barrier;
    expect(log.filter(line => line.includes('to'))).toEqual([]);
  });

  it('tells nothing that was waiting when it has stopped', () => {
    turns.add(source('a'));
    turns.add(source('b'));
    turns.stop();
    jest.advanceTimersByTime(1000);
    expect(one.asked).toHaveLength(1);
  });
});
