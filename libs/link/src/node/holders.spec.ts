import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Peer } from '../peer/peer.js';
import { Holders } from './holders.js';

const peerOf = (id: string): Peer => ({ info: { id } }) as unknown as Peer;
const turnOf = (clientId: string, generation = 1, serial = 1) => ({ clientId, serial, generation, from: '' });

describe('Holders', () => {
  let peers: Map<string, Peer>;
  let holders: Holders;
  const [one, two] = [peerOf('g1'), peerOf('g2')];

  beforeEach(() => {
    peers = new Map([one, two].map(peer => [peer.info.id, peer]));
    holders = new Holders(peers, () => undefined, 3);
  });

  it('knows where a session is, and after the next move where it is then', () => {
    expect(holders.find('g1.e.1')).toBeUndefined();
    holders.note(two, [turnOf('g1.e.1', 1, 7)]);
    expect(holders.find('g1.e.1')).toEqual({ peer: two, serial: 7, generation: 1 });
    holders.note(one, [turnOf('g1.e.1', 2, 8)]);
    expect(holders.find('g1.e.1')).toEqual({ peer: one, serial: 8, generation: 2 });
    holders.forget('g1.e.1');
    expect([holders.size, holders.find('g1.e.1')]).toEqual([0, undefined]);
  });

  it('does not believe a gate that has an older generation', () => {
    holders.note(two, [turnOf('g1.e.1', 5)]);
    holders.note(one, [turnOf('g1.e.1', 4)]);
    expect(holders.find('g1.e.1')?.peer).toBe(two);
    // The same one is a repetition, which may bring another serial.
    holders.note(one, [turnOf('g1.e.1', 5)]);
    expect(holders.find('g1.e.1')?.peer).toBe(one);
  });

  it('believes it when the gate with the higher generation is gone', () => {
    holders.note(two, [turnOf('g1.e.1', 5)]);
    peers.delete('g2');
    expect([holders.find('g1.e.1'), holders.known('g1.e.1')?.peer]).toEqual([undefined, two]);
    holders.note(one, [turnOf('g1.e.1', 4)]);
    expect(holders.find('g1.e.1')?.peer).toBe(one);
  });

  it('does not take a gate that was started again for the one before', () => {
    holders.note(two, [turnOf('g1.e.1')]);
    peers.set('g2', peerOf('g2'));
    expect(holders.find('g1.e.1')).toBeUndefined();
  });

  it('forgets what has moved longest ago, and says that it has', () => {
    holders.note(two, [turnOf('g1.e.1'), turnOf('g1.e.2'), turnOf('g1.e.3')]);
    holders.note(one, [turnOf('g1.e.1', 2)]);
    expect(holders.hasForgotten).toBe(false);
    holders.note(one, [turnOf('g1.e.4')]);
    expect([holders.size, holders.hasForgotten]).toEqual([3, true]);
    expect(['1', '2', '3', '4'].filter(n => holders.find(`g1.e.${n}`))).toEqual(['1', '3', '4']);
  });

  it('ignores what is no client id', () => {
    holders.note(two, [turnOf('nobody'), turnOf('')]);
    expect(holders.size).toBe(0);
  });

  it('calls back with the first session that has moved, or at once when there is one', () => {
    const calls: string[] = [];
    holders.onFirst(() => calls.push('early'));
    expect(calls).toEqual([]);
    holders.note(two, [turnOf('g1.e.1')]);
    holders.note(two, [turnOf('g1.e.2')]);
    expect(calls).toEqual(['early']);
    holders.onFirst(() => calls.push('late'));
    expect(calls).toEqual(['early', 'late']);
  });
});
