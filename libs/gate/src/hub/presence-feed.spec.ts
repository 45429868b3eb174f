import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import {
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
} from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { Memberships } from './memberships.js';
import { PresenceFeed } from './presence-feed.js';

const NODE = { epoch: 'e1', modules: [], draining: false };

describe('PresenceFeed', () => {
  let gate: LinkNode;
  let worker: LinkNode;
  let feed: PresenceFeed;
  let told: PresenceNotice[];
  let uids: Memberships<ClientAgent>;
  let groups: Memberships<ClientAgent>;

  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
    const bus = new MemoryBus();
    gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    worker = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    told = [];
    worker.dispatcher.serve(presenceContract, { notice: notice => void told.push(notice) });
    // As in the hub: each needs the other.
    const present = {} as { uids: Memberships<ClientAgent>; groups: Memberships<ClientAgent> };
    feed = new PresenceFeed(gate, present);
    uids = present.uids = new Memberships(feed.ofUids);
    groups = present.groups = new Memberships(feed.ofGroups);
    await gate.open();
    await worker.open();
  });
  afterEach(async () => {
    jest.useRealTimers();
    await gate.close();
    await worker.close();
  });

  async function watch(isOn: boolean): Promise<void> {
    (worker.peers.get('g1') as Peer).notify(watchContract.watch, { isOn });
    await turns();
  }

  async function turns(): Promise<void> {
    for (let i = 0; i < 4; i++) await new Promise(resolve => setImmediate(resolve));
  }

  const numbers = (): [string, number][] => told.splice(0).map(({ kind, number }) => [kind, number]);

  it('numbers what it tells, from each beginning on, and marks the last number now and then', async () => {
    await watch(true);
    uids.add('ada', agentOf('g1.e1.1', 'ada'));
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
      ['online', 2],
      ['ready', 3],
    ]);
    await watch(false);
    jest.advanceTimersByTime(3 * PRESENCE_MARK_MS);
    await turns();
    expect(numbers()).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives a number to what could not be sent', async () => {
    await watch(true);
    const flush = jest.spyOn(gate.peers.get('w1') as Peer, 'notify').mockImplementationOnce(() => undefined);
    uids.add('ada', agentOf('g1.e1.1', 'ada'));
    uids.add('bob', agentOf('g1.e1.2', 'bob'));
    flush.mockRestore();
    await turns();
    expect(numbers().at(-1)).toEqual(['online', 4]);
  });

  it('reports clients that count as gone while they have no connection, and clients that return', async () => {
    const [ada, second] = [agentOf('g1.e1.1', 'ada'), agentOf('g1.e1.2', 'ada')];
    uids.add('ada', ada);
    groups.add('room', ada);
    await watch(true);
    const kinds = async (): Promise<string[]> => {
      await turns();
      return told.splice(0).map(({ kind, clientId, userId }) => [kind, clientId || userId].join(' ').trim());
    };
    await kinds();
    feed.noteAway(ada);
    feed.noteAway(ada);
    expect(await kinds()).toEqual(['leave g1.e1.1', 'offline ada']);
    // What changes about it meanwhile is seen when it is back.
    groups.add('other', ada);
    groups.remove('room', ada);
    expect(await kinds()).toEqual([]);
    await watch(true);
    expect(await kinds()).toEqual(['reset', 'ready']);
    uids.add('ada', second);
    expect(await kinds()).toEqual(['online ada']);
    feed.noteBack(ada);
    expect(await kinds()).toEqual(['join g1.e1.1']);
    uids.removeMember(ada);
    expect(await kinds()).toEqual([]);
    uids.removeMember(second);
    expect(await kinds()).toEqual(['offline ada']);
  });
});

function agentOf(sessionId: string, userId: string): ClientAgent {
  return { sessionState: { origin: { sessionId }, userId } } as ClientAgent;
}
