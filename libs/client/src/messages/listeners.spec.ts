import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../testing/fake-environment.js';
import { createListeners, type Listeners, topicKey } from './listeners.js';

let listeners: Listeners;
let calls: unknown[];
let failures: [error: unknown, name: string][];

beforeEach(() => {
  calls = [];
  failures = [];
  listeners = createListeners((error, name) => failures.push([error, name]));
});

describe('listeners', () => {
  it('are called in the order in which they were added, with all arguments', () => {
    listeners.add('a', (...args: unknown[]) => calls.push(['first', ...args]));
    listeners.add('a', (...args: unknown[]) => calls.push(['second', ...args]));
    expect(listeners.emit('a', 1, 2)).toBe(true);
    expect(listeners.emit('b', 1)).toBe(false);
    expect(calls).toEqual([
      ['first', 1, 2],
      ['second', 1, 2],
    ]);
  });

  it('are removed one by one, also when one was added twice', () => {
    const listener = (): number => calls.push('called');
    const off = listeners.add('a', listener);
    listeners.add('a', listener);
    off();
    listeners.emit('a');
    expect(calls).toHaveLength(1);
    listeners.remove('a', listener);
    listeners.remove('a', listener);
    listeners.remove('b', listener);
    expect(listeners.emit('a')).toBe(false);
  });

  it('that are added or removed by a listener count from the next emit on', () => {
    const second = (): number => calls.push('second');
    const off = listeners.add('a', () => {
      off();
      listeners.remove('a', second);
      listeners.add('a', () => calls.push('third'));
    });
    listeners.add('a', second);
    listeners.emit('a');
    expect(calls).toEqual(['second']);
    listeners.emit('a');
    expect(calls).toEqual(['second', 'third']);
  });

  it('that throw or reject disturb no other', async () => {
    const [thrown, rejected] = [new Error('thrown'), new Error('rejected')];
    listeners.add('a', () => {
      throw thrown;
    });
    listeners.add('a', () => Promise.reject(rejected));
    listeners.add('a', () => calls.push('called'));
    expect(listeners.emit('a')).toBe(true);
    await settle();
    expect(calls).toEqual(['called']);
    expect(failures).toEqual([
      [thrown, 'a'],
      [rejected, 'a'],
    ]);
  });
});

describe('topicKey', () => {
  it('keeps topics apart from events', () => {
    expect(['state', 'error', 'states', 'chat/state'].map(topicKey)).toEqual([
      '/state',
      '/error',
      'states',
      'chat/state',
    ]);
  });
});
