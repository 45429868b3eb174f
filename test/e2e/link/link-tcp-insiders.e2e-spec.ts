import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type NodeInfo, type NodeRole, TcpLink } from '@nestgate/link';
import { freePort, LinkProbe, waitUntil } from '@nestgate/testing';
import { heldBytes } from '../support/held-memory.js';
import { LinkNeighbours } from '../support/link-neighbours.js';
import { nodeInfo, RawLinkGate, RawLinkPeer, WIRE, wireMessage } from '../support/raw-link-peer.js';

const SECRET = 'a secret of the tests';
const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const CANNOT_CHANGE = 'A node cannot become another one';
const BAD_INFO = 'Malformed node information';
const BAD_CAST = 'A malformed cast';
const BAD_LENGTH = 'A message of an impossible length';
/** What an info message of the node `w2` must not say. */
const INFOS: readonly [string, unknown, string][] = [
  ['another id', nodeInfo('w9'), CANNOT_CHANGE],
  ['the id of another peer', nodeInfo('w1'), CANNOT_CHANGE],
  ['the id of the gate', nodeInfo('g1', 'gate'), CANNOT_CHANGE],
  ['another role', nodeInfo('w2', 'gate'), CANNOT_CHANGE],
  ['another boot', nodeInfo('w2', 'worker', '2'), CANNOT_CHANGE],
  ['a list', [], BAD_INFO],
  ['nothing', null, BAD_INFO],
  ['modules that are no list', { ...nodeInfo('w2'), modules: { length: 1 } }, BAD_INFO],
  ['a module that is no text', { ...nodeInfo('w2'), modules: [1] }, BAD_INFO],
  ['too many modules', { ...nodeInfo('w2'), modules: Array.from({ length: 10_001 }, () => 'm') }, BAD_INFO],
  ['a module whose name is too long', { ...nodeInfo('w2'), modules: ['m'.repeat(129)] }, BAD_INFO],
];

describe('nodes of the cluster that do not behave', () => {
  let neighbours: LinkNeighbours;
  let peers: RawLinkPeer[] = [];
  let gates: RawLinkGate[] = [];
  let probes: LinkProbe[] = [];

  beforeEach(async () => {
    neighbours = await LinkNeighbours.start(SECRET);
  });

  afterEach(async () => {
    for (const { socket } of peers) socket.destroy();
    for (const { link } of probes) await link.close({ drain: false });
    for (const gate of gates) await gate.end();
    peers = [];
    gates = [];
    probes = [];
    await neighbours.end();
  });

  async function dial(): Promise<RawLinkPeer> {
    const peer = await RawLinkPeer.dial(neighbours.port, SECRET);
    peers.push(peer);
    return peer;
  }

  /** Opens a link to a listener that is played by the test. Returns how that ended. */
  async function openTo(onPeer: (peer: RawLinkPeer) => void, role: NodeRole = 'worker'): Promise<string> {
    const gate = await RawLinkGate.listen(SECRET, onPeer);
    gates.push(gate);
    const there = `127.0.0.1:${gate.port}`;
    const url = role === 'gate' ? `tcp://127.0.0.1:${await freePort()}?peers=${there}` : `tcp://${there}`;
    const probe = new LinkProbe(new TcpLink({ url, secret: SECRET }), nodeInfo('w5', role));
    probes.push(probe);
    return probe.open().then(
      () => 'opened',
      (error: Error) => error.message,
    );
  }

  it('cannot pose as gates where no gate is expected', async () => {
    const peer = await dial();
    await peer.prove(nodeInfo('g2', 'gate'));
    expect(await peer.refusal()).toBe('A node of the role gate is not expected here');
    expect(neighbours.gate.story('g2')).toEqual([]);
    await neighbours.check();
    expect(neighbours.link.counters?.refused).toBe(1);
  });

  it.each<[string, NodeInfo]>([
    ['the worker', nodeInfo('w1', 'worker', '2')],
    ['the gate itself', nodeInfo('g1', 'worker', '2')],
  ])('cannot take the id of %s', async (_, info) => {
    const peer = await dial();
    await peer.prove(info);
    expect(await peer.refusal()).toBe(`The id "${info.id}" is taken`);
    await neighbours.check();
    expect(neighbours.link.counters?.refused).toBe(1);
  });

  it('cannot take an id between their proof and their readiness', async () => {
    const [first, second] = [await dial(), await dial()];
    await first.prove(nodeInfo('w2', 'worker', 'a'));
    await second.prove(nodeInfo('w2', 'worker', 'b'));
    await second.next(WIRE.proof);
    second.send(WIRE.ready);
    await second.next(WIRE.ready);
    await first.next(WIRE.proof);
    first.send(WIRE.ready);
    expect(await first.refusal()).toBe('The id "w2" is taken');
    expect(neighbours.gate.story('w2')).toEqual(['join b']);
    await neighbours.check();
  });

  it.each([WIRE.frame, WIRE.cast, WIRE.info, WIRE.bye, WIRE.proof])(
    'are not heard with the type %i before they are ready',
    async type => {
      const peer = await dial();
      await peer.prove(nodeInfo('w2'));
      await peer.next(WIRE.proof);
      peer.send(type, Buffer.alloc(40));
      peer.send(WIRE.ready);
      expect(await peer.refusal()).toBe('Not a nestgate node');
      expect(neighbours.gate.story('w2')).toEqual([]);
      expect(neighbours.gate.texts('w2')).toEqual([]);
      await neighbours.check();
    },
  );

  it.each(INFOS)('cannot announce %s', async (_, info, told) => {
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    peer.send(WIRE.info, text(info));
    expect(await peer.refusal()).toBe(told);
    await neighbours.alone();
    expect(neighbours.gate.story('w2')).toEqual(['join 1', 'lost']);
    expect(neighbours.gate.changes.filter(({ type }) => type === 'change')).toEqual([]);
    await neighbours.check();
    expect(neighbours.link.counters?.corrupt).toBe(1);
  });

  it.each(INFOS.slice(5))('cannot join with %s', async (_, info) => {
    const peer = await dial();
    await peer.prove(text(info));
    expect(await peer.refusal()).toBe(BAD_INFO);
    await neighbours.check();
  });

  it('cannot join with information of megabytes', async () => {
    const peer = await dial();
    await peer.prove(text({ ...nodeInfo('w2'), epoch: 'e'.repeat(2 * 1024 * 1024) })).catch(() => undefined);
    expect(await peer.refusal()).toBe(BAD_LENGTH);
    await neighbours.check();
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a length', Buffer.of(1)],
    ['a name that is longer than the message', Buffer.from([200, 0, 97, 97])],
  ])('are cut off with a cast of %s', async (_, content) => {
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    peer.send(WIRE.cast, content);
    expect(await peer.refusal()).toBe(BAD_CAST);
    await neighbours.alone();
    expect(neighbours.gate.story('w2')).toEqual(['join 1', 'lost']);
    await neighbours.check();
  });

  it.each([
    ['8 GiB', Buffer.of(0, 0, 0, 0, 2, 0, 0, 0)],
    ['17 MiB', Buffer.of(0, 0, 0x10, 1, 3)],
  ])('are cut off with a length of %s', async (_, head) => {
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    peer.raw(head);
    expect(await peer.refusal()).toBe(BAD_LENGTH);
    await neighbours.alone();
    await neighbours.check();
  });

  it('get no memory for what they only claim to send', async () => {
    const before = heldBytes();
    for (let i = 0; i < 20; i++) {
      const peer = await dial();
      await peer.join(nodeInfo(`w${10 + i}`));
      peer.raw(Buffer.concat([Buffer.of(0, 0, 0xf0, 0, 3), Buffer.alloc(1_000)]));
    }
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    peer.send(WIRE.frame, 'after them');
    await waitUntil('the frame', () => neighbours.gate.texts('w2').length === 1);
    expect(heldBytes() - before).toBeLessThan(32 * 1024 * 1024);
    await neighbours.check();
  });

  it('are skipped where they say what nobody knows yet', async () => {
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    for (const type of [0, 42, 255, WIRE.ready, WIRE.hello]) peer.send(type, 'from the future');
    peer.send(WIRE.frame, 'known');
    await waitUntil('the frame', () => neighbours.gate.texts('w2').length === 1);
    expect(neighbours.gate.texts('w2')).toEqual(['known']);
    await neighbours.check();
  });

  it.each<NodeRole>(['worker', 'api'])(
    'are not taken for a gate where a node of the role %s was dialled',
    async role => {
      const outcome = await openTo(peer => {
        peer.sayHello();
        void peer.next(WIRE.proof).then(async () => peer.send(WIRE.proof, await peer.proof(nodeInfo('g7', role))));
      });
      expect(outcome).toBe(`The cluster refuses this node: A node of the role ${role} is not expected here`);
    },
  );

  it('who listen cannot put lines into the log of those who dial', async () => {
    const outcome = await openTo(peer => peer.send(WIRE.refused, `no\r\n[Nest] fake \u001b[31m${'x'.repeat(5_00)}`));
    expect(outcome).toMatch(/^The cluster refuses this node: no\?\?\[Nest\] fake \?\[31mx{200,256}$/);
  });

  it('get nothing by giving a gate that dials its own proof back', async () => {
    let reflected = 0;
    const outcome = await openTo(peer => {
      void peer
        .next(WIRE.hello)
        .then(hello => peer.send(WIRE.hello, hello))
        .then(() => peer.next(WIRE.proof))
        .then(proof => {
          reflected++;
          peer.send(WIRE.proof, proof);
        });
    }, 'gate');
    expect(outcome).toBe('The cluster refuses this node: The secret is not the same');
    expect(reflected).toBe(1);
  });

  it('get nothing by handing what a gate says to its own listener', async () => {
    // The gate dials the test, which dials the gate: each hears the other's words.
    const port = await freePort();
    const middle = await RawLinkGate.listen(SECRET, peer => {
      void RawLinkPeer.dial(port, SECRET).then(other => {
        peers.push(other);
        for (const [from, to] of [
          [peer, other],
          [other, peer],
        ] as const) {
          from.socket.on('data', chunk => to.raw(chunk));
          for (const [type, content] of from.messages) to.raw(wireMessage(type, content));
        }
      });
    });
    gates.push(middle);
    const url = `tcp://127.0.0.1:${port}?peers=127.0.0.1:${middle.port}`;
    const gate = new LinkProbe(new TcpLink({ url, secret: SECRET }), nodeInfo('g5', 'gate'));
    probes.push(gate);
    await gate.open();
    expect(gate.changes).toEqual([]);
    expect(gate.link.peers().size).toBe(0);
  });
});
