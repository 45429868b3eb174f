import { afterEach, describe, expect, it } from '@jest/globals';
import { count, text } from './codec.js';
import { LinkNode } from './link-node.js';
import type { Link, LinkEvents, NodeInfo, SendResult } from './link.js';
import { castOp, nodeOp, sum } from './operation.js';
import type { Peer } from './peer.js';
import { PendingCall } from './pending.js';

const tell = castOp(1, text, count, sum, () => 'all');
const ask = nodeOp(2, 'required', text, text);

const nodeInfo = (id: string): NodeInfo => ({ id, role: 'gate', epoch: 'e1', modules: [], draining: false });

/** A link that keeps what is sent, as `<node or channel> <messages>`. */
class StillLink implements Link {
  readonly routesChannels = true;
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
    for (const node of nodes.splice(0)) await node.close({ drain: false });
  });

  async function start(count: number) {
    const link = new StillLink();
    const node = new LinkNode({ link, self: nodeInfo('g0') });
    nodes.push(node);
    await node.open();
    for (let n = 1; n <= count; n++) link.events?.onPeer({ type: 'join', node: nodeInfo(`g${n}`) });
    return { link, node, peers: [...node.peers.values()].filter(({ isSelf }) => !isSelf) };
  }

  it('to a channel never overtakes what was written to a peer before, nor the other way round', async () => {
    const { link, node, peers } = await start(2);
    const [one, two] = peers as [Peer, Peer];
    node.notify(one, tell, '<a>');
    node.notify(two, tell, '<b>');
    void node.cast('x', tell, '<c>');
    void node.cast('x', tell, '<d>');
    node.notify(two, tell, '<e>');
    void node.cast('x', tell, '<f>');
    void node.cast('y', tell, '<g>');
    node.notify(one, tell, '<h>');
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
      node.notify(peers[n % peers.length] as Peer, tell, '<a>');
      void node.cast('x', tell, '<b>');
    }
    node.flush();
    expect(looks).toBe(turns);
  });

  it('and is refused ends its own requests, in order, and looks at no others', async () => {
    const { link, node, peers } = await start(1);
    const [peer] = peers as [Peer];
    const request = (word: string): Promise<unknown> => {
      const pending = new PendingCall(ask);
      node.request(peer, ask, word, pending, performance.now() + 60_000);
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
    const [peer] = peers as [Peer];
    const large = 'x'.repeat(200_000);
    for (let n = 0; n < 12; n++) node.notify(peer, tell, large);
    node.flush();
    expect(peer.backlog.isEmpty).toBe(false);
    link.events?.onPeer({ type: 'lost', id: 'g1' });
    const { refused } = node.counters;
    node.notify(peer, tell, large);
    node.flush();
    expect([peer.backlog.isEmpty, node.counters.refused, peer.whenDrained()]).toEqual([true, refused + 1, undefined]);
  });
});
