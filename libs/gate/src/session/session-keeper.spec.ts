import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus, type SessionSnapshot, type Settings } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { Revocations } from '../auth/revocations.js';
import { Revoker } from '../auth/revoker.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { GateOptions } from '../gate-options.js';
import { Hub } from '../hub/hub.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { MemoryStorage } from '../storage/memory-storage.js';
import type { SettingsChange, StorageLimits } from '../storage/storage-handler.js';
import { LoginRules } from './login-rules.js';
import { SessionKeeper } from './session-keeper.js';
import { SessionState } from './session-state.js';

/** A storage whose calls wait, or fail, when a test wants that. */
class SlowStorage extends MemoryStorage {
  readonly calls: string[] = [];
  failure: Error | undefined;
  private gates: (() => void)[] = [];
  private isHeld = false;

  /** From now on calls wait. */
  hold(): void {
    this.isHeld = true;
  }

  async release(): Promise<void> {
    this.isHeld = false;
    for (const open of this.gates.splice(0)) open();
    await jest.advanceTimersByTimeAsync(0);
  }

  override async query(userId: string, limits?: StorageLimits): Promise<Settings | undefined> {
    await this.call(`query ${userId}`);
    return super.query(userId, limits);
  }

  override async storage(session: SessionSnapshot, change: SettingsChange, limits?: StorageLimits): Promise<void> {
    await this.call(`store ${session.userId} ${JSON.stringify(change.set)}`);
    return super.storage(session, change, limits);
  }

  private async call(name: string): Promise<void> {
    this.calls.push(name);
    if (this.isHeld) await new Promise<void>(resolve => this.gates.push(resolve));
    if (this.failure) throw this.failure;
  }
}

/** The parts of an agent that the keeper uses. */
interface FakeAgent {
  readonly serial: number;
  readonly sessionState: SessionState;
  isClosed: boolean;
  readonly closed: unknown[];
}

describe('SessionKeeper', () => {
  let storage: SlowStorage;
  let node: LinkNode;
  let hub: Hub;
  let counters: GateCounters;
  let revocations: Revocations;
  let expiry: SessionExpiry;
  let keeper: SessionKeeper;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    // A storage that fails is logged.
    Logger.overrideLogger(false);
    start();
  });
  afterEach(async () => {
    expiry.onApplicationShutdown();
    keeper.onModuleDestroy();
    jest.useRealTimers();
    await node.close({ drain: false });
  });

  function start(gateOptions: GateOptions = {}): void {
    const self = { id: 'g1', epoch: 'e1', role: 'gate', modules: [], draining: false } as const;
    const options = resolveGateOptions(gateOptions);
    storage = new SlowStorage();
    counters = new GateCounters();
    node = new LinkNode({ link: new MemoryBus().link(), self });
    hub = new Hub(node);
    revocations = new Revocations(counters);
    expiry = new SessionExpiry(node);
    keeper = new SessionKeeper(
      options,
      hub,
      new LoginRules(options, hub, node, counters),
      revocations,
      new Revoker(node, hub, revocations),
      expiry,
      storage,
      counters,
      node,
    );
  }

  function client(settings: Settings = {}): FakeAgent & ClientAgent {
    const serial = hub.nextSerial();
    const sessionState = new SessionState(
      { sessionId: hub.clientId(serial), serverId: 'g1', ip: '', network: 'ws', connectedAt: 0, traceParent: '' },
      1_000,
    );
    sessionState.merge(settings);
    const agent: FakeAgent & { close(...args: unknown[]): void } = {
      serial,
      sessionState,
      isClosed: false,
      closed: [],
      close(...args) {
        agent.closed.push(args);
        agent.isClosed = true;
        keeper.forget(agent as unknown as ClientAgent);
        hub.remove(agent as unknown as ClientAgent);
      },
    };
    hub.add(agent as unknown as ClientAgent);
    return agent as unknown as FakeAgent & ClientAgent;
  }
  const tick = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  const settingsOf = ({ sessionState }: FakeAgent): Settings => sessionState.snapshot().settings;
  const boundTo = (uid: string): unknown[] => [...hub.uids.members(uid)];
  const coded = (code: string) => expect.objectContaining({ code });
  /** How a change that is under way will end. */
  function outcome(change: Promise<void>): { value: string } {
    const end = { value: 'waits' };
    change.then(
      () => (end.value = 'done'),
      (error: GateError) => (end.value = error.code),
    );
    return end;
  }

  describe('binds a client', () => {
    it('with the settings of the user and its own, of which its own win, and stores its own', async () => {
      await keeper.bind(client({ a: 1, b: 1 }), 'ada');
      const next = client({ b: 2, c: 2 });
      await keeper.bind(next, 'ada');
      expect(settingsOf(next)).toEqual({ a: 1, b: 2, c: 2 });
      expect([boundTo('ada').length, storage.calls.at(-1)]).toEqual([2, 'store ada {"b":2,"c":2}']);
    });

    it('only when it has all of that: until then nobody finds it by its uid', async () => {
      storage.hold();
      const agent = client();
      const end = outcome(keeper.bind(agent, 'ada'));
      await tick();
      expect([end.value, boundTo('ada'), agent.sessionState.userId]).toEqual(['waits', [], '']);
      await storage.release();
      expect([end.value, boundTo('ada'), agent.sessionState.userId]).toEqual(['done', [agent], 'ada']);
    });

    it('to one uid at a time, and takes nothing of one user to another', async () => {
      await keeper.bind(client({ secret: 'of ada' }), 'ada');
      const agent = client({ own: 1 });
      await keeper.bind(agent, 'ada');
      expect(settingsOf(agent)).toEqual({ secret: 'of ada', own: 1 });
      await keeper.bind(agent, 'bob');
      expect([settingsOf(agent), boundTo('bob')]).toEqual([{ own: 1 }, [agent]]);
      expect(boundTo('ada')).toHaveLength(1);
      expect(await storage.query('bob')).toEqual({ own: 1 });
    });

    it('that is bound to the uid already, without asking the storage', async () => {
      const agent = client();
      await keeper.bind(agent, 'ada');
      const { version } = agent.sessionState;
      storage.calls.length = 0;
      await keeper.bind(agent, 'ada');
      expect([storage.calls, agent.sessionState.version]).toEqual([[], version]);
    });

    it('not when the storage fails, and its session stays as it was', async () => {
      const agent = client({ own: 1 });
      await keeper.bind(agent, 'ada');
      const before = agent.sessionState.snapshot();
      storage.failure = new Error('no connection');
      await expect(keeper.bind(agent, 'bob')).rejects.toEqual(coded('STORAGE_UNAVAILABLE'));
      expect([agent.sessionState.snapshot(), boundTo('ada'), boundTo('bob')]).toEqual([before, [agent], []]);
      // And the next change has its turn.
      storage.failure = undefined;
      await keeper.bind(agent, 'bob');
      expect(boundTo('bob')).toEqual([agent]);
    });

    it('not when it has left while the storage was asked: nothing is stored, and nobody is found', async () => {
      storage.hold();
      const agent = client({ own: 1 });
      const end = outcome(keeper.bind(agent, 'ada'));
      await tick();
      agent.close();
      await storage.release();
      expect([end.value, boundTo('ada'), storage.calls]).toEqual(['SESSION_NOT_FOUND', [], ['query ada']]);
    });

    it('not with credentials that are revoked before, or while the storage is asked', async () => {
      storage.hold();
      const agent = client();
      const end = outcome(keeper.bind(agent, 'ada', { issuedAt: 1_000 }));
      await tick();
      revocations.add({ userId: 'ada', before: 2_000, leftMs: 60_000 });
      await storage.release();
      expect([end.value, boundTo('ada')]).toEqual(['UNAUTHORIZED', []]);
      storage.calls.length = 0;
      await expect(keeper.bind(agent, 'ada', { issuedAt: 1_000 })).rejects.toEqual(coded('UNAUTHORIZED'));
      expect(storage.calls).toEqual([]);
      await keeper.bind(agent, 'ada', { issuedAt: 2_000 });
      expect(boundTo('ada')).toEqual([agent]);
    });

    it('not with credentials that have expired, and closes it when they do', async () => {
      const agent = client();
      const now = Date.now();
      expect(() => keeper.bind(agent, 'ada', { expiresAt: now })).toThrow(coded('UNAUTHORIZED'));
      await keeper.bind(agent, 'ada', { expiresAt: now + 5_000 });
      await tick(4_900);
      expect(agent.closed).toEqual([]);
      await tick(200);
      expect(agent.closed).toEqual([[1008, 'auth expired']]);
    });

    it('not to what is no uid', () => {
      expect(() => keeper.bind(client(), '')).toThrow(coded('BAD_ARGUMENT'));
      expect(() => keeper.bind(client(), 'x'.repeat(129))).toThrow(coded('BAD_ARGUMENT'));
    });

    it('not when all settings together are too large, unless that may be: then its own are not stored', async () => {
      start({ maxSettingsBytes: 100 });
      await keeper.bind(client({ a: 'x'.repeat(60) }), 'ada');
      const large = client({ b: 'y'.repeat(60) });
      await expect(keeper.bind(large, 'ada')).rejects.toEqual(coded('LIMIT_EXCEEDED'));
      expect([large.sessionState.userId, boundTo('ada').length]).toEqual(['', 1]);
      await keeper.bind(large, 'ada', { mayExceed: true });
      expect(Object.keys(settingsOf(large))).toEqual(['a', 'b']);
      expect(Object.keys((await storage.query('ada')) ?? {})).toEqual(['a']);
      expect(counters.get('limits_exceeded', 'settings')).toBe(2);
    });

    it('without what is stored of its user, where that cannot be used', async () => {
      const agent = client({ own: 1 });
      storage.query = async () => [] as never;
      await keeper.bind(agent, 'ada');
      expect([settingsOf(agent), counters.get('storage_failures', 'quarantined')]).toEqual([{ own: 1 }, 1]);
    });
  });

  describe('releases a client', () => {
    it('from its uid, or only from the one that is meant; what is stored stays', async () => {
      const agent = client({ a: 1 });
      await keeper.bind(agent, 'ada');
      await keeper.unbind(agent, 'bob');
      expect(boundTo('ada')).toEqual([agent]);
      await keeper.unbind(agent, 'ada');
      expect([boundTo('ada'), agent.sessionState.userId, await storage.query('ada')]).toEqual([[], '', { a: 1 }]);
      await keeper.unbind(agent, undefined);
    });
  });

  describe('changes settings', () => {
    it('of one client one after another, and of several beside each other', async () => {
      const [one, two] = [client(), client()];
      await keeper.bind(one, 'ada');
      await keeper.bind(two, 'bob');
      storage.calls.length = 0;
      storage.hold();
      const ends = [
        outcome(keeper.merge(one, { a: 1 })),
        outcome(keeper.merge(one, { a: 2 })),
        outcome(keeper.merge(two, { a: 3 })),
      ];
      await tick();
      expect(storage.calls).toEqual(['store ada {"a":1}', 'store bob {"a":3}']);
      await storage.release();
      expect(ends.map(({ value }) => value)).toEqual(['done', 'done', 'done']);
      expect([settingsOf(one), await storage.query('ada')]).toEqual([{ a: 2 }, { a: 2 }]);
    });

    it('after a change that has failed too', async () => {
      const agent = client();
      await keeper.bind(agent, 'ada');
      storage.failure = new Error('no connection');
      const failed = outcome(keeper.merge(agent, { a: 1 }));
      const next = keeper.unbind(agent, undefined);
      await next;
      expect([failed.value, agent.sessionState.userId]).toEqual(['STORAGE_UNAVAILABLE', '']);
    });

    it('on this gate also when the storage fails, and says so', async () => {
      const agent = client();
      await keeper.bind(agent, 'ada');
      storage.failure = new Error('no connection');
      await expect(keeper.merge(agent, { a: 1 })).rejects.toEqual(coded('STORAGE_UNAVAILABLE'));
      expect(settingsOf(agent)).toEqual({ a: 1 });
    });

    it('not when there is no room for them where they are stored', async () => {
      start({ maxSettingsBytes: 100 });
      const [one, two] = [client(), client()];
      await keeper.bind(one, 'ada');
      await keeper.merge(one, { a: 1 });
      await keeper.bind(two, 'ada');
      await keeper.merge(one, { b: 'x'.repeat(60) });
      const before = two.sessionState.snapshot();
      await expect(keeper.merge(two, { a: 'y'.repeat(60) })).rejects.toEqual(coded('LIMIT_EXCEEDED'));
      expect([two.sessionState.snapshot(), counters.get('limits_exceeded', 'settings')]).toEqual([before, 1]);
      // What it has of the user's storage is still none of its own.
      await keeper.bind(two, 'bob');
      expect(settingsOf(two)).toEqual({});
    });

    it('not of a client that has gone while they waited', async () => {
      const agent = client();
      await keeper.bind(agent, 'ada');
      storage.hold();
      const ends = [outcome(keeper.merge(agent, { a: 1 })), outcome(keeper.merge(agent, { a: 2 }))];
      await tick();
      agent.close();
      await storage.release();
      expect(ends.map(({ value }) => value)).toEqual(['done', 'SESSION_NOT_FOUND']);
      expect(await storage.query('ada')).toEqual({ a: 1 });
    });

    it('of a client without a uid without asking the storage', async () => {
      const agent = client({ a: 1 });
      await keeper.merge(agent, { b: { x: 1 } });
      await keeper.merge(agent, { b: { y: 2 } }, true);
      await keeper.delete(agent, 'a');
      expect([settingsOf(agent), storage.calls]).toEqual([{ b: { x: 1, y: 2 } }, []]);
      await keeper.replace(agent, { c: 3 });
      expect(settingsOf(agent)).toEqual({ c: 3 });
    });

    it('of a user into its own: they follow the client to another user then, and only those', async () => {
      await keeper.bind(client({ theirs: 1, kept: 1, gone: 1 }), 'ada');
      const agent = client();
      await keeper.bind(agent, 'ada');
      await keeper.merge(agent, { kept: 2 });
      await keeper.delete(agent, 'gone');
      await keeper.bind(agent, 'bob');
      expect(settingsOf(agent)).toEqual({ kept: 2 });
    });
  });

  it('forgets what is stored of a user, and leaves its sessions alone', async () => {
    const agent = client({ a: 1 });
    await keeper.bind(agent, 'ada');
    await keeper.forgetUser('ada');
    expect([await storage.query('ada'), settingsOf(agent), boundTo('ada')]).toEqual([undefined, { a: 1 }, [agent]]);
    await expect(keeper.forgetUser('')).rejects.toEqual(coded('BAD_ARGUMENT'));
  });

  it('tells the storage which users are online, while the app runs', async () => {
    const beats: string[][] = [];
    storage.heartbeat = async sessions => void beats.push(sessions.map(({ userId }) => userId));
    await keeper.bind(client(), 'ada');
    client();
    keeper.onApplicationBootstrap();
    await tick(resolveGateOptions().storageHeartbeat * 2);
    expect(beats).toEqual([['ada'], ['ada']]);
    keeper.onModuleDestroy();
    await tick(resolveGateOptions().storageHeartbeat * 2);
    expect(beats).toHaveLength(2);
  });
});
