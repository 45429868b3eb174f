import { beforeEach, describe, expect, it } from '@jest/globals';
import { GateError, isGateError } from '../errors.js';
import { FakeEnvironment } from '../testing/fake-environment.js';
import type { OutFrame } from './codec.js';
import { createRequests, type Requests } from './requests.js';

let environment: FakeEnvironment;
let requests: Requests;
let posted: OutFrame[];
/** What `post` throws next. */
let refusal: GateError | undefined;
/** Ids that were withdrawn, and streams that were cancelled. */
let withdrawn: number[];
let cancelled: number[];

beforeEach(() => {
  environment = new FakeEnvironment();
  posted = [];
  refusal = undefined;
  withdrawn = [];
  cancelled = [];
  requests = createRequests(environment, 1_000, {
    post(frame) {
      if (refusal) throw refusal;
      posted.push(frame);
    },
    withdraw: id => withdrawn.push(id),
    cancel: id => cancelled.push(id),
  });
});

/** The code, and `details.sent`, that a promise rejects with. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => [(error as GateError).code, ((error as GateError).details as { sent?: boolean })?.sent],
  );

/** Nothing is left that could fire. */
const isQuiet = (): boolean => environment.open.timers === 0;

describe('requests', () => {
  it('have ids that only grow, and get their own answers', async () => {
    const [one, two] = [requests.request('a/b', 1), requests.request('a/b', 2)];
    expect(posted).toEqual([
      { topic: 'a/b', body: 1, id: 1 },
      { topic: 'a/b', body: 2, id: 2 },
    ]);
    expect([requests.settle(2, { body: 'two' }), requests.settle(1, { body: 'one' })]).toEqual([true, true]);
    expect(await Promise.all([one, two])).toEqual(['one', 'two']);
    expect(requests.settle(1, { body: 'late' })).toBe(false);
    expect(requests.settle(99, {})).toBe(false);
    expect(isQuiet()).toBe(true);
  });

  it('reject with the error of the answer', async () => {
    const request = requests.request('a/b');
    requests.settle(1, { error: { code: 'NOT_MEMBER', message: 'no' } });
    await expect(request).rejects.toMatchObject({ code: 'NOT_MEMBER', message: 'no' });
  });

  it('that cannot be sent fail at once, and leave nothing behind', async () => {
    refusal = new GateError('OFFLINE');
    expect(await failure(requests.request('a/b'))).toEqual(['OFFLINE', undefined]);
    expect(isQuiet()).toBe(true);
    expect(requests.lastId).toBe(1);
  });

  it('end at their deadline: what was not written is withdrawn', async () => {
    const waiting = failure(requests.request('a/b'));
    const written = failure(requests.request('a/b', undefined, { timeoutMs: 2_000 }));
    requests.sent(2);
    await environment.advance(1_000);
    expect(await waiting).toEqual(['TIMEOUT', false]);
    expect(withdrawn).toEqual([1]);
    await environment.advance(1_000);
    expect(await written).toEqual(['TIMEOUT', true]);
    expect([withdrawn, cancelled, isQuiet()]).toEqual([[1], [], true]);
  });

  it('end with their signal, also with one that is aborted already', async () => {
    const aborter = new AbortController();
    const request = failure(requests.request('a/b', undefined, { signal: aborter.signal }));
    aborter.abort();
    expect(await request).toEqual(['ABORTED', false]);
    expect(await failure(requests.request('a/b', undefined, { signal: aborter.signal }))).toEqual(['ABORTED', false]);
    expect(posted).toHaveLength(1);
    expect(isQuiet()).toBe(true);
  });

  it('fail together: those that were written, or all', async () => {
    const [written, waiting] = [failure(requests.request('a/b')), failure(requests.request('a/b'))];
    requests.sent(1);
    requests.fail('lost');
    expect(await written).toEqual(['CONNECTION_LOST', undefined]);
    requests.fail('closed', true);
    expect(await waiting).toEqual(['OFFLINE', undefined]);
    expect(isQuiet()).toBe(true);
  });

  it('are bounded: 4,096 may be open', async () => {
    const open = Array.from({ length: 4_096 }, () => failure(requests.request('a/b')));
    expect(await failure(requests.request('a/b'))).toEqual(['BUFFER_FULL', undefined]);
    expect(posted).toHaveLength(4_096);
    requests.fail('closed', true);
    await Promise.all(open);
    expect(isQuiet()).toBe(true);
  });
});

describe('streams', () => {
  const collect = async (values: AsyncIterable<unknown>): Promise<unknown[]> => {
    const items: unknown[] = [];
    try {
      for await (const item of values) items.push(item);
    } catch (error) {
      items.push(isGateError(error) ? error.code : error);
    }
    return items;
  };

  it('give their items, and end', async () => {
    const items = collect(requests.stream('a/b', 'body'));
    expect(posted).toEqual([{ topic: 'a/b', body: 'body', id: 1, stream: true }]);
    for (const frame of [{ item: 1 }, { item: null }, { end: true }]) requests.settle(1, frame);
    expect(await items).toEqual([1, null]);
    expect([cancelled, isQuiet()]).toEqual([[], true]);
  });

  it('give the reply of a handler that is no stream, and the error of one that fails', async () => {
    const [reply, failed] = [collect(requests.stream('a/b')), collect(requests.stream('a/b'))];
    requests.settle(1, { body: 'reply' });
    requests.settle(2, { item: 1 });
    requests.settle(2, { error: { code: 'INTERNAL' } });
    expect(await reply).toEqual(['reply']);
    expect(await failed).toEqual([1, 'INTERNAL']);
  });

  it('are cancelled when their loop is left, or withdrawn when they were not written', async () => {
    const left = requests.stream('a/b');
    requests.sent(1);
    await left.return?.();
    await requests.stream('a/b').return?.();
    expect([cancelled, withdrawn, isQuiet()]).toEqual([[1], [2], true]);
  });

  it('are cancelled when nobody reads their items', async () => {
    const stream = requests.stream('a/b', undefined, { limit: 1 });
    requests.sent(1);
    for (const item of [1, 2]) requests.settle(1, { item });
    expect(await collect(stream)).toEqual([1, 'SLOW_CONSUMER']);
    expect([cancelled, isQuiet()]).toEqual([[1], true]);
  });

  it('have a deadline between items', async () => {
    const items = collect(requests.stream('a/b'));
    requests.sent(1);
    for (let item = 0; item < 3; item++) {
      await environment.advance(900);
      requests.settle(1, { item });
    }
    await environment.advance(1_000);
    expect(await items).toEqual([0, 1, 2, 'TIMEOUT']);
    expect([cancelled, isQuiet()]).toEqual([[1], true]);
  });
});
