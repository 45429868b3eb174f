import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { CLOSE, GateError } from '@nestgate/protocol';
import type { Session } from '@nestgate/worker';
import { RevokedError } from '../auth/revocations.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import { JsonWsWire } from '../codec/json-ws-wire.js';
import type { Connection } from '../connection/connection.js';
import { GateCounters } from '../gate-counters.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import { AgentLearner } from '../hooks/agent-learner.js';
import { type DisconnectReason, SessionLearner } from '../hooks/session-learner.js';
import { Hub } from '../hub/hub.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import type { ClientEvents, ConnectOutcome } from '../routing/client-events.js';
import type { PackIntake } from '../routing/pack-intake.js';
import type { TopicRouter } from '../routing/topic-router.js';
import type { SessionKeeper } from '../session/session-keeper.js';
import { AgentCreator } from './agent-creator.js';
import type { ClientAgent } from './client-agent.js';
import { ClientLifecycle } from './client-lifecycle.js';

const OVER_TIME_MS = 5_000;

/** Something that a test ends when it wants to. */
class Step<T = void> {
  /** Ends at once when nobody holds it. */
  isHeld = false;
  private end!: (value: T) => void;
  private fail!: (error: Error) => void;
  private readonly outcome = new Promise<T>((resolve, reject) => {
    this.end = resolve;
    this.fail = reject;
  });

  constructor() {
    // It may fail before the first caller waits for it.
    this.outcome.catch(() => undefined);
  }

  async run(value: T): Promise<T> {
    return this.isHeld ? this.outcome : value;
  }

  done(value: T): void {
    this.end(value);
  }

  fails(error: Error): void {
    this.isHeld = true;
    this.fail(error);
  }
}

/** A connection whose socket takes everything at once. */
class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  bytesRead = 0;
  writableLength = 0;
  takenBytes = 0;
  readonly got: string[] = [];

  write(data: Uint8Array): void {
    // Without the head of its WebSocket frame, which has two bytes here.
    this.got.push(Buffer.from(data).subarray(2).toString());
  }
  awaitDrain(): void {}
  ping(): void {}
  pause(): void {}
  resume(): void {}
  close(code: number, reason: string): void {
    this.got.push(`close ${code} ${reason}`.trim());
  }
  destroy(): void {
    this.got.push('destroyed');
  }
}

describe('ClientLifecycle', () => {
  /** All that happens to a client, in order. */
  let story: string[];
  let hooks: { session: Step; agent: Step; event: Step<ConnectOutcome>; bind: Step };
  let counters: GateCounters;
  let node: LinkNode;
  let hub: Hub;
  let expiry: SessionExpiry;
  let lifecycle: ClientLifecycle;
  let connection: FakeConnection;
  let disconnectFails: boolean;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    // Errors of hooks are logged.
    Logger.overrideLogger(false);
    [story, disconnectFails] = [[], false];
    hooks = { session: new Step(), agent: new Step(), event: new Step(), bind: new Step() };
    const note =
      (what: string) =>
      (...args: unknown[]): void =>
        void story.push([what, ...args.filter(each => typeof each === 'boolean')].join(' '));

    class Learner extends SessionLearner {
      override onConnect(): Promise<void> {
        story.push('onConnect');
        return hooks.session.run(undefined);
      }
      override onDisconnect(_session: Session, { code, groups }: DisconnectReason): void {
        story.push(`onDisconnect ${code} ${groups.join()}`.trim());
        if (disconnectFails) throw new Error('a defect');
      }
    }
    class Agents extends AgentLearner {
      override connect(): Promise<void> {
        return hooks.agent.run(undefined);
      }
      override disconnect(): void {
        story.push('agent disconnect');
      }
    }
    const self = { id: 'g1', epoch: 'e1', role: 'gate', modules: [], draining: false } as const;
    const options = resolveGateOptions({ overTime: OVER_TIME_MS });
    counters = new GateCounters();
    node = new LinkNode({ link: new MemoryBus().link(), self });
    hub = new Hub(node);
    expiry = new SessionExpiry(node);
    // What follows the client elsewhere.
    const events = {
      tellsConnect: true,
      tellsDisconnect: true,
      connected: async (
        _agent: ClientAgent,
        _request: unknown,
        _deadline: number,
        tell: (outcome: ConnectOutcome) => void,
      ): Promise<void> => {
        story.push('@OnConnect');
        tell(await hooks.event.run('untold'));
      },
      disconnected: (_agent: ClientAgent, _event: unknown, wasTold: boolean) => note('@OnDisconnect')(wasTold),
      abandon: note('events abandon'),
    } as unknown as ClientEvents;
    const router = { abandon: note('router abandon'), forget: note('router forget') } as unknown as TopicRouter;
    const keeper = {
      bind: (_agent: ClientAgent, uid: string): Promise<void> => {
        story.push(`bind ${uid}`);
        return hooks.bind.run(undefined);
      },
      forget: note('keeper forget'),
    } as unknown as SessionKeeper;
    lifecycle = new ClientLifecycle(
      options,
      counters,
      node,
      hub,
      router,
      events,
      { take: note('frame') } as unknown as PackIntake,
      keeper,
      new Learner(),
      new Agents(),
      new AgentCreator(),
      expiry,
    );
    connection = new FakeConnection();
  });
  afterEach(async () => {
    expiry.onApplicationShutdown();
    jest.useRealTimers();
    await node.close({ drain: false });
  });

  const connect = (handshake: HandshakeResult = {}): ClientAgent =>
    lifecycle.connect(connection, new JsonWsWire(32), handshake, undefined);
  const tick = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  const AFTERWARDS = ['router abandon', 'keeper forget'];
  /** What follows the last hook that has begun, without what is taken back at once. */
  const ends = (): string[] => story.filter(each => /isconnect/.test(each));

  describe('welcomes a client', () => {
    it('when all its connect hooks are done, one after another, and lets its frames through then', async () => {
      hooks.session.isHeld = true;
      hooks.event.isHeld = true;
      const agent = connect({ userId: 'ada' });
      expect([hub.size, lifecycle.isSettled]).toEqual([1, false]);
      await tick();
      expect([story, connection.got, agent.isShaked]).toEqual([['bind ada', 'onConnect'], [], false]);
      agent.onFrame(Buffer.from('{"topic":"a/b"}'));
      agent.sendPack('news/new', 1);
      hooks.session.done();
      await tick();
      expect([story.at(-1), connection.got]).toEqual(['@OnConnect', []]);
      hooks.event.done('told');
      await tick();
      expect(story).toEqual(['bind ada', 'onConnect', '@OnConnect', 'frame']);
      expect(connection.got.join('')).toMatch(/\$gate\/hello.*news\/new/);
      expect([agent.isShaked, agent.arrival, lifecycle.isSettled]).toEqual([true, 'told', true]);
    });

    it('with what the handshake says of it', async () => {
      const settings = { a: 1, gone: undefined };
      const agent = connect({ settings, userData: 'kept', authExpiresAt: Date.now() + 1_000 });
      settings.a = 2;
      await tick();
      expect([agent.sessionState.snapshot().settings, agent.userData, expiry.size]).toEqual([{ a: 1 }, 'kept', 1]);
      await tick(1_100);
      expect(connection.got.at(-1)).toBe('close 1008 auth expired');
    });

    it('without waiting for the hook of agents, whose errors hurt nobody', async () => {
      hooks.agent.isHeld = true;
      const agent = connect();
      await tick();
      expect([agent.isShaked, lifecycle.isSettled]).toEqual([true, false]);
      hooks.agent.fails(new Error('a defect'));
      await tick();
      expect([agent.isClosed, lifecycle.isSettled]).toEqual([false, true]);
    });

    it('pings it from then on, and closes it when it is silent', async () => {
      const { heartOverTimer } = resolveGateOptions();
      connect();
      await tick(heartOverTimer * 1.5);
      expect(connection.got.at(-1)).toBe(`close ${CLOSE.heartbeatTimeout.code} ${CLOSE.heartbeatTimeout.reason}`);
      expect(jest.getTimerCount()).toBe(0);
    });
  });

  describe('sends a client away that it cannot welcome', () => {
    it.each<[string, Error, string]>([
      ['is refused', new GateError('FORBIDDEN', 'no entry'), 'close 1008 no entry'],
      ['has been revoked', new RevokedError(), 'close 1008 revoked'],
      ['has no storage', new GateError('STORAGE_UNAVAILABLE'), `close ${CLOSE.overloaded.code}`],
      ['has no worker', new GateError('NO_WORKER'), `close ${CLOSE.overloaded.code} no worker for @OnConnect`],
      ['meets a defect', new TypeError('a secret'), `close ${CLOSE.internal.code}`],
    ])('because it %s, with a close code and nothing else', async (_why, error, closing) => {
      hooks.session.fails(error);
      const agent = connect();
      agent.sendPack('news/new', 1);
      await tick();
      expect(connection.got).toHaveLength(1);
      expect(connection.got[0]).toContain(closing);
      expect(connection.got[0]).not.toContain('a secret');
      expect([hub.size, lifecycle.isSettled, story.includes('@OnConnect')]).toEqual([0, true, false]);
    });

    it('because its hook takes too long, and runs its disconnect hook all the same', async () => {
      hooks.session.isHeld = true;
      connect();
      await tick(OVER_TIME_MS - 1);
      expect(connection.got).toEqual([]);
      await tick(1);
      expect(connection.got).toEqual([`close ${CLOSE.internal.code} ${CLOSE.internal.reason}`]);
      expect(ends()).toEqual(['@OnDisconnect false', 'agent disconnect', `onDisconnect ${CLOSE.internal.code}`]);
      expect([lifecycle.isSettled, jest.getTimerCount()]).toEqual([true, 0]);
    });

    it('because its expiry cannot be, though it is in the indexes already', async () => {
      connect({ authExpiresAt: Number.NaN });
      await tick();
      expect([connection.got.at(-1), hub.size, lifecycle.isSettled]).toEqual([
        `close ${CLOSE.internal.code} ${CLOSE.internal.reason}`,
        0,
        true,
      ]);
    });
  });

  describe('sees a client off', () => {
    it('takes it out of all indexes at once, and runs its disconnect hooks with what it was', async () => {
      const agent = connect();
      await tick();
      hub.groups.add('a', agent);
      hub.groups.add('b', agent);
      story.length = 0;
      agent.onClose(1001, 'gone');
      expect([hub.size, [...hub.groups.names()], story.slice(0, 2)]).toEqual([0, [], AFTERWARDS.toReversed()]);
      await tick();
      expect(story.slice(2)).toEqual([
        '@OnDisconnect false',
        'router forget',
        'agent disconnect',
        'onDisconnect 1001 a,b',
      ]);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('notifies the worker that has handled its connect event', async () => {
      hooks.event.isHeld = true;
      const agent = connect();
      await tick();
      hooks.event.done('told');
      await tick();
      agent.onClose(1001, '');
      expect(ends()[0]).toBe('@OnDisconnect true');
    });

    it('after its connect hook has settled, when that still runs', async () => {
      hooks.session.isHeld = true;
      const agent = connect();
      await tick();
      agent.onClose(1001, '');
      await tick();
      expect([ends(), story.includes('events abandon'), lifecycle.isSettled]).toEqual([[], true, false]);
      hooks.session.done();
      await tick();
      // It has left: the hooks that have not begun do not.
      expect(ends()).toEqual(['@OnDisconnect false', 'agent disconnect', 'onDisconnect 1001']);
      expect([connection.got, lifecycle.isSettled]).toEqual([[], true]);
    });

    it('without the disconnect hook of one whose connect hook has not begun', async () => {
      hooks.bind.isHeld = true;
      const agent = connect({ userId: 'ada' });
      await tick();
      agent.onClose(1001, '');
      hooks.bind.done();
      await tick();
      expect([story.includes('onConnect'), ends()]).toEqual([false, ['@OnDisconnect false', 'agent disconnect']]);
    });

    it('after the hook of agents too, which has to settle first', async () => {
      hooks.agent.isHeld = true;
      const agent = connect();
      await tick();
      agent.onClose(1001, '');
      await tick();
      expect(ends()).toEqual([]);
      hooks.agent.done();
      await tick();
      expect(ends()).toHaveLength(3);
    });

    it('notifies the worker of a disconnect that has received the connect event meanwhile', async () => {
      hooks.event.isHeld = true;
      const agent = connect();
      await tick();
      agent.onClose(1001, '');
      hooks.event.done('told');
      await tick();
      expect([ends()[0], connection.got]).toEqual(['@OnDisconnect true', []]);
      // Nothing pings it.
      expect(jest.getTimerCount()).toBe(0);
    });

    it('sends it what the application has said before it closed it, after the hello', async () => {
      hooks.session.isHeld = true;
      const agent = connect();
      await tick();
      agent.sendPack('news/last', 1);
      agent.close(CLOSE.kicked.code, 'bye');
      await tick();
      expect(connection.got.join('')).toMatch(/\$gate\/hello.*news\/last.*close \d+ bye$/);
      hooks.session.done();
      await tick();
      expect(connection.got.filter(each => each.includes('$gate/hello'))).toHaveLength(1);
    });

    it('logs and bears what its disconnect hooks throw', async () => {
      const agent = connect();
      await tick();
      disconnectFails = true;
      agent.onClose(1001, '');
      expect(lifecycle.isSettled).toBe(false);
      await tick();
      expect([ends().length, lifecycle.isSettled]).toEqual([3, true]);
    });
  });

  it('cuts a connection whose close is not done in time, unless it is', () => {
    const { closeTimeout } = resolveGateOptions();
    const cut = jest.fn();
    const cancel = lifecycle.afterCloseTimeout(cut);
    jest.advanceTimersByTime(closeTimeout - 1);
    cancel();
    lifecycle.afterCloseTimeout(cut);
    jest.advanceTimersByTime(closeTimeout);
    expect(cut).toHaveBeenCalledTimes(1);
  });
});
