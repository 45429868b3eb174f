import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { MessageHandler } from '@nestjs/microservices';
import { LinkNode, MemoryBus } from '@nestgate/link';
import {
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
} from '@nestgate/link/internal';
import { type PresenceEvent, presenceTopic } from './on-presence.decorator.js';
import { PresenceWatcher } from './presence-watcher.js';

const NODE = { epoch: 'e1', modules: [], draining: false };
const EVENTS = 2_000;

describe('PresenceWatcher', () => {
  let gate: LinkNode;
  let node: LinkNode;
  let watcher: PresenceWatcher;
  let seen: PresenceEvent[];
  let handle: (event: PresenceEvent) => unknown;
  /** How often the gate was asked to begin. */
  let asked: number;
  let lastNumber: number;

  beforeAll(() => {
    Logger.overrideLogger(false);
  });

  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
    const bus = new MemoryBus();
    gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    node = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    asked = 0;
    seen = [];
    handle = event => seen.push(event);
    gate.dispatcher.serve(watchContract, { watch: ({ isOn }) => void (isOn && asked++) });
    const handler = ((event: PresenceEvent) => handle(event)) as unknown as MessageHandler;
    watcher = new PresenceWatcher(node, new Map([[presenceTopic('online'), handler]]));
    await gate.open();
    await node.open();
    await turns();
    asked = 0;
  });
  afterEach(async () => {
    await watcher.stop();
    jest.useRealTimers();
    await gate.close();
    await node.close();
  });

  async function turns(): Promise<void> {
    for (let i = 0; i < 6; i++) await new Promise(resolve => setImmediate(resolve));
  }

  /** Tells the watcher something, with the next number, as the feed of a gate does. */
  function tell(kind: PresenceNotice['kind'], userId = ''): void {
    lastNumber = kind === 'reset' ? 1 : lastNumber + 1;
    const notice = { kind, group: '', clientId: '', userId, number: lastNumber };
    (gate.peers.get('w1') as Peer).notify(presenceContract.notice, notice);
  }

  const uids = (): string[] => seen.map(({ userId }) => userId);

  it('asks again when a notice is missing, and takes none until the gate has begun again', async () => {
    for (const [kind, uid] of [['reset'], ['ready'], ['online', 'ada']] as const) tell(kind, uid);
    await turns();
    lastNumber++;
    tell('online', 'cyd');
    tell('online', 'dan');
    await turns();
    expect([asked, uids()]).toEqual([1, ['ada']]);
    for (const [kind, uid] of [['reset'], ['online', 'ada'], ['online', 'bob'], ['ready']] as const) tell(kind, uid);
    await turns();
    expect(uids()).toEqual(['ada', 'bob']);
  });

  it('asks again when the last notices are missing: a mark shows it', async () => {
    tell('reset');
    lastNumber++;
    tell('mark');
    await turns();
    expect(asked).toBe(1);
  });

  it('asks again when nothing comes at all, and not while marks come', async () => {
    tell('reset');
    tell('ready');
    for (let i = 0; i < 10; i++) {
      jest.advanceTimersByTime(PRESENCE_MARK_MS);
      tell('mark');
      await turns();
    }
    expect(asked).toBe(0);
    jest.advanceTimersByTime(4 * PRESENCE_MARK_MS);
    await turns();
    expect(asked).toBe(1);
  });

  it('lets others have their turn while it handles what has gathered', async () => {
    let release: (() => void) | undefined;
    handle = event => {
      if (seen.push(event) === 1) return new Promise<void>(resolve => (release = resolve));
      jest.advanceTimersByTime(1);
      return undefined;
    };
    tell('reset');
    tell('ready');
    // Of one line: they wait for each other.
    for (let i = 0; i < EVENTS; i++) tell(i % 2 === 0 ? 'online' : 'offline', 'ada');
    await turns();
    release?.();
    let loops = 0;
    for (; seen.length < EVENTS / 2 && loops < EVENTS; loops++) await new Promise(resolve => setImmediate(resolve));
    expect(seen.length).toBe(EVENTS / 2);
    // 10 ms of them at a time.
    expect(loops).toBeGreaterThan(EVENTS / 2 / 20);
  });
});
