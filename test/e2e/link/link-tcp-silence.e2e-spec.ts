import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { LinkProbe, waitUntil } from '@nestgate/testing';
import { heldBytes } from '../support/held-memory.js';
import { LinkNeighbours } from '../support/link-neighbours.js';
import { nodeInfo, RawLinkPeer, WIRE, wireMessage } from '../support/raw-link-peer.js';

const SECRET = 'a secret of the tests';
/** Silence is closed by then, in milliseconds. */
const CLOSED_MS = 5_000;
const MAX_UNAUTHENTICATED = 64;

/** How far a connection comes before nothing more is said on it. */
const STAGES: readonly [string, (peer: RawLinkPeer) => void | Promise<void>][] = [
  ['nothing', () => undefined],
  ['half a header', peer => peer.raw(Buffer.of(33, 0, 0))],
  ['half a hello', peer => peer.raw(wireMessage(WIRE.hello, Buffer.alloc(33, 1)).subarray(0, 20))],
  ['a hello', peer => peer.sayHello()],
  [
    'a hello and half a proof',
    async peer => {
      peer.sayHello();
      const proof = wireMessage(WIRE.proof, await peer.proof(nodeInfo('w2')));
      peer.raw(proof.subarray(0, proof.length / 2));
    },
  ],
  [
    'a hello and a proof',
    async peer => {
      await peer.prove(nodeInfo('w2'));
      await peer.next(WIRE.proof);
    },
  ],
];

describe('silence towards a gate of the tcp link', () => {
  let neighbours: LinkNeighbours;
  let peers: RawLinkPeer[] = [];

  beforeEach(async () => {
    neighbours = await LinkNeighbours.start(SECRET);
  });

  afterEach(async () => {
    for (const { socket } of peers) socket.destroy();
    peers = [];
    await neighbours.end();
  });

  async function dial(): Promise<RawLinkPeer> {
    const peer = await RawLinkPeer.dial(neighbours.port, SECRET);
    peers.push(peer);
    return peer;
  }

  it('is closed within five seconds, however far the handshake has come', async () => {
    const since = performance.now();
    await Promise.all(STAGES.map(async ([, say]) => say(await dial())));
    await waitUntil('all to be closed', () => peers.every(peer => peer.isEnded), 2 * CLOSED_MS);
    expect(performance.now() - since).toBeLessThan(CLOSED_MS);
    expect(neighbours.link.counters).toMatchObject({ silent: STAGES.length, corrupt: 0, unauthorized: 0 });
    expect(neighbours.gate.story('w2')).toEqual([]);
    await neighbours.check();
  });

  it('is not broken by a byte now and then', async () => {
    const peer = await dial();
    const since = performance.now();
    const bytes = Buffer.concat([
      wireMessage(WIRE.hello, Buffer.concat([Buffer.of(2), peer.nonce])),
      Buffer.alloc(100),
    ]);
    for (let i = 0; !peer.isEnded && performance.now() - since < 2 * CLOSED_MS; i++) {
      peer.raw(bytes.subarray(i, i + 1));
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    expect(performance.now() - since).toBeLessThan(CLOSED_MS);
    expect(neighbours.link.counters?.silent).toBe(1);
    await neighbours.check();
  });

  it('is no matter of how many bytes come at once: one by one they make a peer all the same', async () => {
    const peer = await dial();
    const drip = async (message: Buffer) => {
      for (const byte of message) {
        await new Promise<unknown>(resolve => peer.socket.write(Buffer.of(byte), resolve));
        await new Promise(resolve => setImmediate(resolve));
      }
    };
    await drip(wireMessage(WIRE.hello, Buffer.concat([Buffer.of(2), peer.nonce])));
    await drip(wireMessage(WIRE.proof, await peer.proof(nodeInfo('w2'))));
    await peer.next(WIRE.proof);
    await drip(wireMessage(WIRE.ready));
    await peer.next(WIRE.ready);
    await drip(wireMessage(WIRE.frame, 'slow'));
    await waitUntil('the frame', () => neighbours.gate.texts('w2').length === 1);
    expect(neighbours.gate.texts('w2')).toEqual(['slow']);
    await neighbours.check();
  });

  it('of a peer is its death', async () => {
    const peer = await dial();
    await peer.join(nodeInfo('w2'));
    const since = performance.now();
    await waitUntil('the loss', () => neighbours.gate.story('w2').length === 2, CLOSED_MS);
    // To the millisecond it is tested where the clock can be set.
    expect(performance.now() - since).toBeGreaterThan(3_000);
    expect(neighbours.gate.story('w2')).toEqual(['join 1', 'lost']);
    expect(neighbours.gate.link.send('w2', Buffer.from('x'))).toBe('refused');
    await neighbours.check();
  });

  it('of 500 connections is refused beyond 64, and keeps no worker out for long', async () => {
    const before = heldBytes();
    await Promise.all(Array.from({ length: 500 }, dial));
    const openPeers = () => peers.filter(peer => !peer.isEnded);
    await waitUntil('the gate to refuse', () => openPeers().length <= MAX_UNAUTHENTICATED);
    expect(openPeers()).toHaveLength(MAX_UNAUTHENTICATED);
    expect(neighbours.link.counters?.overflow).toBe(500 - MAX_UNAUTHENTICATED);
    expect(heldBytes() - before).toBeLessThan(32 * 1024 * 1024);

    const worker = new LinkProbe(
      new TcpLink({ url: `tcp://127.0.0.1:${neighbours.port}`, secret: SECRET }),
      nodeInfo('w3'),
    );
    await worker.open();
    try {
      await neighbours.gate.meets('w3');
      // It has made its way in while the others were still there.
      expect(openPeers().length).toBeGreaterThan(MAX_UNAUTHENTICATED / 2);
      await waitUntil('all to be closed', () => openPeers().length === 0, CLOSED_MS);
    } finally {
      await worker.link.close({ drain: true });
    }
    await neighbours.alone();
    await neighbours.check();
  });

  describe.each(STAGES)('after %s', (_, say) => {
    it.each([
      ['the end of the stream', (peer: RawLinkPeer) => peer.socket.end()],
      ['a reset', (peer: RawLinkPeer) => peer.socket.resetAndDestroy()],
    ])('ends with %s, and leaves nothing behind', async (__, end) => {
      const peer = await dial();
      await say(peer);
      end(peer);
      await waitUntil('the end', () => peer.isEnded);
      // All places for unauthenticated connections are free again.
      const others = await Promise.all(Array.from({ length: MAX_UNAUTHENTICATED }, dial));
      await Promise.all(others.map(other => other.next(WIRE.hello)));
      expect(neighbours.link.counters).toEqual({ overflow: 0, silent: 0, unauthorized: 0, corrupt: 0, refused: 0 });
      expect(neighbours.gate.story('w2')).toEqual([]);
      await neighbours.check();
    });
  });
});
