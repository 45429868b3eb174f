import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import type { Peer } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { Hub } from '../hub/hub.js';
import type { TopicRouter } from './topic-router.js';
import { WorkerBalance } from './worker-balance.js';
import type { WorkerDirectory } from './worker-directory.js';

/** After this a worker that has joined gets clients. */
const SETTLED_MS = 5_000;

interface FakeClient {
  worker: Peer | undefined;
  isShaked: boolean;
  isClosed: boolean;
  isAway: boolean;
  unansweredCount: number;
  isPinned: boolean;
}

describe('WorkerBalance', () => {
  let workers: Set<Peer>;
  let clients: FakeClient[];
  let onChange: () => void;
  let hasChoice: boolean;
  let balance: WorkerBalance;
  let counters: GateCounters;
  const defects: unknown[] = [];

  const clientsOf = (worker: Peer): number => clients.filter(each => each.worker === worker).length;
  const counts = (): number[] => [...workers].map(clientsOf);

  function start(rebalanceRate: number): void {
    const directory = {
      get workers() {
        return new Set(workers);
      },
      clientsOf,
      onChange: (listener: () => void) => {
        onChange = listener;
        return () => (onChange = () => undefined);
      },
    };
    const router = {
      get hasChoice() {
        return hasChoice;
      },
      isPinned: (agent: FakeClient) => agent.isPinned,
      shift: (agent: FakeClient, to: Peer) => void (agent.worker = to),
    };
    const guard = (_where: string, run: () => void) => (): void => {
      try {
        run();
      } catch (error) {
        defects.push(error);
      }
    };
    counters = new GateCounters();
    balance = new WorkerBalance(
      directory as unknown as WorkerDirectory,
      { all: () => clients.values() } as unknown as Hub,
      router as unknown as TopicRouter,
      counters,
      { defects: { guard } } as unknown as LinkNode,
      { rebalanceRate },
    );
  }

  function join(...modules: string[]): Peer {
    const worker = { info: { modules } } as unknown as Peer;
    workers.add(worker);
    onChange();
    return worker;
  }

  function connect(count: number, worker: Peer, more: Partial<FakeClient> = {}): void {
    for (let n = 0; n < count; n++) {
      const state = { isShaked: true, isClosed: false, isAway: false, unansweredCount: 0, isPinned: false };
      clients.push({ worker, ...state, ...more } satisfies FakeClient as FakeClient & ClientAgent);
    }
  }

  beforeEach(() => {
    jest.useFakeTimers();
    workers = new Set();
    clients = [];
    hasChoice = false;
    start(100);
  });
  afterEach(() => {
    balance.onApplicationShutdown();
    jest.useRealTimers();
    expect(defects).toEqual([]);
  });

  it('gives a worker that has joined its share, so many per second, and then nothing more', () => {
    const first = join('chat');
    connect(400, first);
    jest.advanceTimersByTime(60_000);
    join('chat');
    jest.advanceTimersByTime(SETTLED_MS);
    expect(counts()).toEqual([400, 0]);
    jest.advanceTimersByTime(1_000);
    expect(counts()).toEqual([300, 100]);
    jest.advanceTimersByTime(10_000);
    expect(counts()).toEqual([200, 200]);
    expect(counters.get('clients_rebalanced', 'worker')).toBe(200);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('moves none that is busy, away, pinned, closing or still connecting', () => {
    const first = join('chat');
    connect(10, first, { unansweredCount: 1 });
    connect(10, first, { isAway: true });
    connect(10, first, { isPinned: true });
    connect(10, first, { isClosed: true });
    connect(10, first, { isShaked: false });
    connect(10, first);
    join('chat');
    jest.advanceTimersByTime(SETTLED_MS + 2_000);
    expect(counts()).toEqual([50, 10]);
    // Those that are busy are looked at for a minute.
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(60_000);
    expect(counts()).toEqual([50, 10]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('moves those that were busy when they are idle', () => {
    connect(10, join('chat'), { unansweredCount: 1 });
    join('chat');
    jest.advanceTimersByTime(SETTLED_MS + 10_000);
    expect(counts()).toEqual([10, 0]);
    for (const client of clients) client.unansweredCount = 0;
    jest.advanceTimersByTime(1_000);
    expect(counts()).toEqual([5, 5]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives nothing to a worker that serves less, nor to those that were there before', () => {
    const first = join('chat', 'shop');
    const other = join('chat', 'shop');
    connect(100, first);
    connect(10, other);
    jest.advanceTimersByTime(SETTLED_MS + 60_000);
    const before = counts();
    join('chat');
    jest.advanceTimersByTime(SETTLED_MS + 60_000);
    expect(counts()).toEqual([...before, 0]);
  });

  it('takes from several workers for several', () => {
    const old = [join('chat'), join('chat'), join('chat')];
    for (const worker of old) connect(100, worker);
    jest.advanceTimersByTime(60_000);
    join('chat');
    join('chat');
    jest.advanceTimersByTime(60_000);
    expect(counts()).toEqual([60, 60, 60, 60, 60]);
  });

  it('gives nothing to a worker that has left again', () => {
    connect(100, join('chat'));
    jest.advanceTimersByTime(60_000);
    const second = join('chat');
    jest.advanceTimersByTime(SETTLED_MS - 1);
    workers.delete(second);
    onChange();
    jest.advanceTimersByTime(60_000);
    expect(counts()).toEqual([100]);
  });

  it.each([
    ['the rate is 0', () => start(0)],
    ['the application chooses workers', () => (hasChoice = true)],
  ])('does nothing when %s', (_why, prepare) => {
    prepare();
    connect(100, join('chat'));
    join('chat');
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(60_000);
    expect(counts()).toEqual([100, 0]);
  });

  it('looks at 2,000 clients at a time', () => {
    const first = join('chat');
    connect(5_000, first, { unansweredCount: 1 });
    connect(10, first);
    jest.advanceTimersByTime(60_000);
    join('chat');
    jest.advanceTimersByTime(SETTLED_MS + 200);
    expect(counts()).toEqual([5_010, 0]);
    jest.advanceTimersByTime(100);
    expect(counts()).toEqual([5_000, 10]);
  });
});
