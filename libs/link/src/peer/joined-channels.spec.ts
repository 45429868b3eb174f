import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ALL_GATES } from '../link.js';
import { channelKey } from '../wire/channel-key.js';
import { JoinedChannels } from './joined-channels.js';

describe('JoinedChannels', () => {
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const since = (joined: JoinedChannels, channel: string) => joined.since(channelKey(channel));
  const tick = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  it('has joined what goes to all gates from the beginning, on a gate', () => {
    expect(since(new JoinedChannels(true), ALL_GATES)).toBe(Number.NEGATIVE_INFINITY);
    expect(since(new JoinedChannels(false), ALL_GATES)).toBeUndefined();
  });

  it('counts nothing as missed on a channel before the join is done', async () => {
    const joined = new JoinedChannels(false);
    let done = (): void => undefined;
    joined.add('x', new Promise(resolve => (done = resolve)));
    await tick(20);
    expect([since(joined, 'x'), since(joined, 'y')]).toEqual([Number.POSITIVE_INFINITY, undefined]);
    done();
    await tick(5);
    expect(since(joined, 'x')).toBe(performance.now() - 5);
  });

  it('counts nothing on a channel whose join has failed', async () => {
    const joined = new JoinedChannels(false);
    joined.add('x', Promise.reject(new Error('not allowed')));
    await tick(0);
    expect(since(joined, 'x')).toBe(Number.POSITIVE_INFINITY);
  });

  it('does not join a channel again that was left while the join was under way', async () => {
    const joined = new JoinedChannels(false);
    let done = (): void => undefined;
    joined.add('x', new Promise(resolve => (done = resolve)));
    joined.delete('x');
    done();
    await tick(0);
    expect(since(joined, 'x')).toBeUndefined();
  });

  it('takes no earlier join of a channel for the one that is under way', async () => {
    const joined = new JoinedChannels(false);
    let first = (): void => undefined;
    joined.add('x', new Promise(resolve => (first = resolve)));
    joined.delete('x');
    joined.add('x', new Promise(() => undefined));
    first();
    await tick(0);
    expect(since(joined, 'x')).toBe(Number.POSITIVE_INFINITY);
  });
});
