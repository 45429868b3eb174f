import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { NodeInfo, PeerChange } from '@nestgate/link';
import { type ClientMessage, loadContract, type Pending, RemotePeer } from '@nestgate/link/internal';
import { JsonText, NO_BODY } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { GateOptions } from '../gate-options.js';
import { UsualWorkerChoice, WorkerChoice, type WorkerQuestion } from '../hooks/worker-choice.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { SessionState } from '../session/session-state.js';
import type { StartupWindow } from './startup-window.js';
import type { StreamTable } from './stream-table.js';
import { TopicRouter } from './topic-router.js';
import { MAX_WAITING } from './waiting-room.js';
import { WorkerDirectory } from './worker-directory.js';

/** None of the tests begins a stream. */
const NO_STREAMS = {} as StreamTable;

/** A node whose peers a test adds and removes; it notes whom it has told something. */
class FakeNode {
  readonly peers = new Map<string, RemotePeer>();
  readonly told: RemotePeer[] = [];
  readonly asked: RemotePeer[] = [];
  /** Thrown by the requests from now on. */
  failure: Error | undefined;
  /** What was asked: the router fills one object again and again. */
  readonly messages: (ClientMessage & { readonly leftMs: number })[] = [];
  private readonly listeners: ((change: PeerChange) => void)[] = [];

  onPeer(listener: (change: PeerChange) => void): () => void {
    this.listeners.push(listener);
    return () => undefined;
  }

  reportDefect(error: unknown): void {
    throw error;
  }

  join(id: string, epoch: string, modules: readonly string[] = ['chat']): RemotePeer {
    const info: NodeInfo = { id, epoch, role: 'worker', modules, draining: false };
    const peer = new RemotePeer(info, { requests: { nextSeries: () => 1 } } as never, { castTotal: 0 } as never);
    peer.notify = () => void this.told.push(peer);
    peer.request = (operation, message, _pending, deadline) => {
      if ((operation as unknown) === loadContract.load) return;
      if (this.failure) throw this.failure;
      this.asked.push(peer);
      this.messages.push({ ...(message as ClientMessage), leftMs: deadline - performance.now() });
    };
    this.peers.set(id, peer);
    this.changed({ type: 'join', node: peer.info });
    return peer;
  }

  drain(peer: RemotePeer): void {
    peer.info = { ...peer.info, draining: true };
    this.changed({ type: 'change', node: peer.info });
  }

  leave({ info }: RemotePeer): void {
    this.peers.delete(info.id);
    this.changed({ type: 'leave', id: info.id });
  }

  private changed(change: PeerChange): void {
    for (const listener of this.listeners) listener(change);
  }
}

describe('TopicRouter', () => {
  let node: FakeNode;
  let directory: WorkerDirectory;
  let router: TopicRouter;
  const startup = { modulesKnownAt: 0 };
  const counters = new GateCounters();
  let serial = 0;

  beforeEach(() => {
    node = new FakeNode();
    // The parts of a node that the router uses.
    directory = new WorkerDirectory(node as never);
    router = new TopicRouter(
      node as never,
      directory,
      new UsualWorkerChoice(),
      startup as StartupWindow,
      resolveGateOptions({ workerWait: 60_000 }),
      NO_STREAMS,
    );
  });

  /** The parts of an agent that the router uses. */
  function client(): ClientAgent {
    const origin = {
      sessionId: `g.e.${++serial}`,
      serverId: 'g',
      ip: '',
      network: 'ws',
      connectedAt: 0,
      traceParent: '',
    };
    const none = (): void => undefined;
    const agent = {
      serial,
      sessionState: new SessionState(origin, 1_000),
      counters,
      wire: { pushesResults: false },
      orderedCount: 0,
      waitSpentUntil: 0,
      workerVersion: 0,
      worker: undefined,
      otherWorkers: undefined,
      block: none,
      unblock: none,
      beginRequest: none,
    };
    return agent as unknown as ClientAgent;
  }

  const say = (agent: ClientAgent): void => router.route(agent, 'chat/say', NO_BODY, 1, performance.now());

  it('reads no more of a client while much waits for its worker', async () => {
    const peer = node.join('w1', 'e1');
    let blocks = 0;
    const agent = Object.assign(client(), { block: () => blocks++, unblock: () => blocks-- });
    const fill = (bytes: number) => {
      peer.backlog.push({ frame: Buffer.alloc(0), bytes, messages: 1, lastRequest: undefined, leavesGap: false });
      peer.congestion.begin();
    };
    const drain = async () => {
      peer.backlog.clear();
      peer.congestion.end();
      await Promise.resolve();
    };
    fill(4 * 1024 * 1024);
    say(agent);
    expect(blocks).toBe(0);

    fill(1);
    say(agent);
    expect(blocks).toBe(1);
    const drained = drain();
    // Another client is faster.
    fill(5 * 1024 * 1024);
    await drained;
    expect(blocks).toBe(1);
    await drain();
    expect(blocks).toBe(0);
    expect(node.asked).toHaveLength(2);
  });

  describe('a frame of a module that nobody has announced', () => {
    const route = () => {
      const refused: string[] = [];
      const agent = Object.assign(client(), {
        sendError: (_id: number, { code }: { code: string }) => refused.push(code),
        endRequest: () => undefined,
      });
      router.route(agent, 'chat/say', NO_BODY, 1, performance.now());
      return refused;
    };
    afterEach(() => {
      startup.modulesKnownAt = 0;
      router.onApplicationShutdown();
    });

    it('has no route', () => {
      expect(route()).toEqual(['NO_ROUTE']);
      expect(router.waitingCount).toBe(0);
    });

    it('waits for its worker right after the start of the gate', () => {
      startup.modulesKnownAt = performance.now() + 60_000;
      expect(route()).toEqual([]);
      expect(router.waitingCount).toBe(1);
      const worker = node.join('w', 'e');
      expect(node.asked).toEqual([worker]);
      expect(router.waitingCount).toBe(0);
    });

    it('has no route when none has come in that time', async () => {
      startup.modulesKnownAt = performance.now() + 50;
      const refused = route();
      const end = performance.now() + 5_000;
      while (refused.length === 0 && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 20));
      expect(refused).toEqual(['NO_ROUTE']);
    });
  });

  it('forgets with a worker that it is one of a client, and tells only those that are there of its end', () => {
    const agent = client();
    let worker = node.join('w0', 'e0');
    say(agent);
    for (let restart = 1; restart <= 30; restart++) {
      const next = node.join(`w${restart}`, 'e');
      node.drain(worker);
      say(agent);
      expect(agent.worker).toBe(next);
      expect(agent.otherWorkers?.size ?? 0).toBeLessThanOrEqual(node.peers.size);
      node.leave(worker);
      worker = next;
    }
    expect(agent.otherWorkers?.size ?? 0).toBeLessThanOrEqual(1);
    router.forget(agent);
    expect(node.told).toEqual([worker]);
    expect(directory.clientsOf(worker)).toBe(0);
  });

  it('remembers no worker that was lost before the client went to another one', () => {
    const agent = client();
    for (let boot = 0; boot < 30; boot++) {
      const worker = node.join('w', `e${boot}`);
      say(agent);
      expect(agent.worker).toBe(worker);
      expect(agent.otherWorkers).toBeUndefined();
      node.leave(worker);
    }
    router.tell(agent);
    router.forget(agent);
    expect(node.told).toEqual([]);
  });

  it('tells each worker that has a client, and is there, of its end', () => {
    const agent = client();
    const chat = node.join('chat', 'e');
    say(agent);
    const shop = node.join('shop', 'e', ['shop']);
    router.route(agent, 'shop/buy', NO_BODY, 2, performance.now());
    router.forget(agent);
    expect(node.told).toEqual([shop, chat]);
    expect([agent.worker, agent.otherWorkers]).toEqual([undefined, undefined]);
  });

  it('sends the next frames of a client that was shifted to its new worker, with its session, and has the old one forget it', () => {
    const agent = client();
    const [one, two] = [node.join('one', 'e'), node.join('two', 'e')];
    say(agent);
    expect(agent.worker).toBe(one);
    router.shift(agent, two);
    expect([directory.clientsOf(one), directory.clientsOf(two)]).toEqual([0, 1]);
    expect(node.told).toEqual([one]);
    say(agent);
    say(agent);
    expect(node.asked).toEqual([one, two, two]);
    expect(node.messages.map(({ session }) => session !== undefined)).toEqual([true, true, false]);
    // And back, where nothing of it is known any more.
    router.shift(agent, one);
    say(agent);
    expect(node.messages.at(-1)?.session).toBeDefined();
    router.forget(agent);
    expect(node.told).toEqual([one, two, one]);
  });

  it('keeps clients where the application has put them', () => {
    const agent = client();
    expect(router.isPinned(agent)).toBe(false);
    agent.sessionState.merge({ $workers: { chat: 'one' } });
    expect(router.isPinned(agent)).toBe(true);
  });

  it('drops the waiting frame of a client that has gone, and none of another', () => {
    node.leave(node.join('w', 'e'));
    const [gone, stays] = [client(), client()];
    say(gone);
    say(stays);
    router.abandon(gone);
    expect([router.waitingCount, counters.get('frames_abandoned', 'client_gone')]).toEqual([1, 1]);
    const worker = node.join('w', 'e2');
    expect(node.asked).toEqual([worker]);
    expect([gone.worker, stays.worker]).toEqual([undefined, worker]);
    router.onApplicationShutdown();
  });

  it('forgets a client as quickly when many frames wait', () => {
    const clients = Array.from({ length: 5_000 }, client);
    const forgetAll = (): number => {
      const start = performance.now();
      for (const agent of clients) {
        router.abandon(agent);
        router.forget(agent);
      }
      return performance.now() - start;
    };
    node.leave(node.join('w', 'e'));
    const idleMs = forgetAll();
    for (let n = 0; n < MAX_WAITING; n++) say(client());
    expect(router.waitingCount).toBe(MAX_WAITING);
    // A look at each of them would take some hundred milliseconds.
    expect(forgetAll()).toBeLessThan(idleMs + 50);
    router.onApplicationShutdown();
  });

  describe('chooses', () => {
    const routes = (agent: ClientAgent, topic = 'chat/say'): RemotePeer | undefined => {
      const { length } = node.asked;
      router.route(agent, topic, NO_BODY, 1, performance.now());
      return node.asked[length];
    };

    it('the worker with the fewest clients for one that has none, and stays with that', () => {
      const [one, two] = [node.join('one', 'e'), node.join('two', 'e')];
      const [a, b, c] = [client(), client(), client()];
      expect([routes(a), routes(b), routes(a), routes(c)]).toEqual([one, two, one, one]);
      expect([directory.clientsOf(one), directory.clientsOf(two)]).toEqual([2, 1]);
      router.forget(c);
      expect(directory.clientsOf(one)).toBe(1);
    });

    it('the worker that the client has for another module too, where that serves it', () => {
      const [one, two] = [node.join('one', 'e', ['chat']), node.join('two', 'e', ['chat', 'shop'])];
      const agent = client();
      expect([routes(agent), routes(agent, 'shop/buy'), routes(agent)]).toEqual([one, two, two]);
    });

    it.each([
      ['its worker', { chat: 'two' }, 1],
      ['one that is not there', { chat: 'nine' }, 0],
      ['another module', { shop: 'two' }, 0],
      ['no object', ['two'], 0],
      ['nothing', null, 0],
    ])('by what the session is pinned to: %s', (_what, pins, expected) => {
      const workers = [node.join('one', 'e'), node.join('two', 'e')];
      const agent = client();
      agent.sessionState.merge({ $workers: pins });
      expect(routes(agent)).toBe(workers[expected]);
    });

    it('what the application says, and by the rule when it says nothing that can be, or throws', () => {
      const workers = [node.join('one', 'e'), node.join('two', 'e')];
      const questions: unknown[] = [];
      let answer = (): string | undefined => 'two';
      class Choice extends WorkerChoice {
        override choose({ topic, module, workers: candidates, current }: WorkerQuestion): string | undefined {
          questions.push({ topic, module, candidates, current });
          return answer();
        }
      }
      router.onApplicationShutdown();
      const options = resolveGateOptions({ workerWait: 60_000 });
      router = new TopicRouter(node as never, directory, new Choice(), startup as StartupWindow, options, NO_STREAMS);
      const agent = Object.assign(client(), { session: {} });
      expect(routes(agent)).toBe(workers[1]);
      const candidates = [
        { id: 'one', clients: 0, requests: 0, delayMs: expect.any(Number) },
        { id: 'two', clients: 0, requests: 0, delayMs: expect.any(Number) },
      ];
      expect(questions).toEqual([{ topic: 'chat/say', module: 'chat', candidates, current: undefined }]);
      answer = () => 'nobody';
      expect(routes(agent)).toBe(workers[1]);
      answer = () => {
        throw new Error('a defect');
      };
      Logger.overrideLogger(false);
      expect(routes(agent)).toBe(workers[1]);
      expect(questions.at(-1)).toMatchObject({ current: 'two' });
    });
  });

  describe('keeps the frames of a client in order', () => {
    /** A client whose frames wait until a test says that those before them have settled. */
    function ordered() {
      const waiting: (() => void)[] = [];
      const failed: unknown[] = [];
      const agent = Object.assign(client(), {
        blockUntilSettled: (next: () => void) => waiting.push(next),
        failFrame: (id: number, topic: string, error: unknown, wasBegun: boolean) =>
          failed.push([id, topic, error, wasBegun]),
        orderedCount: 0,
      });
      return { agent, waiting, failed };
    }

    it('when it leaves a worker that may still have some of them', () => {
      const { agent, waiting } = ordered();
      const one = node.join('one', 'e');
      say(agent);
      agent.orderedCount = 1;
      node.drain(one);
      const two = node.join('two', 'e');
      say(agent);
      expect([node.asked, waiting.length]).toEqual([[one], 1]);
      agent.orderedCount = 0;
      waiting[0]?.();
      expect(node.asked).toEqual([one, two]);
    });

    it('also when it comes back to a worker while an earlier one is busy', () => {
      const { agent, waiting } = ordered();
      const one = node.join('one', 'e');
      say(agent);
      node.drain(one);
      const two = node.join('two', 'e');
      say(agent);
      // The second worker is lost, a third one is there: the first one may still have frames.
      node.leave(two);
      node.join('three', 'e');
      agent.orderedCount = 1;
      say(agent);
      expect([node.asked.length, waiting.length]).toEqual([2, 1]);
    });

    it('without waiting for a worker that is lost, has no frames of the module, or nothing to answer', () => {
      const { agent, waiting } = ordered();
      const one = node.join('one', 'e');
      say(agent);
      agent.orderedCount = 1;
      node.leave(one);
      const two = node.join('two', 'e');
      say(agent);
      const shop = node.join('shop', 'e', ['shop']);
      router.route(agent, 'shop/buy', NO_BODY, 2, performance.now());
      agent.orderedCount = 0;
      say(agent);
      expect([node.asked, waiting]).toEqual([[one, two, shop, two], []]);
    });

    it('and ends a frame that fails when its turn comes, and no other', () => {
      const { agent, waiting, failed } = ordered();
      const one = node.join('one', 'e');
      say(agent);
      agent.orderedCount = 1;
      node.drain(one);
      node.join('two', 'e');
      say(agent);
      const defect = new Error('a defect');
      node.failure = defect;
      agent.orderedCount = 0;
      waiting[0]?.();
      expect(failed).toEqual([[1, 'chat/say', defect, false]]);
    });
  });

  describe('tells a worker of the session', () => {
    const versions = (): (number | undefined)[] => node.messages.map(({ session }) => session?.version);

    it('with the first frame, and with the next one after a change', () => {
      node.join('one', 'e');
      const agent = client();
      say(agent);
      say(agent);
      agent.sessionState.merge({ a: 1 });
      say(agent);
      say(agent);
      expect(versions()).toEqual([1, undefined, 2, undefined]);
    });

    it('when it comes back to it, only if it has changed meanwhile', () => {
      const [chat, shop] = [node.join('chat', 'e', ['chat']), node.join('shop', 'e', ['shop'])];
      const agent = client();
      const buy = (): void => router.route(agent, 'shop/buy', NO_BODY, 1, performance.now());
      say(agent);
      buy();
      say(agent);
      agent.sessionState.merge({ a: 1 });
      buy();
      say(agent);
      say(agent);
      expect(versions()).toEqual([1, 1, undefined, 2, 2, undefined]);
      expect(node.asked).toEqual([chat, shop, chat, shop, chat, chat]);
    });

    it('at once of a change, once, and nobody who is not there', () => {
      const one = node.join('one', 'e');
      const agent = client();
      router.tell(agent);
      say(agent);
      router.tell(agent);
      expect(node.told).toEqual([]);
      agent.sessionState.merge({ a: 1 });
      router.tell(agent);
      router.tell(agent);
      expect(node.told).toEqual([one]);
      agent.sessionState.merge({ a: 2 });
      node.leave(one);
      node.join('one', 'e2');
      router.tell(agent);
      expect(node.told).toEqual([one]);
    });
  });

  describe('a frame whose worker has gone', () => {
    const WAIT_MS = 1_000;
    let refused: string[];
    let blocks: number;
    let agent: ClientAgent;

    beforeEach(() => {
      jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
      restart({ workerWait: WAIT_MS, requestTimeout: 10_000 });
      node.leave(node.join('w', 'e'));
      [refused, blocks] = [[], 0];
      agent = Object.assign(client(), {
        block: () => blocks++,
        unblock: () => blocks--,
        beginRequest: () => agent.counters.add('frames_refused', 'begun'),
        endRequest: () => agent.counters.add('frames_refused', 'ended'),
        sendError: (_id: number, { code }: { code: string }) => refused.push(code),
        refuseBadFrame: () => refused.push('bad frame'),
        failFrame: (_id: number, _topic: string, error: Error, wasBegun: boolean) =>
          refused.push(`${error.message} ${wasBegun}`),
      });
    });
    afterEach(() => {
      router.onApplicationShutdown();
      jest.useRealTimers();
    });

    function restart(options: GateOptions): void {
      router.onApplicationShutdown();
      router = new TopicRouter(
        node as never,
        directory,
        new UsualWorkerChoice(),
        startup as StartupWindow,
        resolveGateOptions(options),
        NO_STREAMS,
      );
    }

    it('waits for another one, and holds those behind it', () => {
      say(agent);
      expect([router.waitingCount, blocks, refused]).toEqual([1, 1, []]);
      // A worker of another module is none for it.
      node.join('shop', 'e', ['shop']);
      expect([router.waitingCount, blocks]).toEqual([1, 1]);
      jest.advanceTimersByTime(WAIT_MS / 2);
      const came = node.join('w', 'e2');
      expect([router.waitingCount, blocks, node.asked]).toEqual([0, 0, [came]]);
      // What is left of its time, from when it came.
      expect(node.messages.at(-1)?.leftMs).toBe(10_000 - WAIT_MS / 2);
      jest.advanceTimersByTime(2 * WAIT_MS);
      expect(refused).toEqual([]);
    });

    it('is refused when none comes in time, and those behind it at once, for a moment', () => {
      say(agent);
      jest.advanceTimersByTime(WAIT_MS - 1);
      expect(refused).toEqual([]);
      // At most 50 ms late.
      jest.advanceTimersByTime(51);
      expect([refused, blocks, router.waitingCount]).toEqual([['NO_WORKER'], 0, 0]);
      say(agent);
      expect([refused.length, router.waitingCount]).toEqual([2, 0]);
      jest.advanceTimersByTime(200);
      say(agent);
      expect([refused.length, router.waitingCount]).toEqual([2, 1]);
    });

    it('is refused with BAD_FRAME when nobody else would notice that its body is none', () => {
      router.route(agent, 'chat/say', new JsonText('{'), 1, performance.now());
      jest.advanceTimersByTime(WAIT_MS + 100);
      expect(refused).toEqual(['bad frame']);
    });

    it('waits no longer than its request may take', () => {
      router.route(agent, 'chat/say', NO_BODY, 1, performance.now() - 9_900);
      jest.advanceTimersByTime(200);
      expect(refused).toEqual(['NO_WORKER']);
    });

    it('is refused at once where nothing waits', () => {
      restart({ workerWait: 0 });
      say(agent);
      expect([refused, router.waitingCount]).toEqual([['NO_WORKER'], 0]);
    });

    it('is refused at once when too many wait already', () => {
      for (let n = 0; n < MAX_WAITING; n++) say(client());
      say(agent);
      expect([refused, router.waitingCount]).toEqual([['NO_WORKER'], MAX_WAITING]);
    });

    it('ends when it cannot be sent, and those of other clients go on', () => {
      const other = Object.assign(client(), { failFrame: () => refused.push('other') });
      say(agent);
      say(other);
      const ended = agent.failFrame.bind(agent);
      agent.failFrame = (...args) => {
        node.failure = undefined;
        ended(...args);
      };
      node.failure = new Error('a defect');
      node.join('w', 'e2');
      expect([refused, blocks, router.waitingCount]).toEqual([['a defect true'], 0, 0]);
      expect(node.asked).toHaveLength(1);
    });

    it('goes nowhere once the gate has shut down', () => {
      say(agent);
      router.onApplicationShutdown();
      node.join('w', 'e2');
      jest.advanceTimersByTime(2 * WAIT_MS);
      expect([node.asked, refused]).toEqual([[], []]);
    });
  });

  it('routes an event to a worker that listens, and says when none does', () => {
    const pending = {} as Pending;
    const agent = client();
    const event = () => router.routeEvent(agent, '$connect', NO_BODY, pending, performance.now() + 5);
    expect(event()).toBe(false);
    const worker = node.join('w', 'e', ['$connect']);
    expect([event(), node.asked, agent.worker]).toEqual([true, [worker], worker]);
    expect(node.messages.at(-1)).toMatchObject({ wantsResult: false, topic: '$connect' });
  });

  it('wants a result for requests, and where the client gets it as a push', () => {
    node.join('w', 'e');
    const agent = client();
    router.route(agent, 'chat/say', NO_BODY, 0, performance.now());
    router.route(agent, 'chat/say', NO_BODY, 7, performance.now());
    router.route(Object.assign(client(), { wire: { pushesResults: true } }), 'chat/say', NO_BODY, 0, performance.now());
    expect(node.messages.map(({ wantsResult }) => wantsResult)).toEqual([false, true, true]);
  });

  it('remembers the modules of so many topics, and routes those beyond all the same', () => {
    node.join('w', 'e');
    const agent = client();
    for (let n = 0; n < 5_000; n++) router.route(agent, `chat/t${n}`, NO_BODY, 1, performance.now());
    expect(node.asked).toHaveLength(5_000);
    const { modules } = router as unknown as { readonly modules: ReadonlyMap<string, string> };
    expect(modules.size).toBeLessThanOrEqual(4_096);
  });
});
