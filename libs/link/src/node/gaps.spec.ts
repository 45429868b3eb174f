import { afterEach, describe, expect, it } from '@jest/globals';
import { createCaller } from './caller.js';
import { struct, text } from '../wire/codec.js';
import { MemoryBus } from '../drivers/memory/memory-link.js';
import { LinkNode } from './link-node.js';
import type { Link, LinkEvents } from '../link.js';
import { nodeOp, ownerOp } from '../wire/operation.js';
import type { Peer } from '../peer/peer.js';
import { PendingCall } from '../peer/pending.js';

const contract = {
  ask: ownerOp(1, struct({ clientId: text, word: text }), text),
  tell: nodeOp(2, 'never', text, text),
  item: { ...nodeOp(3, 'never', text, text), leavesGap: true },
} as const;

const LATER_MS = 60_000;
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
async function turns(count = 6): Promise<void> {
  for (let n = 0; n < count; n++) await turn();
}

/** A memory link that can lose what it is given, without saying so, or refuse it. */
class LossyLink {
  isLosing = false;
  isRefusing = false;
  events: LinkEvents | undefined;

  constructor(readonly link: Link) {
    const send = link.send.bind(link);
    link.send = (to, frame) => {
      if (this.isRefusing) return 'refused';
      return this.isLosing ? 'sent' : send(to, frame);
    };
    const open = link.open.bind(link);
    link.open = (self, events) => {
      this.events = events;
      return open(self, events);
    };
  }
}

describe('A gap in the batches of a peer', () => {
  const bus = new MemoryBus();
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  async function start(id: string) {
    const lossy = new LossyLink(bus.link());
    const node = new LinkNode({
      link: lossy.link,
      self: { id, role: 'gate', epoch: 'e1', modules: [], draining: false },
    });
    nodes.push(node);
    const calls: string[] = [];
    const answers: (() => void)[] = [];
    node.dispatcher.serve(contract, {
      ask: ({ word }) => {
        calls.push(word);
        if (word === 'quick') return word;
        return new Promise<string>(resolve => answers.push(() => resolve(word)));
      },
      tell: () => undefined,
      item: () => undefined,
    });
    await node.open();
    const caller = createCaller(node, contract);
    /** Asks a peer, and says how that has ended. */
    const ask = (to: string, word: string): Promise<string> => {
      const pending = new PendingCall<{ clientId: string; word: string }, string>(contract.ask);
      const args = { clientId: `${to}.e1.1`, word };
      (node.peers.get(to) as Peer).request(contract.ask, args, pending, performance.now() + LATER_MS);
      return pending.promise.catch((error: unknown) => (error as { code: string }).code);
    };
    return { lossy, node, caller, calls, answers, ask };
  }

  it('ends at once what it may have answered in them, and nothing of other peers', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    await start('w2');
    const [lost, slow, other] = [gate.ask('w1', 'lost'), gate.ask('w1', 'slow'), gate.ask('w2', 'other')];
    await turns();
    worker.lossy.isLosing = true;
    worker.answers[0]?.();
    await turns();
    worker.lossy.isLosing = false;
    expect(gate.node.waitingCount).toBe(3);
    // The batch that shows the gap answers a request itself: that one is not in doubt.
    expect(await gate.ask('w1', 'quick')).toBe('quick');
    expect(await Promise.all([lost, slow])).toEqual(['NODE_LOST', 'NODE_LOST']);
    expect([gate.node.counters.gaps, gate.node.counters.late, gate.node.waitingCount]).toEqual([1, 0, 1]);

    // What was not lost comes later, and is nobody's; no handler has run twice.
    worker.answers[1]?.();
    await turns();
    expect(gate.node.counters.late).toBe(1);
    expect(worker.calls).toEqual(['lost', 'slow', 'quick']);
    await gate.node.close();
    expect(await other).toBe('LINK_CLOSED');
  });

  it('is told to the peer, which ends what was in them, and nothing else', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    const before = gate.ask('w1', 'before');
    await turns();
    gate.lossy.isLosing = true;
    const lost = gate.ask('w1', 'lost');
    await turns();
    gate.lossy.isLosing = false;
    const after = gate.ask('w1', 'after');
    expect(await lost).toBe('NODE_LOST');
    expect(gate.node.waitingCount).toBe(2);
    for (const answer of worker.answers) answer();
    expect(await Promise.all([before, after])).toEqual(['before', 'after']);
    expect(worker.calls).toEqual(['before', 'after']);
  });

  it.each(['answers', 'requests'])(
    'with %s is noticed when the connection is back, without another message',
    async what => {
      const [gate, worker] = [await start('g1'), await start('w1')];
      const side = what === 'answers' ? worker : gate;
      if (what === 'requests') side.lossy.isLosing = true;
      const asked = gate.ask('w1', 'asked');
      await turns();
      side.lossy.isLosing = true;
      for (const answer of worker.answers) answer();
      await turns();
      side.lossy.isLosing = false;
      expect(gate.node.waitingCount).toBe(1);
      // It is the worker whose connection was broken.
      worker.lossy.events?.onStatus(false);
      worker.lossy.events?.onStatus(true);
      expect(await asked).toBe('NODE_LOST');
    },
  );

  it.each(['the status of the whole link', 'the driver'])(
    'is one too where answers were refused, by %s, without another message',
    async who => {
      const [gate, worker] = [await start('g1'), await start('w1')];
      const asked = gate.ask('w1', 'asked');
      await turns();
      // Only the worker notices that it cannot send, as when it comes back to a broker later than others.
      const setUp = (isUp: boolean) => {
        if (who === 'the driver') worker.lossy.isRefusing = !isUp;
        else worker.lossy.events?.onStatus(isUp);
      };
      setUp(false);
      for (const answer of worker.answers) answer();
      await turns();
      expect(gate.node.waitingCount).toBe(1);
      setUp(true);
      expect(await asked).toBe('NODE_LOST');
      expect([gate.node.counters.gaps, worker.node.counters.gaps]).toEqual([1, 0]);
      expect(await gate.ask('w1', 'quick')).toBe('quick');
      expect(gate.node.counters.gaps).toBe(1);
    },
  );

  it('is one too where an item of a stream was refused: its end would not be the end of a whole answer', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    const asked = gate.ask('w1', 'asked');
    await turns();
    worker.lossy.events?.onStatus(false);
    (worker.node.peers.get('g1') as Peer).notify(contract.item, 'one of three');
    await turns();
    worker.lossy.events?.onStatus(true);
    for (const answer of worker.answers) answer();
    expect(await asked).toBe('NODE_LOST');
    expect(gate.node.counters.gaps).toBe(1);
  });

  it('is no gap where a request was refused, which ends at once', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    const asked = gate.ask('w1', 'asked');
    await turns();
    gate.lossy.isRefusing = true;
    expect(await gate.ask('w1', 'refused')).toBe('LINK_UNAVAILABLE');
    gate.lossy.isRefusing = false;
    expect(await gate.ask('w1', 'quick')).toBe('quick');
    for (const answer of worker.answers) answer();
    expect(await asked).toBe('asked');
    expect([gate.node.counters.gaps, worker.node.counters.gaps]).toEqual([0, 0]);
  });

  it('is one too where an answer was refused because too much waited for the peer', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    const asked = gate.ask('w1', 'asked');
    await turns();
    const { backlog } = worker.node.remotes.get('g1') ?? {};
    backlog?.push({ frame: [], bytes: 128 * 1024 * 1024, messages: 1, lastRequest: undefined, leavesGap: false });
    for (const answer of worker.answers) answer();
    await turns();
    backlog?.clear();
    expect(worker.node.counters.refused).toBe(1);
    expect(await asked).toBe('NODE_LOST');
  });

  it('is one too when its numbers begin again: it does not know the requests of before', async () => {
    const [gate, worker] = [await start('g1'), await start('w1')];
    await turns();
    for (let n = 0; n < 3; n++) expect(await gate.ask('w1', 'quick')).toBe('quick');
    const asked = gate.ask('w1', 'asked');
    await turns();
    // The worker takes the gate for lost and meets it again; the gate has not noticed.
    worker.lossy.events?.onPeer({ type: 'lost', id: 'g1' });
    worker.lossy.events?.onPeer({ type: 'join', node: gate.node.info });
    (worker.node.peers.get('g1') as Peer).notify(contract.tell, 'here I am');
    expect(await asked).toBe('NODE_LOST');
    expect(gate.node.counters.gaps).toBe(0);
    // The answer to the peer of before is not sent; its key would fit nothing.
    worker.answers[0]?.();
    await turns();
    expect(gate.node.waitingCount).toBe(0);
  });
});
