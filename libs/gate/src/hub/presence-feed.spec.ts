import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  LinkNode,
  MemoryBus,
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
} from '@nestgate/link';
import type { ClientAgent } from '../connection/client-agent.js';
import { Memberships } from './memberships.js';
import { PresenceFeed } from './presence-feed.js';

const NODE = { epoch: 'e1', modules: [], draining: false };

describe('PresenceFeed', () => {
  let gate: LinkNode;
  let worker: LinkNode;
  let feed: PresenceFeed;
  let told: PresenceNotice[];

  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
    const bus = new MemoryBus();
    gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    worker = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    told = [];
    worker.dispatcher.serve(presenceContract, { notice: notice => void told.push(notice) });
    const none = new Memberships<ClientAgent>();
    feed = new PresenceFeed(gate, { uids: none, groups: none });
    await gate.open();
    await worker.open();
  });
  afterEach(async () => {
    jest.useRealTimers();
    await gate.close();
    await worker.close();
  });

  async function watch(isOn: boolean): Promise<void> {
    worker.notify(worker.peers.get('g1') as Peer, watchContract.watch, { isOn });
    await turns();
  }

  async function turns(): Promise<void> {
    for (let i = 0; i < 4; i++) await new Promise(resolve => setImmediate(resolve));
  }

  const numbers = (): [string, number][] => told.splice(0).map(({ kind, number }) => [kind, number]);

  it('numbers what it tells, from each beginning on, and marks the last number now and then', async () => {
    await watch(true);
    feed.ofUids.onAppear('ada');
    jest.advanceTimersByTime(PRESENCE_MARK_MS);
    await turns();
    expect(numbers()).toEqual([
      ['reset', 1],
      ['ready', 2],
      ['online', 3],
      ['mark', 4],
    ]);
    await watch(true);
    expect(numbers()).toEqual([
      ['reset', 1],
      ['ready', 2],
    ]);
    await watch(false);
    jest.advanceTimersByTime(3 * PRESENCE_MARK_MS);
    await turns();
    expect(numbers()).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives a number to what could not be sent', async () => {
    await watch(true);
    const flush = jest.spyOn(gate, 'notify').mockImplementationOnce(() => undefined);
    feed.ofUids.onAppear('ada');
    feed.ofUids.onAppear('bob');
    flush.mockRestore();
    await turns();
    expect(numbers().at(-1)).toEqual(['online', 4]);
  });
});
