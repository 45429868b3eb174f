import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { count, text } from '../wire/codec.js';
import { Linger } from './linger.js';
import { LinkNode } from '../node/link-node.js';
import type { Link, LinkEvents, NodeInfo, SendResult } from '../link.js';
import { castOp, nodeOp, sum } from '../wire/operation.js';
import type { RemotePeer } from './remote-peer.js';
import { PendingCall } from './pending.js';

const tell = castOp(1, text, count, sum, () => 'all');
const ask = nodeOp(2, 'required', text, text);
const calm = { ...nodeOp(3, 'required', text, text), lingers: true };

const nodeInfo = (id: string): NodeInfo => ({ id, role: 'gate', epoch: 'e1', modules: [], draining: false });

/** A link that keeps what is sent, as `<node or channel> <messages>`. */
class StillLink implements Link {
  readonly routesChannels = true;
  lingers = false;
  readonly sent: string[] = [];
  result: SendResult = 'sent';
  events: LinkEvents | undefined;

  async open(_self: NodeInfo, events: LinkEvents): Promise<void> {
    this.events = events;
  }
  peers(): ReadonlyMap<string, NodeInfo> {
    return new Map();
  }
  announce(): void {}
  send(to: string, frame: Buffer): SendResult {
    if (this.result !== 'refused') this.sent.push(`${to} ${wordsIn(frame)}`);
    return this.result;
  }
  cast(channel: string, frame: Buffer): SendResult {
    this.sent.push(`#${channel} ${wordsIn(frame)}`);
    return 'sent';
  }
  async join(): Promise<void> {}
  leave(): void {}
  async close(): Promise<void> {}
}

const wordsIn = (frame: Buffer): string => frame.toString('latin1').match(/<\w+>/g)?.join('') ?? '';

describe('what leaves a node', () => {
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    jest.restoreAllMocks();
    jest.useRealTimers();
    for (const node of nodes.splice(0)) await node.close({ drain: false });
  });

  async function start(count: number, lingers = false) {
    const link = new StillLink();
    link.lingers = lingers;
    const node = new LinkNode({ link, self: nodeInfo('g0') });
    nodes.push(node);
    await node.open();
    for (let n = 1; n <= count; n++) link.events?.onPeer({ type: 'join', node: nodeInfo(`g${n}`) });
    return { link, node, peers: [...node.remotes.values()] };
  }

  it('to a channel never overtakes what was written to a peer before, nor the other way round', async () => {
    const { link, node, peers } = await start(2);
    const [one, two] = peers as [RemotePeer, RemotePeer];
    one.notify(tell, '<a>');
    two.notify(tell, '<b>');
    void node.cast('x', tell, '<c>');
    void node.cast('x', tell, '<d>');
    two.notify(tell, '<e>');
    void node.cast('x', tell, '<f>');
    void node.cast('y', tell, '<g>');
    one.notify(tell, '<h>');
    node.flush();
    expect(link.sent).toEqual(['g1 <a>', 'g2 <b>', '#x <c><d>', 'g2 <e>', '#x <f>', '#y <g>', 'g1 <h>']);
  });

  it.each([100, 1_000])('to channels and peers in turns looks at each listed peer once (%i turns)', async turns => {
    const { node, peers } = await start(50);
    let looks = 0;
    for (const peer of peers) {
      const take = peer.urgent.take.bind(peer.urgent);
      peer.urgent.take = () => (looks++, take());
    }
    for (let n = 0; n < turns; n++) {
      (peers[n % peers.length] as RemotePeer).notify(tell, '<a>');
      void node.cast('x', tell, '<b>');
    }
    node.flush();
    expect(looks).toBe(turns);
  });

  it('and is refused ends its own requests, in order, and looks at no others', async () => {
    const { link, node, peers } = await start(1);
    const [peer] = peers as [RemotePeer];
    const request = (word: string): Promise<unknown> => {
      const pending = new PendingCall(ask);
      peer.request(ask, word, pending, performance.now() + 60_000);
      return pending.promise.then(
        () => word,
        ({ code }: { code: string }) => code,
      );
    };
    const waiting = Array.from({ length: 5_000 }, () => request('<waits>'));
    node.flush();
    let looks = 0;
    const slots = (peer.requests as unknown as { slots: unknown[] }).slots;
    const filter = slots.filter.bind(slots);
    slots.filter = ((...args: [never]) => (looks++, filter(...args))) as typeof slots.filter;
    link.result = 'refused';
    for (let n = 0; n < 100; n++) {
      const refused = [request('<a>'), request('<b>')];
      node.flush();
      expect(await Promise.all(refused)).toEqual(['LINK_UNAVAILABLE', 'LINK_UNAVAILABLE']);
    }
    expect([looks, node.waitingCount, node.counters.refused]).toEqual([0, 5_000, 200]);
    await node.close({ drain: false });
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['LINK_CLOSED']));
  });

  it('to a peer that is lost is refused, also when it had taken nothing for long: it is not kept for nobody', async () => {
    const { link, node, peers } = await start(1);
    const [peer] = peers as [RemotePeer];
    const large = 'x'.repeat(200_000);
    for (let n = 0; n < 12; n++) peer.notify(tell, large);
    node.flush();
    expect(peer.backlog.isEmpty).toBe(false);
    link.events?.onPeer({ type: 'lost', id: 'g1' });
    const { refused } = node.counters;
    peer.notify(tell, large);
    node.flush();
    expect([peer.backlog.isEmpty, node.counters.refused, peer.whenDrained()]).toEqual([true, refused + 1, undefined]);
  });

  describe('on a link where messages may wait for others', () => {
    function request(peer: RemotePeer, word: string): Promise<unknown> {
      const pending = new PendingCall(calm);
      peer.request(calm, word, pending, performance.now() + 60_000);
      return pending.promise.catch(({ code }: { code: string }) => code);
    }

    /** Ends the turn of the event loop, with frozen time. */
    const endTurn = (): void => {
      jest.advanceTimersByTime(0);
    };

    async function startWaiting() {
      const started = await start(2, true);
      jest.spyOn(Linger.prototype, 'waits').mockReturnValue(true);
      jest.useFakeTimers();
      return started;
    }

    it('leaves in order after a millisecond, in one batch for each peer', async () => {
      const { link, peers } = await startWaiting();
      const [one, two] = peers as [RemotePeer, RemotePeer];
      for (const word of ['<a>', '<b>', '<c>']) {
        void request(one, word);
        void request(two, word);
        endTurn();
      }
      expect(link.sent).toEqual([]);
      jest.advanceTimersByTime(1);
      expect(link.sent).toEqual(['g1 <a><b><c>', 'g2 <a><b><c>']);
      void request(one, '<d>');
      endTurn();
      expect(link.sent).toHaveLength(2);
      jest.advanceTimersByTime(1);
      expect(link.sent.slice(2)).toEqual(['g1 <d>']);
    });

    it('leaves with the first message that does not wait', async () => {
      const { link, node, peers } = await startWaiting();
      const [one, two] = peers as [RemotePeer, RemotePeer];
      void request(one, '<a>');
      endTurn();
      two.notify(tell, '<b>');
      endTurn();
      expect(link.sent).toEqual(['g1 <a>', 'g2 <b>']);
      void request(one, '<c>');
      endTurn();
      void node.cast('x', tell, '<d>');
      void request(one, '<e>');
      endTurn();
      expect(link.sent.slice(2)).toEqual(['g1 <c>', '#x <d>', 'g1 <e>']);
    });

    it('is sent before the node leaves, and ends with it otherwise', async () => {
      const { link, node, peers } = await startWaiting();
      const [one, two] = peers as [RemotePeer, RemotePeer];
      const lost = request(two, '<a>');
      const sent = request(one, '<b>');
      endTurn();
      link.events?.onPeer({ type: 'lost', id: 'g2' });
      expect(await lost).toBe('NODE_LOST');
      jest.useRealTimers();
      await node.close({ drain: true });
      expect(link.sent).toEqual(['g1 <b>']);
      expect(await sent).toBe('LINK_CLOSED');
    });

    it('does not wait where the rate is low', async () => {
      const { link, peers } = await start(1, true);
      jest.useFakeTimers();
      void request(peers[0] as RemotePeer, '<a>');
      endTurn();
      expect(link.sent).toEqual(['g1 <a>']);
    });
  });
});
