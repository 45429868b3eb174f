import { beforeEach, describe, expect, it } from '@jest/globals';
import type { NodeInfo, NodeRole } from '../link.js';
import { type RosterEntry, TcpRoster } from './tcp-roster.js';

const info = (id: string, role: NodeRole = 'gate', epoch = 'e1'): NodeInfo => ({
  id,
  role,
  epoch,
  modules: [],
  draining: false,
});

class Connection implements RosterEntry {
  isDestroyed = false;

  constructor(
    readonly isDialer: boolean,
    readonly proved: NodeInfo,
  ) {}

  destroy(): void {
    this.isDestroyed = true;
  }
}

const dialled = (peer: NodeInfo): Connection => new Connection(true, peer);
const accepted = (peer: NodeInfo): Connection => new Connection(false, peer);

describe('TcpRoster', () => {
  let roster: TcpRoster<Connection>;
  const create = (id: string, takesGates = true, role: NodeRole = 'gate') =>
    (roster = new TcpRoster<Connection>(info(id, role), takesGates));

  /** Brings a connection as far as it comes. */
  function connect(connection: Connection): string {
    const { proved } = connection;
    if (roster.meet(connection, proved) === 'twin') return 'twin at the proof';
    if (roster.admit(connection, proved) === 'twin') return 'twin at the end';
    const replaced = roster.enter(connection, proved);
    return replaced ? 'replaced another' : 'in';
  }

  beforeEach(() => {
    create('g5');
  });

  it('lets in workers, and gates only where they are expected', () => {
    expect(connect(accepted(info('w1', 'worker')))).toBe('in');
    expect(connect(accepted(info('g1')))).toBe('in');
    create('g5', false);
    expect(connect(accepted(info('w1', 'worker')))).toBe('in');
    expect(() => connect(accepted(info('g1')))).toThrow('A node of the role gate is not expected here');
    expect([...roster.known.keys()]).toEqual(['w1']);
  });

  it('takes nothing for a gate that is none, where a gate was dialled', () => {
    expect(() => connect(dialled(info('w1', 'worker')))).toThrow('A node of the role worker is not expected here');
    expect(() => connect(dialled(info('a1', 'api')))).toThrow('A node of the role api is not expected here');
  });

  it('keeps the incumbent of an id, and its own', () => {
    const incumbent = accepted(info('w1', 'worker'));
    connect(incumbent);
    expect(() => connect(accepted(info('w1', 'worker', 'e2')))).toThrow('The id "w1" is taken');
    expect(() => connect(accepted(info('g5', 'gate', 'e2')))).toThrow('The id "g5" is taken');
    expect(() => connect(dialled(info('g5', 'gate', 'e2')))).toThrow('The id "g5" is taken');
    expect(roster.has(incumbent)).toBe(true);
    expect(incumbent.isDestroyed).toBe(false);
  });

  it('lets one of two newcomers with an id in, also when both have proved themselves', () => {
    const [first, second] = [accepted(info('w1', 'worker', 'e1')), accepted(info('w1', 'worker', 'e2'))];
    roster.meet(first, first.proved);
    roster.meet(second, second.proved);
    expect(roster.admit(first, first.proved)).toBe('go');
    roster.enter(first, first.proved);
    expect(() => roster.admit(second, second.proved)).toThrow('taken');
  });

  it('knows itself when it dials itself, whoever is expected', () => {
    create('g5', false);
    expect(connect(dialled(info('g5')))).toBe('twin at the proof');
    expect(connect(accepted(info('g5')))).toBe('twin at the proof');
  });

  it('does not dial twice what it is connected with, or about to be', () => {
    const first = dialled(info('g1'));
    expect(roster.meet(first, first.proved)).toBe('go');
    expect(connect(dialled(info('g1')))).toBe('twin at the proof');
    expect(roster.admit(first, first.proved)).toBe('go');
    roster.enter(first, first.proved);
    expect(connect(dialled(info('g1')))).toBe('twin at the proof');
    expect(roster.remove(first)).toBe('peer');
    expect(connect(dialled(info('g1')))).toBe('in');
  });

  it('tries the other address when the first has failed before its end', () => {
    const first = dialled(info('g1'));
    roster.meet(first, first.proved);
    expect(roster.includes('g1')).toBe(true);
    expect(roster.remove(first)).toBe('courting');
    expect(roster.includes('g1')).toBe(false);
    expect(connect(dialled(info('g1')))).toBe('in');
  });

  it('takes a node back that has lost its connection, before the loss is seen here', () => {
    const before = accepted(info('w1', 'worker'));
    connect(before);
    const after = accepted(info('w1', 'worker'));
    expect(connect(after)).toBe('replaced another');
    expect(roster.has(after)).toBe(true);
    expect(roster.remove(before)).toBeUndefined();
    expect(roster.known.has('w1')).toBe(true);
  });

  it('does not give up what it has dialled itself for what comes from there', () => {
    connect(dialled(info('g1')));
    expect(connect(accepted(info('g1')))).toBe('twin at the end');
  });

  it.each([
    ['g1', 'g5'],
    ['g5', 'g1'],
  ])('agrees with a gate on one connection when %s and %s dial each other at once', (here, there) => {
    const [mine, theirs] = [create(here), create(there)];
    // Two connections, with two ends each.
    const own = { end: dialled(info(there)), far: accepted(info(here)) };
    const other = { end: accepted(info(there)), far: dialled(info(here)) };
    mine.meet(own.end, info(there));
    theirs.meet(other.far, info(here));
    mine.meet(other.end, info(there));
    theirs.meet(own.far, info(here));
    const verdicts = [mine.admit(other.end, info(there)), theirs.admit(own.far, info(here))];
    expect(verdicts).toEqual(here < there ? ['twin', 'go'] : ['go', 'twin']);
    expect([own.end.isDestroyed, other.far.isDestroyed]).toEqual(here < there ? [false, true] : [true, false]);
  });

  it('forgets nobody for a connection that never was one, and hears of no change over it', () => {
    const incumbent = accepted(info('w1', 'worker'));
    connect(incumbent);
    const stranger = accepted(info('w1', 'worker'));
    expect(roster.update(stranger, { ...info('w1', 'worker'), draining: true })).toBe(false);
    expect(roster.remove(stranger)).toBeUndefined();
    expect(roster.known.get('w1')?.draining).toBe(false);
    expect(roster.update(incumbent, { ...info('w1', 'worker'), draining: true })).toBe(true);
    expect(roster.known.get('w1')?.draining).toBe(true);
  });
});
