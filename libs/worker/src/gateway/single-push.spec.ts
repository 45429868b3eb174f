import { beforeEach, describe, expect, it } from '@jest/globals';
import type { LinkNode, NodeRole } from '@nestgate/link';
import { clientIdPrefix, type Peer, type PushMessage } from '@nestgate/link/internal';
import { JsonText } from '@nestgate/protocol';
import { SinglePush } from './single-push.js';

const body = new JsonText('1');

describe('SinglePush', () => {
  let node: { isUp: boolean; peers: Map<string, Peer> };
  let sent: [gate: Peer, serial: number, topic: string][];
  let push: SinglePush;

  beforeEach(() => {
    sent = [];
    // The parts of a node that a push uses.
    node = { isUp: true, peers: new Map() };
    push = new SinglePush(node as unknown as LinkNode);
  });

  function join(id: string, epoch = 'e1', role: NodeRole = 'gate'): Peer {
    const peer = {
      info: { id, epoch, role },
      clientPrefix: clientIdPrefix(id, epoch),
      notify: (_operation: unknown, { serial, topic }: PushMessage) => sent.push([peer, serial, topic]),
    } as unknown as Peer;
    node.peers.set(id, peer);
    return peer;
  }
  const send = (clientId: string): Peer | undefined => push.send(clientId, 'a/b', body);

  it('goes to the gate that the client is on, with its serial', () => {
    const [g1, g2] = [join('g1'), join('g2')];
    expect([send('g1.e1.7'), send('g1.e1.8'), send('g2.e1.7')]).toEqual([g1, g1, g2]);
    expect(sent).toEqual([
      [g1, 7, 'a/b'],
      [g1, 8, 'a/b'],
      [g2, 7, 'a/b'],
    ]);
  });

  it('goes to no gate whose name only begins in the same way', () => {
    const [g1, longer] = [join('g1'), join('g10')];
    expect([send('g1.e1.7'), send('g10.e1.7'), send('g1.e1.7')]).toEqual([g1, longer, g1]);
    expect(sent.map(([gate]) => gate)).toEqual([g1, longer, g1]);
  });

  it('goes nowhere for a client of a gate that is not there, is another boot, or is no gate', () => {
    join('g1', 'e2');
    join('w1', 'e1', 'worker');
    expect(['g1.e1.7', 'g9.e1.7', 'w1.e1.7', 'nonsense', ''].map(send)).toEqual(Array(5).fill(undefined));
    expect(sent).toEqual([]);
  });

  it('goes nowhere for an id that no client has, though its gate is there', () => {
    const gate = join('g1');
    expect(['g1.e1.X', 'g1.e1.', 'g1.e1.07', 'g1.e1.-1'].map(send)).toEqual(Array(4).fill(gate));
    expect(sent).toEqual([]);
  });

  it('does not go to a gate that was lost since the last push, or has come back as another peer', () => {
    join('g1');
    send('g1.e1.7');
    node.peers.delete('g1');
    expect(send('g1.e1.7')).toBeUndefined();
    const back = join('g1');
    expect(send('g1.e1.7')).toBe(back);
    expect(sent.at(-1)?.[0]).toBe(back);
  });

  it('goes nowhere while the link is down', () => {
    const gate = join('g1');
    send('g1.e1.7');
    node.isUp = false;
    expect(send('g1.e1.7')).toBeUndefined();
    node.isUp = true;
    expect(send('g1.e1.7')).toBe(gate);
    expect(sent).toHaveLength(2);
  });
});
