import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CONNECT_TOPIC, DISCONNECT_TOPIC, type Pending } from '@nestgate/link/internal';
import { type Body, type ErrorCode, GateError, NO_BODY } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { GateOptions } from '../gate-options.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { ClientEvents } from './client-events.js';
import type { TopicRouter } from './topic-router.js';
import { MAX_WAITING } from './waiting-room.js';
import type { WorkerDirectory } from './worker-directory.js';

const WORKER_WAIT_MS = 1_000;
const REQUEST_MS = 10_000;

/** One event on its way to a worker, which a test ends. */
interface Sent {
  readonly agent: ClientAgent;
  readonly topic: string;
  readonly body: unknown;
  readonly pending: Pending;
}

/** A router, and the directory that it asks, whose workers a test makes. */
class FakeWorkers {
  readonly known = new Set([CONNECT_TOPIC, DISCONNECT_TOPIC]);
  isThere = true;
  sent: Sent[] = [];
  readonly forgotten: ClientAgent[] = [];
  readonly listeners = new Set<() => void>();

  routeEvent(agent: ClientAgent, topic: string, body: Body, pending: Pending): boolean {
    if (!this.isThere) return false;
    this.sent.push({ agent, topic, body: JSON.parse(Buffer.from(body.bytes).toString()), pending });
    return true;
  }

  forget(agent: ClientAgent): void {
    this.forgotten.push(agent);
  }

  isKnown = (topic: string): boolean => this.known.has(topic);
  workersOf = (): readonly unknown[] => (this.isThere ? [{}] : []);

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  comes(): void {
    this.isThere = true;
    for (const listener of this.listeners) listener();
  }

  /** The worker answers the event that was sent last. */
  answers(): void {
    this.sent.at(-1)?.pending.succeed(NO_BODY);
  }

  fails(code: ErrorCode): void {
    this.sent.at(-1)?.pending.fail(new GateError(code));
  }
}

describe('ClientEvents', () => {
  let workers: FakeWorkers;
  let counters: GateCounters;
  let events: ClientEvents;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    start();
  });
  afterEach(() => {
    events.onApplicationShutdown();
    jest.useRealTimers();
  });

  function start(options: GateOptions = {}): void {
    workers = new FakeWorkers();
    counters = new GateCounters();
    const resolved = resolveGateOptions({ workerWait: WORKER_WAIT_MS, requestTimeout: REQUEST_MS, ...options });
    events = new ClientEvents(
      workers as unknown as TopicRouter,
      workers as unknown as WorkerDirectory,
      counters,
      resolved,
    );
  }

  /** The part of an agent that events look at. */
  const client = (): ClientAgent & { isClosed: boolean } => ({ isClosed: false }) as never;
  const tick = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  /** A client comes; what is noted of it, and how that ends. */
  function connect(agent: ClientAgent, deadlineMs = 60_000): string[] {
    const story: string[] = [];
    events
      .connected(agent, undefined, performance.now() + deadlineMs, outcome => story.push(outcome))
      .then(
        () => story.push('welcome'),
        (error: GateError) => story.push(error.code),
      );
    return story;
  }
  const lost = (kind: string): number => counters.get('events_lost', kind);

  describe('of a client that comes', () => {
    it('let it in at once where nobody listens, and elsewhere when a worker has handled it', async () => {
      const agent = client();
      workers.known.delete(CONNECT_TOPIC);
      const first = connect(agent);
      await tick();
      expect([first, workers.sent]).toEqual([['welcome'], []]);

      workers.known.add(CONNECT_TOPIC);
      const second = connect(agent);
      await tick();
      expect(second).toEqual(['told']);
      expect(workers.sent[0]).toMatchObject({
        topic: CONNECT_TOPIC,
        body: { url: '', path: '', query: {}, headers: {}, cookies: {} },
      });
      workers.answers();
      await tick();
      expect(second).toEqual(['told', 'welcome']);
    });

    it('refuse it with what the handler throws, and tell no other worker', async () => {
      const story = connect(client());
      await tick();
      workers.fails('FORBIDDEN');
      await tick();
      expect([story, workers.sent.length, lost('connect')]).toEqual([['told', 'FORBIDDEN'], 1, 0]);
    });

    it('wait for a worker where one is required, though none has ever been there', async () => {
      start({ requireOnConnect: true });
      workers.known.clear();
      workers.isThere = false;
      const story = connect(client());
      await tick(WORKER_WAIT_MS - 1);
      expect(story).toEqual([]);
      workers.comes();
      await tick();
      expect([story, workers.listeners.size, jest.getTimerCount()]).toEqual([['told'], 0, 0]);
    });

    it('wait no longer than they may, nor than the client may take to come', async () => {
      workers.isThere = false;
      const [patient, hurried] = [connect(client()), connect(client(), 100)];
      await tick(100);
      expect([patient, hurried]).toEqual([[], ['untold', 'NO_WORKER']]);
      await tick(WORKER_WAIT_MS - 100);
      expect([patient, lost('connect')]).toEqual([['untold', 'NO_WORKER'], 2]);
      expect([workers.listeners.size, jest.getTimerCount()]).toEqual([0, 0]);
    });

    it('do not wait for a change that brings no worker of theirs', async () => {
      workers.isThere = false;
      const story = connect(client());
      await tick();
      for (const listener of workers.listeners) listener();
      await tick();
      expect([story, workers.listeners.size]).toEqual([[], 1]);
    });

    it.each<ErrorCode>(['NODE_LOST', 'LINK_CORRUPT'])('go to one more worker after %s, and to no third', async code => {
      const story = connect(client());
      await tick();
      workers.fails(code);
      await tick();
      expect([story, workers.sent.length]).toEqual([['told', 'told'], 2]);
      workers.fails(code);
      await tick();
      // The handler may have run, and the disconnect event has to follow.
      expect([story, workers.sent.length, lost('connect')]).toEqual([['told', 'told', 'NO_WORKER'], 2, 1]);
    });

    it('count a client as untold again when the event never left', async () => {
      const story = connect(client());
      await tick();
      workers.isThere = false;
      workers.fails('LINK_UNAVAILABLE');
      await tick();
      expect(story).toEqual(['told', 'untold']);
      workers.comes();
      await tick();
      workers.answers();
      await tick();
      expect(story).toEqual(['told', 'untold', 'told', 'welcome']);
    });

    it('count a client as told that one worker may have begun with, though no other has come', async () => {
      const story = connect(client());
      await tick();
      workers.isThere = false;
      workers.fails('NODE_LOST');
      await tick(WORKER_WAIT_MS);
      expect(story).toEqual(['told', 'NO_WORKER']);
    });

    it('end when the client leaves while it waits, and take nothing for it then', async () => {
      workers.isThere = false;
      const agent = client();
      const story = connect(agent);
      await tick();
      agent.isClosed = true;
      events.abandon(agent);
      workers.comes();
      await tick();
      expect([story, workers.sent, lost('connect')]).toEqual([['SESSION_NOT_FOUND'], [], 0]);
      expect([workers.listeners.size, jest.getTimerCount()]).toEqual([0, 0]);
    });

    it('go to no second worker when the client has left meanwhile', async () => {
      const agent = client();
      const story = connect(agent);
      await tick();
      agent.isClosed = true;
      workers.fails('NODE_LOST');
      await tick();
      expect([story, workers.sent.length]).toEqual([['told', 'SESSION_NOT_FOUND'], 1]);
    });

    it('are not lost with the second worker when the client has left meanwhile', async () => {
      const agent = client();
      const story = connect(agent);
      await tick();
      workers.fails('NODE_LOST');
      await tick();
      agent.isClosed = true;
      workers.fails('NODE_LOST');
      await tick();
      expect([story, lost('connect')]).toEqual([['told', 'told', 'SESSION_NOT_FOUND'], 0]);
    });

    it('wait for so many clients and no more', async () => {
      workers.isThere = false;
      const waiting = Array.from({ length: MAX_WAITING }, () => connect(client()));
      const oneMore = connect(client());
      await tick();
      expect(oneMore).toEqual(['untold', 'NO_WORKER']);
      events.onApplicationShutdown();
      await tick();
      expect(new Set(waiting.flat())).toEqual(new Set(['untold', 'NO_WORKER']));
      expect([workers.listeners.size, jest.getTimerCount()]).toEqual([0, 0]);
    });
  });

  describe('of a client that goes', () => {
    const end = { code: 1000, reason: '', groups: ['a'] };

    it('go to the worker that listens, which forgets the client afterwards', async () => {
      const agent = client();
      events.disconnected(agent, end, true);
      await tick();
      expect(workers.sent[0]).toMatchObject({ agent, topic: DISCONNECT_TOPIC, body: end });
      expect(workers.forgotten).toEqual([]);
      workers.answers();
      await tick();
      expect([workers.forgotten, lost('disconnect')]).toEqual([[agent], 0]);
    });

    it('are sent for a client that is closed, also when its worker is still on its way', async () => {
      workers.isThere = false;
      const agent = client();
      agent.isClosed = true;
      events.disconnected(agent, end, true);
      await tick();
      workers.comes();
      await tick();
      expect(workers.sent).toHaveLength(1);
    });

    it.each([
      { wasTold: true, listens: [DISCONNECT_TOPIC, CONNECT_TOPIC], isSent: true },
      { wasTold: false, listens: [DISCONNECT_TOPIC], isSent: true },
      { wasTold: false, listens: [DISCONNECT_TOPIC, CONNECT_TOPIC], isSent: false },
      { wasTold: true, listens: [CONNECT_TOPIC], isSent: false },
    ])('follow a connect event, where there is a handler for that: %j', async ({ wasTold, listens, isSent }) => {
      workers.known.clear();
      for (const topic of listens) workers.known.add(topic);
      events.disconnected(client(), end, wasTold);
      await tick();
      expect(workers.sent.length).toBe(isSent ? 1 : 0);
    });

    it.each<[ErrorCode, number]>([
      ['NODE_LOST', 1],
      ['TIMEOUT', 1],
      ['INTERNAL', 0],
      ['FORBIDDEN', 0],
    ])('are counted as lost after %s: %i', async (code, count) => {
      const agent = client();
      events.disconnected(agent, end, true);
      await tick();
      workers.fails(code);
      await tick();
      expect([lost('disconnect'), workers.forgotten, workers.sent.length]).toEqual([count, [agent], 1]);
    });

    it('are counted as lost when no worker comes', async () => {
      workers.isThere = false;
      events.disconnected(client(), end, true);
      await tick(WORKER_WAIT_MS);
      expect(lost('disconnect')).toBe(1);
    });
  });
});
