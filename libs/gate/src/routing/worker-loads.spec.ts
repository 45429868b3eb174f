import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { loadContract, type Peer, type Pending } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { type Candidate, leastLoadedOf, WorkerLoads } from './worker-loads.js';

/** A worker that answers when a test wants it to. */
class FakeWorker {
  readonly requests = { size: 0 };
  readonly asked: Pending[] = [];

  request(operation: unknown, _args: unknown, pending: Pending): void {
    expect(operation).toBe(loadContract.load);
    this.asked.push(pending);
  }
}

describe('WorkerLoads', () => {
  let loads: WorkerLoads;
  let one: FakeWorker;
  let two: FakeWorker;
  const refresh = (): void => loads.refresh([one, two] as unknown as Peer[]);
  const of = (worker: FakeWorker) => loads.of(worker as unknown as Peer);
  /** Lets what follows from an answer happen. */
  const answer = async (worker: FakeWorker, tasks: number): Promise<void> => {
    worker.asked.at(-1)?.succeed(tasks);
    await Promise.resolve();
  };

  beforeEach(() => {
    jest.useFakeTimers();
    loads = new WorkerLoads();
    one = new FakeWorker();
    two = new FakeWorker();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('knows the unanswered requests of its own gate without asking', () => {
    one.requests.size = 7;
    expect(of(one)).toEqual({ requests: 7, delayMs: 0 });
    expect(one.asked).toEqual([]);
  });

  it('asks every half second at most, and nobody who has not answered yet', async () => {
    for (let n = 0; n < 10; n++) refresh();
    expect([one.asked.length, two.asked.length]).toEqual([1, 1]);
    await answer(one, 3);
    jest.advanceTimersByTime(499);
    refresh();
    expect(one.asked).toHaveLength(1);
    jest.advanceTimersByTime(1);
    refresh();
    expect([one.asked.length, two.asked.length]).toEqual([2, 1]);
  });

  it('counts the time for which an answer is missing, and that of the last answer', async () => {
    refresh();
    jest.advanceTimersByTime(40);
    await answer(one, 12);
    jest.advanceTimersByTime(60);
    expect([of(one), of(two)]).toEqual([
      { requests: 12, delayMs: 40 },
      { requests: 0, delayMs: 100 },
    ]);
    one.requests.size = 20;
    expect(of(one).requests).toBe(20);
  });

  it('believes an answer for five seconds', async () => {
    refresh();
    await answer(one, 12);
    jest.advanceTimersByTime(4_999);
    expect(of(one).requests).toBe(12);
    jest.advanceTimersByTime(1);
    expect(of(one)).toEqual({ requests: 0, delayMs: 0 });
  });

  it('asks a worker again that could not answer, and knows nothing of it', async () => {
    refresh();
    jest.advanceTimersByTime(30);
    one.asked[0]?.fail(new GateError('UNKNOWN_OPERATION'));
    await Promise.resolve();
    await Promise.resolve();
    expect(of(one)).toEqual({ requests: 0, delayMs: 0 });
    jest.advanceTimersByTime(500);
    refresh();
    expect(one.asked).toHaveLength(2);
  });

  it('forgets workers that are gone', async () => {
    refresh();
    await answer(one, 12);
    loads.retain(new Set([two as unknown as Peer]));
    expect(of(one)).toEqual({ requests: 0, delayMs: 0 });
  });
});

describe('the least loaded of several workers', () => {
  const idle: Candidate = { clients: 0, requests: 0, delayMs: 0 };

  it.each<[what: string, candidates: readonly Partial<Candidate>[], place: number]>([
    ['none', [], -1],
    ['the only one', [{ clients: 9 }], 0],
    ['the first of equals', [{}, {}, {}], 0],
    ['the one with the fewest clients', [{ clients: 3 }, { clients: 1 }, { clients: 2 }], 1],
    [
      'not the one with fewer clients that has all the work',
      [{ clients: 1, requests: 20, delayMs: 200 }, { clients: 39 }],
      1,
    ],
    ['not the one with fewer clients that does not answer', [{ clients: 1, delayMs: 900 }, { clients: 39 }], 1],
    ['the one with fewer clients, whatever a few requests say', [{ clients: 10, requests: 1 }, { clients: 20 }], 0],
    [
      'the one with less work of as many clients',
      [
        { clients: 5, requests: 9 },
        { clients: 5, requests: 8 },
      ],
      1,
    ],
  ])('is %s', (_what, candidates, place) => {
    expect(leastLoadedOf(candidates.map(each => ({ ...idle, ...each })))).toBe(place);
  });
});
