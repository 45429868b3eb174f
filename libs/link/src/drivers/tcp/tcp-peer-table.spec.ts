import { beforeEach, describe, expect, it } from '@jest/globals';
import type { NodeInfo, NodeRole } from '../../link.js';
import { type TcpPeerTableEntry, TcpPeerTable } from './tcp-peer-table.js';

const info = (id: string, role: NodeRole = 'gate', epoch = 'e1'): NodeInfo => ({
  id,
  role,
  epoch,
  modules: [],
  draining: false,
});

class Connection implements TcpPeerTableEntry {
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

describe('TcpPeerTable', () => {
  let peerTable: TcpPeerTable<Connection>;
  const create = (id: string, takesGates = true, role: NodeRole = 'gate') =>
    (peerTable = new TcpPeerTable<Connection>(info(id, role), takesGates));

  /** Brings a connection as far as it comes. */
  function connect(connection: Connection): string {
    const { proved } = connection;
    if (peerTable.meet(connection, proved) === 'duplicate') return 'duplicate at the proof';
    if (peerTable.admit(connection, proved) === 'duplicate') return 'duplicate at the end';
    const replaced = peerTable.enter(connection, proved);
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
    expect([...peerTable.known.keys()]).toEqual(['w1']);
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
    expect(peerTable.has(incumbent)).toBe(true);
    expect(incumbent.isDestroyed).toBe(false);
  });

  it('lets one of two newcomers with an id in, also when both have proved themselves', () => {
    const [first, second] = [accepted(info('w1', 'worker', 'e1')), accepted(info('w1', 'worker', 'e2'))];
    peerTable.meet(first, first.proved);
    peerTable.meet(second, second.proved);
    expect(peerTable.admit(first, first.proved)).toBe('go');
    peerTable.enter(first, first.proved);
    expect(() => peerTable.admit(second, second.proved)).toThrow('taken');
  });

  it('detects that it dials itself, whatever role is expected', () => {
    create('g5', false);
    expect(connect(dialled(info('g5')))).toBe('duplicate at the proof');
    expect(connect(accepted(info('g5')))).toBe('duplicate at the proof');
  });

  it('does not dial twice what it is connected with, or about to be', () => {
    const first = dialled(info('g1'));
    expect(peerTable.meet(first, first.proved)).toBe('go');
    expect(connect(dialled(info('g1')))).toBe('duplicate at the proof');
    expect(peerTable.admit(first, first.proved)).toBe('go');
    peerTable.enter(first, first.proved);
    expect(connect(dialled(info('g1')))).toBe('duplicate at the proof');
    expect(peerTable.remove(first)).toBe('peer');
    expect(connect(dialled(info('g1')))).toBe('in');
  });

  it('tries the other address when the first has failed before its end', () => {
    const first = dialled(info('g1'));
    peerTable.meet(first, first.proved);
    expect(peerTable.includes('g1')).toBe(true);
    expect(peerTable.remove(first)).toBe('dialing');
    expect(peerTable.includes('g1')).toBe(false);
    expect(connect(dialled(info('g1')))).toBe('in');
  });

  it('takes a node back that has lost its connection, before the loss is seen here', () => {
    const before = accepted(info('w1', 'worker'));
    connect(before);
    const after = accepted(info('w1', 'worker'));
    expect(connect(after)).toBe('replaced another');
    expect(peerTable.has(after)).toBe(true);
    expect(peerTable.remove(before)).toBeUndefined();
    expect(peerTable.known.has('w1')).toBe(true);
  });

  it('does not give up what it has dialled itself for what comes from there', () => {
    connect(dialled(info('g1')));
    expect(connect(accepted(info('g1')))).toBe('duplicate at the end');
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
    expect(verdicts).toEqual(here < there ? ['duplicate', 'go'] : ['go', 'duplicate']);
    expect([own.end.isDestroyed, other.far.isDestroyed]).toEqual(here < there ? [false, true] : [true, false]);
  });

  it('ignores the end and the changes of a connection that was never admitted', () => {
    const incumbent = accepted(info('w1', 'worker'));
    connect(incumbent);
    const rejected = accepted(info('w1', 'worker'));
    expect(peerTable.update(rejected, { ...info('w1', 'worker'), draining: true })).toBe(false);
    expect(peerTable.remove(rejected)).toBeUndefined();
    expect(peerTable.known.get('w1')?.draining).toBe(false);
    expect(peerTable.update(incumbent, { ...info('w1', 'worker'), draining: true })).toBe(true);
    expect(peerTable.known.get('w1')?.draining).toBe(true);
  });
});
