import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { LinkNode, MemoryBus, type SessionSnapshot } from '@nestgate/link';
import { type ClientMessage, MALFORMED_BODY, type Peer, PendingCall, topicContract } from '@nestgate/link/internal';
import { type Body, BodyKind, GateError, NO_BODY } from '@nestgate/protocol';
import { EMPTY, from, NEVER, Observable, of, throwError } from 'rxjs';
import { encodeBody } from '../../message/message.js';
import type { OnTopicOptions } from '../on-topic.decorator.js';
import type { TopicContext } from '../topic-context.js';
import { TopicHandler } from '../handler/topic-handler.js';
import { TopicRunner } from './topic-runner.js';

type Callback = (payload: unknown, context: TopicContext) => unknown;
type AskOptions = { client?: number; deadlineMs?: number; wantsResult?: boolean; session?: Partial<SessionSnapshot> };

/** What Nest makes of a handler; not called where the handler is plain. */
const pipeline = (): Promise<never> => Promise.reject(new Error('The pipeline is not empty'));

const NODE = { epoch: 'e1', modules: [], draining: false };

describe('TopicRunner', () => {
  let gate: LinkNode;
  let node: LinkNode;
  let runner: TopicRunner;
  let handlers: Map<string, TopicHandler>;
  /** The payloads of the frames that were started, and how to end those of `wait`. */
  let started: unknown[];
  let release: Map<unknown, (value?: unknown) => void>;

  beforeAll(() => {
    Logger.overrideLogger(false);
  });

  beforeEach(async () => {
    jest.useFakeTimers({ now: 1_000_000, doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
    const bus = new MemoryBus();
    gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    node = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    handlers = new Map();
    runner = new TopicRunner(node, handlers);
    node.dispatcher.serve(topicContract, {
      message: (message, call) => runner.accept(message, call),
      update: ({ serial, session }, call) => runner.learn(call.peer, serial, session),
      forget: ({ serial }, call) => runner.forget(call.peer, serial),
    });
    await gate.open();
    await node.open();
    started = [];
    release = new Map();
    const wait: Callback = payload => {
      started.push(payload);
      return new Promise(resolve => release.set(payload, resolve));
    };
    handle('wait', wait);
    handle('beside', wait, { concurrent: true });
    handle('echo', payload => {
      started.push(payload);
      return payload;
    });
  });
  afterEach(async () => {
    jest.useRealTimers();
    await gate.close();
    await node.close();
  });

  function handle(topic: string, callback: Callback, options: OnTopicOptions = {}): void {
    // As Nest calls it: always with a promise.
    const handler = async (payload: unknown, context: TopicContext): Promise<unknown> => callback(payload, context);
    handlers.set(topic, new TopicHandler(handler, { topic, ...options }));
  }

  /** Lets everything go its way for which no time has to pass. */
  async function turns(): Promise<void> {
    for (let i = 0; i < 6; i++) await new Promise(resolve => setImmediate(resolve));
  }

  const worker = (): Peer => gate.peers.get('w1') as Peer;
  const theGate = (): Peer => node.peers.get('g1') as Peer;

  function snapshot(client: number, change: Partial<SessionSnapshot> = {}): SessionSnapshot {
    const origin = {
      sessionId: `g1.e1.${client.toString(36)}`,
      serverId: 'g1',
      ip: '::1',
      network: 'ws',
      connectedAt: 5,
      traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    };
    return { ...origin, userId: '', settings: {}, version: 1, ...change };
  }

  /** Sends a frame as a gate does. Resolves with what the client would be told. */
  function askRaw(topic: string, body: Body, options: AskOptions = {}): Promise<Body> {
    const { client = 1, deadlineMs = 30_000, wantsResult = true, session = {} } = options;
    const pending = new PendingCall<ClientMessage, Body>(topicContract.message);
    const message = { serial: client, topic, body, wantsResult, session: snapshot(client, session) };
    worker().request(topicContract.message, message, pending, performance.now() + deadlineMs);
    return pending.promise;
  }

  function ask(topic: string, payload?: unknown, options: AskOptions = {}): Promise<unknown> {
    const asked = askRaw(topic, encodeBody(payload), options).then(({ kind, bytes }): unknown =>
      kind === BodyKind.json ? JSON.parse(Buffer.from(bytes).toString()) : kind === BodyKind.bytes ? bytes : undefined,
    );
    // Some tests do not care how a request ends.
    asked.catch(() => undefined);
    return asked;
  }

  /** What has become of a request by now: its result, the code of its error, or that it is still open. */
  async function now(asked: Promise<unknown>): Promise<unknown> {
    return Promise.race([asked.catch((error: unknown) => (error as GateError).code), turns().then(() => 'open')]);
  }

  describe('answers', () => {
    it.each<[string, unknown, unknown]>([
      ['a value', { a: 1 }, { a: 1 }],
      ['null', null, null],
      ['nothing', undefined, undefined],
      ['bytes', Buffer.from([1, 255]), Buffer.from([1, 255])],
      ['the last value of a stream', from([1, 2, 3]), 3],
      ['an empty stream', EMPTY, undefined],
    ])('with %s', async (_what, value, answer) => {
      handle('t', () => value);
      expect(await now(ask('t'))).toEqual(answer);
    });

    it('with the errors that the pipeline has coded', async () => {
      const error = { code: 'ROOM_FULL', message: 'full', details: { max: 2 } };
      handle('promise', () => Promise.reject(error));
      handle('stream', () => throwError(() => error));
      for (const topic of ['promise', 'stream']) await expect(ask(topic)).rejects.toMatchObject(error);
    });

    it('with a mask for all other errors', async () => {
      handle('promise', () => Promise.reject(new Error('secret')));
      handle('stream', () => throwError(() => new Error('secret')));
      handle('unencodable', () => 1n);
      for (const topic of ['promise', 'stream', 'unencodable']) {
        await expect(ask(topic)).rejects.toMatchObject({ code: 'INTERNAL', message: 'Internal server error' });
      }
    });

    it('a topic without a handler', async () => {
      expect(await now(ask('nobody'))).toBe('NO_HANDLER');
    });

    it('broken JSON, without calling the handler', async () => {
      expect(await now(askRaw('echo', { kind: BodyKind.json, bytes: Buffer.from('{') }))).toBe(MALFORMED_BODY);
      expect(await now(askRaw('echo', { kind: BodyKind.bytes, bytes: Buffer.from('{') }))).toBe('BAD_REQUEST');
      expect(started).toEqual([]);
    });

    it('a client that wants no result, without encoding it', async () => {
      handle('unencodable', () => 1n);
      expect(await now(askRaw('unencodable', NO_BODY, { wantsResult: false }))).toEqual(NO_BODY);
      expect(await now(askRaw('echo', encodeBody(1), { wantsResult: false }))).toEqual(NO_BODY);
    });

    it('an error whose details cannot be encoded, and those behind it', async () => {
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      handle('good', async () => {
        for (let i = 0; i < 20; i++) await Promise.resolve();
        return 'good';
      });
      for (const details of [1n, () => 1, cycle]) {
        handle('bad', () => Promise.reject(Object.assign(new Error('m'), { code: 'X', details })));
        const bad = ask('bad', 0, { client: 1 });
        const good = ask('good', 0, { client: 2 });
        expect(await now(good)).toBe('good');
        expect(['X', 'INTERNAL']).toContain(await now(bad));
      }
    });
  });

  describe('the frames of one client', () => {
    it('run one after another, in the order in which they came', async () => {
      const asked = ['a', 'b', 'c'].map(name => ask('wait', name));
      const last = ask('echo', 'd');
      await turns();
      expect(started).toEqual(['a']);
      release.get('a')?.(1);
      expect(await now(asked[0] as Promise<unknown>)).toBe(1);
      expect(started).toEqual(['a', 'b']);
      release.get('b')?.(2);
      await turns();
      release.get('c')?.(3);
      expect(await Promise.all([...asked, last])).toEqual([1, 2, 3, 'd']);
      expect(started).toEqual(['a', 'b', 'c', 'd']);
    });

    it('go on after one that failed', async () => {
      handle('fail', () => Promise.reject(new Error('secret')));
      const asked = [
        ask('wait', 'a'),
        ask('fail'),
        askRaw('echo', { kind: BodyKind.json, bytes: Buffer.from('{') }),
        ask('nobody'),
        ask('echo', 'b'),
      ];
      await turns();
      release.get('a')?.('a');
      expect(await Promise.all(asked.map(now))).toEqual(['a', 'INTERNAL', MALFORMED_BODY, 'NO_HANDLER', 'b']);
    });

    it('wait for the end of a stream', async () => {
      let complete: (() => void) | undefined;
      handle('stream', () => new Observable(subscriber => (complete = () => subscriber.complete())));
      void ask('stream');
      const next = ask('echo', 'next');
      expect(await now(next)).toBe('open');
      complete?.();
      expect(await now(next)).toBe('next');
    });

    it('may be as many as a gate lets through, all of them broken', async () => {
      const first = ask('wait', 'first');
      const broken = Array.from({ length: 9_999 }, () =>
        askRaw('echo', { kind: BodyKind.json, bytes: Buffer.from('{') }).catch(
          (error: unknown) => (error as GateError).code,
        ),
      );
      const last = ask('echo', 'last');
      await turns();
      release.get('first')?.('first');
      expect(await now(last)).toBe('last');
      expect(new Set(await Promise.all(broken))).toEqual(new Set([MALFORMED_BODY]));
      expect(await first).toBe('first');
    });
  });

  it('lets nobody wait for other clients', async () => {
    const slow = ask('wait', 'slow', { client: 1 });
    expect(await now(ask('echo', 'quick', { client: 2 }))).toBe('quick');
    expect(await now(slow)).toBe('open');
  });

  it('runs concurrent handlers beside everything else', async () => {
    const asked = [ask('wait', 'a'), ask('beside', 'x'), ask('wait', 'b'), ask('beside', 'y')];
    await turns();
    expect(started).toEqual(['a', 'x', 'y']);
    release.get('y')?.('y');
    release.get('x')?.('x');
    await turns();
    expect(started).toEqual(['a', 'x', 'y']);
    release.get('a')?.('a');
    await turns();
    expect(started).toEqual(['a', 'x', 'y', 'b']);
    release.get('b')?.('b');
    expect(await Promise.all(asked)).toEqual(['a', 'x', 'b', 'y']);
  });

  describe('shares the event loop', () => {
    const BUSY_MS = 50;
    /** What has run, `.` for each turn of the event loop. */
    let order: string[];
    let isOver: boolean;

    beforeEach(() => {
      order = [];
      isOver = false;
      const busy: Callback = payload => {
        order.push(payload as string);
        jest.advanceTimersByTime(BUSY_MS);
      };
      handle('busy', busy);
      handle('busy-beside', busy, { concurrent: true });
      handle('busy-later', async payload => {
        await Promise.resolve();
        return busy(payload, undefined as never);
      });
      const plain = new TopicHandler(pipeline, { topic: 'busy-plain' }, busy);
      handlers.set('busy-plain', plain);
    });
    afterEach(() => {
      isOver = true;
    });

    function countTurns(): void {
      order.push('.');
      if (!isOver) setImmediate(countTurns);
    }

    const FRAMES = ['a1', 'a2', 'a3', 'a4', 'a5'];

    it.each(['busy', 'busy-later', 'busy-plain', 'busy-beside'])('between the frames of %s', async topic => {
      const asked = FRAMES.map(name => ask(topic, name, { client: 1 }));
      asked.push(ask('busy', 'b1', { client: 2 }), ask('busy', 'c1', { client: 3 }));
      setImmediate(countTurns);
      await Promise.all(asked);
      const ran = order.filter(name => name !== '.');
      // Those who have come later do not wait for all that the first one has sent at once.
      expect(ran.indexOf('b1')).toBeLessThanOrEqual(3);
      expect(ran.indexOf('c1')).toBeLessThanOrEqual(5);
      expect(ran.filter(name => name.startsWith('a'))).toEqual(FRAMES);
      // Sockets and timers have their turn: at most one frame of those that wait beside and behind others comes before it.
      expect(order.join('')).not.toMatch(/[abc]\d[abc]\d[abc]\d/);
    });

    it('but does not wait while there is time left', async () => {
      handle('turn', () => order.length);
      const asked = FRAMES.map((name, client) => ask('turn', name, { client }));
      setImmediate(countTurns);
      expect(new Set(await Promise.all(asked)).size).toBe(1);
    });

    it('and starts nothing that waits for its turn when its gate is lost, or its time is over', async () => {
      const asked = FRAMES.map(name => ask('busy', name, { client: 1, deadlineMs: 3 * BUSY_MS }));
      const settled = Promise.allSettled(asked);
      setImmediate(countTurns);
      await settled;
      await turns();
      expect(order.filter(name => name !== '.').length).toBeLessThan(FRAMES.length);
      order = [];
      for (const name of FRAMES) void ask('busy', name, { client: 1 });
      await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
      runner.forgetPeer('g1');
      const before = [...order];
      await turns();
      expect(order.filter(name => name !== '.')).toEqual(before.filter(name => name !== '.'));
      expect(runner.load()).toEqual({ running: 0, waiting: 0, clients: 0, streams: 0, abandoned: 0 });
    });
  });

  describe('runs each frame in an async context of its own', () => {
    const storage = new AsyncLocalStorage<string>();
    const look: Callback = () => storage.getStore() ?? 'nothing';
    const enter: Callback = payload => {
      storage.enterWith(payload as string);
      return storage.getStore();
    };

    beforeEach(() => {
      handle('look', look);
      handlers.set('look-plain', new TopicHandler(pipeline, { topic: 'look-plain' }, look));
    });

    it.each<[string, Callback]>([
      ['at once', enter],
      [
        'later',
        async payload => {
          await Promise.resolve();
          const entered = enter(payload, undefined as never);
          await new Promise(resolve => setImmediate(resolve));
          return entered === storage.getStore() ? entered : 'lost';
        },
      ],
      [
        'in a stream that ends later',
        payload =>
          new Observable(subscriber => {
            enter(payload, undefined as never);
            setImmediate(() => {
              subscriber.next(storage.getStore());
              subscriber.complete();
            });
          }),
      ],
    ])('when a store is entered %s', async (_when, callback) => {
      handle('enter', callback);
      handlers.set(
        'enter-plain',
        new TopicHandler(pipeline, { topic: 'enter-plain' }, payload => callback(payload, undefined as never)),
      );
      for (const topic of ['enter', 'enter-plain']) {
        const asked = [ask(topic, 'mine', { client: 1 })];
        // Behind it in its lane, and beside it in the same batch.
        for (const client of [1, 2]) for (const next of ['look', 'look-plain']) asked.push(ask(next, 0, { client }));
        expect(await Promise.all(asked)).toEqual(['mine', 'nothing', 'nothing', 'nothing', 'nothing']);
        expect(await Promise.all([ask('look', 0, { client: 2 }), ask('look', 0, { client: 3 })])).toEqual([
          'nothing',
          'nothing',
        ]);
      }
    });
  });

  describe('at the deadline', () => {
    it('never starts what has waited too long, and goes on with what has not', async () => {
      const first = ask('wait', 'first');
      const expired = ['e1', 'e2'].map(name => ask('echo', name, { deadlineMs: 100 }));
      const last = ask('echo', 'last');
      await turns();
      jest.advanceTimersByTime(200);
      expect(await Promise.all(expired.map(now))).toEqual(['TIMEOUT', 'TIMEOUT']);
      release.get('first')?.('done');
      expect(await Promise.all([first, last])).toEqual(['done', 'last']);
      expect(started).toEqual(['first', 'last']);
    });

    it.each(['wait', 'beside'])('does not start a frame of %s that comes too late', async topic => {
      void ask(topic, 'late', { deadlineMs: 0 });
      await turns();
      expect(started).toEqual([]);
    });

    it('leaves a handler behind, and starts the next frame', async () => {
      const stuck = ask('wait', 'stuck', { deadlineMs: 100 });
      const next = ask('echo', 'next');
      expect(await now(next)).toBe('open');
      jest.advanceTimersByTime(99);
      expect(await now(next)).toBe('open');
      jest.advanceTimersByTime(101);
      expect(await now(next)).toBe('next');
      expect(await now(stuck)).toBe('TIMEOUT');
    });

    it('drops what comes late: a value, an error, the end of a stream', async () => {
      let complete: (() => void) | undefined;
      let reject: ((error: unknown) => void) | undefined;
      const [replies, failures] = [jest.spyOn(theGate(), 'reply'), jest.spyOn(theGate(), 'fail')];
      handle('stream', () => new Observable(subscriber => (complete = () => subscriber.complete())));
      handle('reject', () => new Promise((_resolve, fail) => (reject = fail)));
      const asked = ['wait', 'stream', 'reject'].map((topic, i) => ask(topic, topic, { client: i, deadlineMs: 100 }));
      await turns();
      jest.advanceTimersByTime(200);
      expect(await Promise.all(asked.map(now))).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT']);
      const running = ask('wait', 'running', { client: 0 });
      const waiting = ask('echo', 'waiting', { client: 0 });
      await turns();
      release.get('wait')?.('late');
      complete?.();
      reject?.(new GateError('FORBIDDEN'));
      expect(await now(waiting)).toBe('open');
      release.get('running')?.('on time');
      expect(await Promise.all([running, waiting])).toEqual(['on time', 'waiting']);
      expect([replies, failures].map(({ mock }) => mock.calls.length)).toEqual([2, 0]);
    });

    it('lets go of a stream that never ends', async () => {
      let subscriptions = 0;
      handle('endless', () => {
        return new Observable(() => {
          subscriptions++;
          return () => subscriptions--;
        });
      });
      void ask('endless', 0, { deadlineMs: 100 });
      await turns();
      expect(subscriptions).toBe(1);
      jest.advanceTimersByTime(200);
      expect(subscriptions).toBe(0);
    });

    it('runs no timer when nothing runs', async () => {
      await ask('echo', 1);
      // Longer than the time after which the link asks what has arrived: then nothing is left to ask for.
      for (let i = 0; i < 3; i++) {
        jest.advanceTimersByTime(500);
        await turns();
      }
      expect(jest.getTimerCount()).toBe(0);
    });
  });

  describe('the session', () => {
    beforeEach(() => {
      handle('mood', (_payload, { session }) => [session.version, session.get('mood') ?? null]);
      handle(
        'count',
        (_payload, { session }) => (session.userData = ((session.userData as number | undefined) ?? 0) + 1),
      );
      handle('who', (_payload, context) => [
        context.topic,
        context.wantsReply,
        context.clientId,
        context.session.clientId,
      ]);
    });

    it('is that of the client who sent the frame', async () => {
      expect(await ask('who', 0, { client: 40 })).toEqual(['who', true, 'g1.e1.14', 'g1.e1.14']);
    });

    it('is one copy for one frame, and a new one for the next', async () => {
      handle('twice', (_payload, context) => {
        context.session.set('mood', 'draft');
        return context.session.get('mood');
      });
      expect(await ask('twice')).toBe('draft');
      expect(await ask('mood')).toEqual([1, null]);
    });

    it('is as new as the gate has told, before the next frame runs', async () => {
      void ask('wait', 'a');
      const next = ask('mood');
      await turns();
      worker().notify(topicContract.update, {
        serial: 1,
        session: snapshot(1, { version: 3, settings: { mood: 'new' } }),
      });
      await turns();
      release.get('a')?.();
      expect(await next).toEqual([3, 'new']);
    });

    it('never goes back to an older state', async () => {
      expect(await ask('mood', 0, { session: { version: 5, settings: { mood: 'new' } } })).toEqual([5, 'new']);
      expect(await ask('mood', 0, { session: { version: 4, settings: { mood: 'old' } } })).toEqual([5, 'new']);
    });

    it('keeps userData with its client, until the client is forgotten', async () => {
      expect([await ask('count'), await ask('count'), await ask('count', 0, { client: 2 })]).toEqual([1, 2, 1]);
      worker().notify(topicContract.forget, { serial: 1 });
      expect([await ask('count'), await ask('count', 0, { client: 2 })]).toEqual([1, 2]);
      runner.forgetPeer('g2');
      expect(await ask('count')).toBe(2);
      runner.forgetPeer('g1');
      expect([await ask('count'), await ask('count', 0, { client: 2 })]).toEqual([1, 1]);
    });

    it('of a forgotten client lasts until its frames are done', async () => {
      const first = ask('wait', 'a');
      const waiting = ask('mood', 0, { session: { version: 2, settings: { mood: 'calm' } } });
      await turns();
      worker().notify(topicContract.forget, { serial: 1 });
      await turns();
      release.get('a')?.('a');
      expect(await Promise.all([first, waiting])).toEqual(['a', [2, 'calm']]);
    });
  });

  describe('whenIdle', () => {
    it('waits for what runs and what waits behind it', async () => {
      void ask('wait', 'a');
      void ask('wait', 'b');
      await turns();
      const idle = runner.whenIdle(5_000);
      release.get('a')?.();
      expect(await now(idle.then(() => 'idle'))).toBe('open');
      release.get('b')?.();
      expect(await now(idle.then(() => 'idle'))).toBe('idle');
    });

    it('is at once when nothing runs', async () => {
      await ask('echo', 1);
      expect(await now(runner.whenIdle(5_000).then(() => 'idle'))).toBe('idle');
    });

    it('waits no longer than it is told to', async () => {
      handle('never', () => NEVER);
      void ask('never', 0, { deadlineMs: 60_000 });
      await turns();
      const idle = runner.whenIdle(1_000).then(() => 'idle');
      jest.advanceTimersByTime(999);
      expect(await now(idle)).toBe('open');
      jest.advanceTimersByTime(1);
      expect(await now(idle)).toBe('idle');
    });

    it('counts a frame that expired in its queue as ended', async () => {
      void ask('wait', 'a', { deadlineMs: 100 });
      void ask('echo', 'b', { deadlineMs: 100 });
      await turns();
      jest.advanceTimersByTime(200);
      expect(await now(runner.whenIdle(60_000).then(() => 'idle'))).toBe('idle');
    });
  });

  it('treats a promise of a stream as a stream', async () => {
    handle('t', () => Promise.resolve(of(1, 2)));
    expect(await ask('t')).toBe(2);
  });
});
