import { describe, expect, it } from '@jest/globals';
import { createListeners } from './listeners.js';
import { openPushLoop } from './push-loop.js';

/** A loop over what is emitted as 'a'. */
function setUp(options: { signal?: AbortSignal; limit?: number } = {}) {
  const listeners = createListeners(() => undefined);
  const client = { isOver: false };
  const values = openPushLoop(listeners, 'a', options, () => client.isOver);
  /** Nobody listens any more. */
  const isGone = (): boolean => !listeners.emit('a') && !listeners.emit('state');
  return { listeners, client, values, isGone };
}

describe('a push loop', () => {
  it('gives what is emitted from its start on, until it is left', async () => {
    const { listeners, values, isGone } = setUp();
    for (const value of [1, 2]) listeners.emit('a', value);
    const heard: unknown[] = [];
    for await (const value of values) if (heard.push(value) === 2) break;
    expect([heard, isGone()]).toEqual([[1, 2], true]);
  });

  it('ends with its signal, also with one that is aborted already', async () => {
    const aborter = new AbortController();
    const { values, isGone } = setUp({ signal: aborter.signal });
    const next = values.next();
    aborter.abort();
    expect([await next, isGone()]).toEqual([{ done: true, value: undefined }, true]);
    const late = setUp({ signal: aborter.signal });
    expect([await late.values.next(), late.isGone()]).toEqual([{ done: true, value: undefined }, true]);
  });

  it('ends with the client, and not with its other states', async () => {
    const { listeners, client, values, isGone } = setUp();
    listeners.emit('state', { name: 'waiting' });
    listeners.emit('a', 1);
    expect(await values.next()).toEqual({ done: false, value: 1 });
    client.isOver = true;
    listeners.emit('state', { name: 'idle' });
    expect([await values.next(), isGone()]).toEqual([{ done: true, value: undefined }, true]);
  });

  it('ends with SLOW_CONSUMER after what is there, when too much is unread', async () => {
    const { listeners, values, isGone } = setUp({ limit: 1 });
    for (const value of [1, 2]) listeners.emit('a', value);
    expect(await values.next()).toEqual({ done: false, value: 1 });
    await expect(values.next()).rejects.toMatchObject({ code: 'SLOW_CONSUMER' });
    expect(isGone()).toBe(true);
  });
});
