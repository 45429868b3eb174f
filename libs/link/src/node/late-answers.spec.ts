import { afterEach, describe, expect, it } from '@jest/globals';
import { createCaller } from './caller.js';
import { struct, text } from '../wire/codec.js';
import { MemoryBus } from '../drivers/memory/memory-link.js';
import { LinkNode } from './link-node.js';
import { ownerOp } from '../wire/operation.js';

const contract = {
  slow: ownerOp(1, struct({ clientId: text, who: text }), text),
  quick: ownerOp(2, struct({ clientId: text, who: text }), text),
} as const;

/** Requests between a late answer and the request that had its number when numbers had a generation of 11 bits. */
const BETWEEN = 2_046;

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('An answer that comes too late', () => {
  const bus = new MemoryBus();
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  /** A node whose `slow` handlers answer when they are told to. */
  async function start(id: string): Promise<{ node: LinkNode; answers: (() => void)[] }> {
    const node = new LinkNode({
      link: bus.link(),
      self: { id, role: 'gate', epoch: 'e1', modules: [], draining: false },
    });
    nodes.push(node);
    const answers: (() => void)[] = [];
    node.dispatcher.serve(contract, {
      slow: ({ who }) => new Promise<string>(resolve => answers.push(() => resolve(`secret of ${who}`))),
      quick: ({ who }) => who,
    });
    await node.open();
    return { node, answers };
  }

  it.each([
    ['another node', 'g2', 'g3'],
    ['the node itself', 'g1', 'g1'],
  ])('from %s is nobody else’s, however many requests were between', async (_what, slowId, quickId) => {
    const [g1, g2] = [await start('g1'), await start('g2'), await start('g3')];
    const { answers } = slowId === 'g1' ? g1 : g2;
    const caller = createCaller(g1.node, contract);
    const alice = caller.slow.call({ clientId: `${slowId}.e1.1`, who: 'alice' }, { deadlineMs: 10 });
    await expect(alice).rejects.toMatchObject({ code: 'TIMEOUT' });
    for (let n = 0; n < BETWEEN; n++) {
      expect(await caller.quick.call({ clientId: `${quickId}.e1.1`, who: `${n}` })).toBe(`${n}`);
    }
    const bob = caller.slow.call({ clientId: `${slowId}.e1.2`, who: 'bob' });
    await turn();
    for (const answer of answers) answer();
    expect(await bob).toBe('secret of bob');
    expect(g1.node.counters.late).toBe(1);
  });
});
