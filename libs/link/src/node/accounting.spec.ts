import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createCaller } from './caller.js';
import { count, nothing, struct, text } from '../wire/codec.js';
import { MemoryBus } from '../drivers/memory/memory-link.js';
import { LinkNode } from './link-node.js';
import { ALL_GATES, type LinkEvents, type NodeRole } from '../link.js';
import { castOp, nodeOp, sum } from '../wire/operation.js';
import type { Peer } from '../peer/peer.js';

const contract = {
  tell: nodeOp(1, 'never', struct({ number: count }), nothing),
  shout: castOp(2, struct({ group: text, number: count }), count, sum, ({ group }) =>
    group === ALL_GATES ? ALL_GATES : `group:${group}`,
  ),
} as const;

/** Longer than it takes to acknowledge what was sent, in milliseconds. */
const ACKNOWLEDGED_MS = 1_300;
/** Longer than a channel is new, in milliseconds. */
const SETTLED_MS = 700;

/** A node on a link that loses what the test wants it to lose. */
interface Lossy {
  readonly node: LinkNode;
  readonly events: LinkEvents;
  readonly received: number[];
  /** What is lost. */
  loses: 'nothing' | 'casts' | 'all';
}

describe('what was sent and has not arrived', () => {
  const bus = new MemoryBus();
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  async function start(id: string, role: NodeRole = 'gate'): Promise<Lossy> {
    const link = bus.link();
    const open = link.open.bind(link);
    let told!: LinkEvents;
    link.open = (self, events) => {
      told = events;
      return open(self, {
        ...events,
        onFrame: (from, frame) => {
          const isCast = frame.readUInt32LE(1) === 0;
          if (lossy.loses === 'nothing' || (lossy.loses === 'casts' && !isCast)) events.onFrame(from, frame);
        },
      });
    };
    const node = new LinkNode({ link, self: { id, role, epoch: 'e1', modules: [], draining: false } });
    const received: number[] = [];
    node.dispatcher.serve(contract, {
      tell: ({ number }) => void received.push(number),
      shout: ({ number }) => received.push(number),
    });
    nodes.push(node);
    await node.open();
    const lossy: Lossy = { node, events: told, received, loses: 'nothing' };
    return lossy;
  }

  async function tell(from: Lossy, to: string, number: number): Promise<void> {
    (from.node.peers.get(to) as Peer).notify(contract.tell, { number });
    await delay(2);
  }

  it('is counted in messages by its sender, which the receiver tells how far it has come', async () => {
    const [worker, gate] = [await start('w1', 'worker'), await start('g1')];
    for (let number = 0; number < 20; number++) {
      gate.loses = number >= 5 && number < 12 ? 'all' : 'nothing';
      for (let i = 0; i < 3; i++) (worker.node.peers.get('g1') as Peer).notify(contract.tell, { number });
      await delay(2);
    }
    await delay(ACKNOWLEDGED_MS);
    expect(gate.received).toHaveLength(39);
    expect(worker.node.counters.uncertain).toBe(21);
    expect(gate.node.counters.gaps).toBe(7);
    await delay(ACKNOWLEDGED_MS);
    expect(worker.node.counters.uncertain).toBe(21);
  });

  it('is counted when nothing comes after it', async () => {
    const [worker, gate] = [await start('w1', 'worker'), await start('g1')];
    await tell(worker, 'g1', 1);
    gate.loses = 'all';
    await tell(worker, 'g1', 2);
    gate.loses = 'nothing';
    await delay(ACKNOWLEDGED_MS);
    expect(worker.node.counters.uncertain).toBe(1);
  });

  it('is uncertain when its peer is lost, as far as it was not acknowledged', async () => {
    const [worker, gate] = [await start('w1', 'worker'), await start('g1')];
    for (let number = 0; number < 10; number++) await tell(worker, 'g1', number);
    await delay(ACKNOWLEDGED_MS);
    gate.loses = 'all';
    for (let number = 0; number < 7; number++) await tell(worker, 'g1', number);
    worker.events.onPeer({ type: 'lost', id: 'g1' });
    expect(worker.node.counters.uncertain).toBe(7);
  });

  it('is nothing when all is well, also for peers that come and go', async () => {
    const worker = await start('w1', 'worker');
    const gates = [await start('g1'), await start('g2')];
    const caller = createCaller(worker.node, contract);
    for (let number = 0; number < 60; number++) {
      await tell(worker, 'g1', number);
      if (number === 20) await gates[1]?.node.join('group:a');
      if (number === 40) gates[1]?.node.leave('group:a');
      if (number === 30) gates.push(await start('g3'));
      if (number === 31) await gates[2]?.node.join('group:a');
      for (const group of ['a', 'b', ALL_GATES]) void caller.shout.cast({ group, number });
      await delay(30);
    }
    await gates[2]?.node.close();
    await delay(ACKNOWLEDGED_MS);
    const clean = { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0 };
    for (const { node } of [worker, ...gates]) expect(node.counters).toMatchObject(clean);
  });

  it('to a channel is noticed by the gates that have joined it, counted by them, and told to the sender', async () => {
    const worker = await start('w1', 'worker');
    const [g1, g2, g3] = [await start('g1'), await start('g2'), await start('g3')];
    for (const gate of [g1, g2]) await gate.node.join('group:a');
    await g3.node.join('group:b');
    await delay(SETTLED_MS);
    const caller = createCaller(worker.node, contract);
    for (let number = 0; number < 60; number++) {
      // The first ones, those in the middle, and the last ones.
      g2.loses = number < 5 || (number >= 20 && number < 30) || number >= 57 ? 'casts' : 'nothing';
      for (const group of ['a', 'nobody', ALL_GATES]) void caller.shout.cast({ group, number });
      await delay(5);
    }
    g2.loses = 'nothing';
    await delay(ACKNOWLEDGED_MS);
    expect([g1, g2, g3].map(({ received }) => received.length)).toEqual([120, 84, 60]);
    expect([g1, g2, g3].map(({ node }) => node.counters.gaps)).toEqual([0, 36, 0]);
    expect(worker.node.counters.uncertain).toBe(36);
  });

  it('to a channel is uncertain when a gate is lost that has not acknowledged it', async () => {
    const worker = await start('w1', 'worker');
    const [g1, g2] = [await start('g1'), await start('g2')];
    for (const gate of [g1, g2]) await gate.node.join('group:a');
    await delay(SETTLED_MS);
    const caller = createCaller(worker.node, contract);
    for (let number = 0; number < 10; number++) void caller.shout.cast({ group: 'a', number });
    await delay(ACKNOWLEDGED_MS);
    expect(worker.node.counters.uncertain).toBe(0);
    g2.loses = 'all';
    for (let number = 0; number < 8; number++) void caller.shout.cast({ group: 'a', number });
    await delay(5);
    worker.events.onPeer({ type: 'lost', id: 'g2' });
    expect(worker.node.counters.uncertain).toBe(8);
    await delay(ACKNOWLEDGED_MS);
    expect(worker.node.counters.uncertain).toBe(8);
    expect(g1.received).toHaveLength(18);
  });

  it('to a channel is uncertain too when it was to leave at the end of the turn in which a gate is lost', async () => {
    const worker = await start('w1', 'worker');
    const [g1, g2] = [await start('g1'), await start('g2')];
    for (const gate of [g1, g2]) await gate.node.join('group:a');
    g1.loses = 'all';
    void createCaller(worker.node, contract).shout.cast({ group: 'a', number: 1 });
    worker.events.onPeer({ type: 'lost', id: 'g1' });
    await delay(ACKNOWLEDGED_MS);
    expect([g1.received, g2.received]).toEqual([[], [1]]);
    expect(worker.node.counters).toMatchObject({ uncertain: 1, refused: 0 });
  });

  it('is uncertain when it was for a gate that was taken for dead, and comes back with its clients', async () => {
    const worker = await start('w1', 'worker');
    const [g1] = [await start('g1'), await start('g2')];
    const caller = createCaller(worker.node, contract);
    const { info } = g1.node;
    worker.events.onPeer({ type: 'lost', id: 'g1' });
    // Out of reach: the caller is told.
    const { missing } = await caller.shout.gather({ group: 'a', number: 1 });
    expect(missing).toEqual(['g1']);
    // Until it is taken for dead.
    while (worker.node.reach.missingIds.length > 0) await delay(50);
    expect(await caller.shout.gather({ group: 'a', number: 2 })).toMatchObject({ missing: [] });
    void caller.shout.cast({ group: 'a', number: 3 });
    await delay(2);
    expect(worker.node.counters.uncertain).toBe(0);
    worker.events.onPeer({ type: 'join', node: info });
    expect(worker.node.counters.uncertain).toBe(2);
  });

  it('to a channel is uncertain when the digest of it is lost too', async () => {
    const worker = await start('w1', 'worker');
    const [, g2] = [await start('g1'), await start('g2')];
    await g2.node.join('group:a');
    await delay(SETTLED_MS);
    const caller = createCaller(worker.node, contract);
    g2.loses = 'all';
    for (let number = 0; number < 6; number++) void caller.shout.cast({ group: 'a', number });
    await delay(ACKNOWLEDGED_MS);
    g2.loses = 'nothing';
    void caller.shout.cast({ group: 'a', number: 6 });
    await delay(ACKNOWLEDGED_MS);
    expect(g2.received).toEqual([6]);
    expect(worker.node.counters.uncertain).toBe(6);
  });

  it('is asked for only while there is something to ask for', async () => {
    const [worker, gate] = [await start('w1', 'worker'), await start('g1')];
    let frames = 0;
    const { onFrame } = gate.events;
    Object.assign(gate.events, { onFrame: (from: string, frame: Buffer) => (frames++, onFrame(from, frame)) });
    await tell(worker, 'g1', 1);
    await delay(ACKNOWLEDGED_MS);
    const before = frames;
    await delay(ACKNOWLEDGED_MS);
    expect(before).toBeGreaterThan(0);
    expect(frames).toBe(before);
  });
});
