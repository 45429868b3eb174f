import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LinkProbe } from '@nestgate/testing';
import { starvedMs, waitUntil } from '@nestgate/testing';
import { heldBytes } from '../support/held-memory.js';
import { LinkCluster } from '../support/link-cluster.js';
import { nodeInfo, RawLinkPeer, WIRE, wireMessage } from '../support/raw-link-peer.js';

const secret = 'a secret of the tests';
const MIB = 1024 * 1024;
const FRAME = 64 * 1024;
/** What the kernel may take on its own between two ends on this machine. */
const KERNEL = 16 * MIB;

describe('a peer of the tcp link that reads slowly', () => {
  const cluster = new LinkCluster({ secret });
  let gate: LinkProbe;
  let peer: RawLinkPeer;
  let pings: NodeJS.Timeout | undefined;

  beforeEach(async () => {
    gate = await cluster.openGate('g1');
    peer = await (await RawLinkPeer.dial(LinkCluster.portOf(gate), secret)).join(nodeInfo('w1'));
    // It lives, and only does not read.
    pings = setInterval(() => peer.send(WIRE.ping, Buffer.alloc(4)), 500);
  });

  afterEach(async () => {
    clearInterval(pings);
    peer.socket.destroy();
    await cluster.end();
  });

  /** Sends numbered frames until the link says so. Returns how many were accepted. */
  function sendUntil(result: 'congested' | 'refused', from: number): number {
    for (let number = from; ; number++) {
      const frame = Buffer.alloc(FRAME);
      frame.writeUInt32LE(number);
      const said = gate.link.send('w1', frame);
      if (said === result) return said === 'refused' ? number : number + 1;
      if (number > 4_000) throw new Error('It takes anything');
    }
  }

  const numbers = (): number[] =>
    peer.messages.filter(([type]) => type === WIRE.frame).map(([, content]) => content.readUInt32LE(0));

  it('is congested above 1 MiB, and gets nothing more above 64 MiB; what was accepted comes in order', async () => {
    peer.socket.pause();
    const congested = sendUntil('congested', 0);
    expect(congested * FRAME).toBeGreaterThan(MIB);
    expect(congested * FRAME).toBeLessThan(KERNEL);
    const accepted = sendUntil('refused', congested);
    expect(accepted * FRAME).toBeGreaterThan(64 * MIB);
    expect(accepted * FRAME).toBeLessThan(64 * MIB + KERNEL);
    expect(gate.drains).toEqual([]);

    peer.socket.resume();
    await waitUntil('the drain', () => gate.drains.length > 0);
    expect(gate.drains).toEqual(['w1']);
    expect(gate.link.send('w1', Buffer.alloc(FRAME))).toBe('sent');
    await waitUntil('all that was accepted', () => numbers().length === accepted + 1, 15_000);
    expect(numbers().slice(0, accepted)).toEqual(Array.from({ length: accepted }, (_, i) => i));
    expect(gate.story('w1')).toEqual(['join 1']);
  });

  it('is reported as drained while the sender continues, once per congestion', async () => {
    for (let round = 1; round <= 3; round++) {
      peer.socket.pause();
      const sent = numbers().length;
      sendUntil('congested', sent);
      expect(gate.drains).toHaveLength(round - 1);
      peer.socket.resume();
      await waitUntil('the drain', () => {
        // A few more all the time, so that nothing ever is quite empty.
        if (gate.drains.length < round) gate.link.send('w1', Buffer.alloc(FRAME));
        return gate.drains.length === round;
      });
      await waitUntil('the rest', async () => {
        const before = numbers().length;
        await new Promise(resolve => setImmediate(resolve));
        return before > sent && gate.link.send('w1', Buffer.alloc(4)) === 'sent';
      });
    }
    expect(gate.drains).toEqual(['w1', 'w1', 'w1']);
  });

  it('takes what it was owed to its grave: the memory is free when it is gone', async () => {
    const before = heldBytes();
    peer.socket.pause();
    sendUntil('refused', 0);
    expect(heldBytes() - before).toBeGreaterThan(32 * MIB);
    peer.socket.resetAndDestroy();
    await once(peer.socket, 'close');
    await waitUntil('the loss', () => !gate.knows('w1'));
    expect(gate.story('w1')).toEqual(['join 1', 'lost']);
    await waitUntil('the memory', () => heldBytes() - before < 8 * MIB);
  });

  it('does not keep the gate from closing for longer than it has to', async () => {
    peer.socket.pause();
    sendUntil('refused', 0);
    const [since, starved] = [performance.now(), starvedMs()];
    await gate.link.close({ drain: true });
    const tookMs = performance.now() - since;
    expect(tookMs - (starvedMs() - starved)).toBeLessThan(8_000);
    expect(tookMs).toBeGreaterThan(4_000);
  });

  it('may send a frame in the smallest pieces, and others do not wait for it', async () => {
    const other = await cluster.openWorker(`127.0.0.1:${LinkCluster.portOf(gate)}`, { id: 'w2' });
    const message = wireMessage(WIRE.frame, Buffer.alloc(2_000, 'x'));
    for (const byte of message) {
      await new Promise<unknown>(resolve => peer.socket.write(Buffer.of(byte), resolve));
      other.link.send('g1', Buffer.from('between'));
    }
    await waitUntil('the frame', () => gate.texts('w1').length === 1 && gate.texts('w2').length === message.length);
    expect(gate.texts('w1')).toEqual(['x'.repeat(2_000)]);
  });
});
