import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus, type NodeRole } from '@nestgate/link';
import { StartupWindow } from './startup-window.js';

describe('StartupWindow', () => {
  let bus: MemoryBus;
  let nodes: LinkNode[];

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    bus = new MemoryBus();
    nodes = [];
  });

  afterEach(async () => {
    for (const node of nodes) await node.close();
    jest.useRealTimers();
  });

  function nodeOf(id: string, role: NodeRole, modules: string[] = [], knowsAllAtOpen = false): LinkNode {
    const link = Object.assign(bus.link(), { knowsAllAtOpen });
    const node = new LinkNode({ link, self: { id, role, epoch: '1', modules, draining: false } });
    nodes.push(node);
    return node;
  }

  async function start(startupWait = 1_500): Promise<StartupWindow> {
    const node = nodeOf('g1', 'gate');
    const startup = new StartupWindow(node, { startupWait });
    expect(startup.isOver).toBe(false);
    await node.open();
    startup.begin();
    await jest.advanceTimersByTimeAsync(0);
    return startup;
  }

  const isOverAfter = async (startup: StartupWindow, ms: number): Promise<boolean> => {
    await jest.advanceTimersByTimeAsync(ms);
    return startup.isOver;
  };

  it('is none on a link that knows all nodes at once, and where it is off', async () => {
    for (const [id, startupWait, knowsAll] of [
      ['g1', 1_500, true],
      ['g2', 0, false],
    ] as const) {
      const startup = new StartupWindow(nodeOf(id, 'gate', [], knowsAll), { startupWait });
      startup.begin();
      expect([startup.isOver, startup.modulesKnownAt]).toEqual([true, 0]);
      await startup.whenOver();
    }
  });

  it('ends in time where nobody comes', async () => {
    const startup = await start();
    let isOver = false;
    void startup.whenOver().then(() => (isOver = true));
    expect(startup.modulesKnownAt).toBeCloseTo(performance.now() + 1_500, 0);
    expect(await isOverAfter(startup, 1_499)).toBe(false);
    expect(isOver).toBe(false);
    expect(await isOverAfter(startup, 1)).toBe(true);
    expect(isOver).toBe(true);
  });

  it('ends sooner when workers have come and nobody follows, but not before others had the time to', async () => {
    const startup = await start();
    await nodeOf('w1', 'worker', ['chat']).open();
    expect(await isOverAfter(startup, 499)).toBe(false);
    expect(await isOverAfter(startup, 1)).toBe(true);
    // Frames of modules that come later wait all the same.
    expect(startup.modulesKnownAt).toBeCloseTo(performance.now() + 1_000, 0);
  });

  it('waits for those who follow', async () => {
    const startup = await start();
    await nodeOf('w1', 'worker', ['chat']).open();
    await jest.advanceTimersByTimeAsync(450);
    await nodeOf('a1', 'api').open();
    expect(await isOverAfter(startup, 249)).toBe(false);
    expect(await isOverAfter(startup, 1)).toBe(true);
  });

  it('does not end sooner for nodes that serve nothing', async () => {
    const startup = await start();
    await nodeOf('a1', 'api').open();
    expect(await isOverAfter(startup, 1_499)).toBe(false);
  });

  it('ends with the gate', async () => {
    const startup = await start();
    startup.onModuleDestroy();
    await startup.whenOver();
    expect(jest.getTimerCount()).toBe(0);
  });
});
