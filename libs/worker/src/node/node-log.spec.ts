import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { type Link, LinkNode, MemoryBus, type NodeInfo, type NodeRole, type UnreachedGate } from '@nestgate/link';
import { NodeLog } from './node-log.js';

const infoOf = (id: string, role: NodeRole, modules: string[] = []): NodeInfo => ({
  id,
  role,
  epoch: '1',
  modules,
  draining: false,
});

describe('NodeLog', () => {
  let lines: string[];
  const nodes: LinkNode[] = [];
  const logs: NodeLog[] = [];

  beforeEach(() => {
    jest.useFakeTimers();
    lines = [];
    for (const level of ['log', 'warn'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation(text => void lines.push(`${level} ${String(text)}`));
    }
  });
  afterEach(async () => {
    for (const log of logs.splice(0)) log.stop();
    for (const node of nodes.splice(0)) await node.close();
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  function nodeOf(self: NodeInfo, link: Link): LinkNode {
    const node = new LinkNode({ link, self });
    nodes.push(node);
    return node;
  }

  async function logged(link: Link, self: NodeInfo): Promise<LinkNode> {
    const node = nodeOf(self, link);
    const log = new NodeLog(node, link);
    logs.push(log);
    log.start();
    await node.open();
    log.noteJoined();
    return node;
  }

  it('names nodes that join, change, drain, leave and are lost, each once', async () => {
    const bus = new MemoryBus();
    await logged(bus.link(), infoOf('g1', 'gate'));
    const worker = nodeOf(infoOf('w1', 'worker'), bus.link());
    await worker.open();
    worker.announce({ modules: ['a', 'b'] });
    worker.announce({ modules: ['a', 'b'] });
    worker.announce({ draining: true });
    await worker.close();
    expect(lines).toEqual([
      'log Joined as gate g1: memory, nodes of this process only',
      'log worker w1 has joined',
      'log worker w1 has modules a, b',
      'log worker w1 is draining',
      'log worker w1 has left',
    ]);
  });

  it('tells a lost node from one that has left, and shows a bounded part of long lists', async () => {
    const link = new MemoryBus().link();
    const node = await logged(link, infoOf('g1', 'gate'));
    const modules = Array.from({ length: 100 }, (_, n) => `m${n}`);
    node['changes'].emit({ type: 'join', node: infoOf('w1', 'worker', modules) });
    node['changes'].emit({ type: 'lost', id: 'w1' });
    node['changes'].emit({ type: 'lost', id: 'w1' });
    expect(lines.slice(1)).toEqual([
      'log worker w1 has joined, with modules m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 90 more',
      'warn worker w1 was lost: its connection ended without a leave message',
    ]);
  });

  it('warns of gates that are not reached after 5 s, and every 5 min from then on, until they are', async () => {
    const bus = new MemoryBus();
    const node = await logged(bus.link(), infoOf('api', 'api'));
    const gates: UnreachedGate[] = [{ name: 'gate.test:7400', wasReached: false, reason: 'ECONNREFUSED' }];
    node.reach.unreached = gates;
    const warnings = () => lines.filter(line => line.startsWith('warn '));
    jest.advanceTimersByTime(4_999);
    expect(warnings()).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(warnings()).toEqual(['warn No gate is in reach 5 s after the start: gate.test:7400 (ECONNREFUSED)']);
    jest.advanceTimersByTime(600_000);
    expect(warnings()).toHaveLength(3);
    expect(warnings()[2]).toContain('605 s after the start');
    node.reach.unreached = [];
    await nodeOf(infoOf('g1', 'gate'), bus.link()).open();
    jest.advanceTimersByTime(600_000);
    expect(warnings()).toHaveLength(3);
  });
});
