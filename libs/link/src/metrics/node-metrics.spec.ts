import { afterEach, describe, expect, it } from '@jest/globals';
import { MemoryBus } from '../drivers/memory/memory-link.js';
import { LinkNode } from '../node/link-node.js';
import type { NodeRole } from '../link.js';
import { NodeMetrics } from './node-metrics.js';

describe('NodeMetrics', () => {
  const bus = new MemoryBus();
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  async function open(id: string, role: NodeRole): Promise<LinkNode> {
    const self = { id, role, epoch: '1', modules: [], draining: false };
    const node = new LinkNode({ link: bus.link(), self });
    nodes.push(node);
    await node.open();
    return node;
  }

  it('reports the other nodes, by role, and errors', async () => {
    const gate = await open('g1', 'gate');
    const metrics = new NodeMetrics(gate);
    expect(metrics.role).toBe('gate');
    expect(metrics.link()).toMatchObject({ isUp: true, peers: { gate: 0, worker: 0, api: 0 }, requestsWaiting: 0 });
    await open('g2', 'gate');
    await open('w1', 'worker');
    const worker = await open('w2', 'worker');
    expect(metrics.link().peers).toEqual({ gate: 1, worker: 2, api: 0 });
    await worker.close();
    expect(metrics.link().peers).toEqual({ gate: 1, worker: 1, api: 0 });
    gate.counters.refused += 3;
    expect(metrics.link().counters).toMatchObject({ refused: 3, gaps: 0 });
    // A copy: what is told later has not changed meanwhile.
    const before = metrics.snapshot();
    gate.counters.refused += 1;
    gate.announce({ draining: true });
    expect(before).toMatchObject({ isDraining: false, link: { counters: { refused: 3 } } });
    expect(metrics.snapshot()).toMatchObject({ isDraining: true, link: { counters: { refused: 4 } } });
    metrics.stop();
  });

  it('tells what waits for a peer, and of the link that is closed', async () => {
    const gate = await open('g1', 'gate');
    await open('w1', 'worker');
    const metrics = new NodeMetrics(gate);
    expect(metrics.link().backlog).toEqual([]);
    const peer = gate.remotes.get('w1');
    peer?.backlog.push({ frame: Buffer.alloc(0), bytes: 100, messages: 7, lastRequest: undefined, leavesGap: false });
    peer?.backlog.push({ frame: Buffer.alloc(0), bytes: 50, messages: 1, lastRequest: undefined, leavesGap: false });
    expect(metrics.link().backlog).toEqual([{ id: 'w1', role: 'worker', messages: 8, bytes: 150 }]);
    await gate.close();
    expect(metrics.link().isUp).toBe(false);
  });
});
