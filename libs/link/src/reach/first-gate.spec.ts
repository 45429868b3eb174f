import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FirstGate } from './first-gate.js';

const WAIT_MS = 3_000;
const open = Promise.resolve();

describe('FirstGate', () => {
  let first: FirstGate;
  let over: string[];

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    first = new FirstGate(WAIT_MS);
    over = [];
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Waits, and notes how it ends. */
  function wait(waitMs: number, opening = open): void {
    first.wait(opening, waitMs).then(
      () => over.push('over'),
      (error: Error) => over.push(error.message),
    );
  }
  const after = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  it('ends all waits when a gate comes, and leaves no timer', async () => {
    wait(10_000);
    wait(10_000);
    await after(500);
    expect([over, first.hasCome]).toEqual([[], false]);
    first.note();
    await after(0);
    expect([over, first.hasCome, jest.getTimerCount()]).toEqual([['over', 'over'], true, 0]);
  });

  it('ends at once when a gate was there before', async () => {
    first.note();
    wait(10_000);
    await after(0);
    expect(over).toEqual(['over']);
  });

  it('has one time for all calls, which begins with the start or the first call', async () => {
    first.begin();
    await after(WAIT_MS - 100);
    first.begin();
    wait(10_000);
    await after(99);
    expect(over).toEqual([]);
    await after(1);
    expect(over).toEqual(['over']);
    // What is called later does not wait.
    wait(10_000);
    await after(0);
    expect(over).toEqual(['over', 'over']);
  });

  it('waits no longer than a call may take', async () => {
    wait(50);
    await after(49);
    expect(over).toEqual([]);
    await after(1);
    expect(over).toEqual(['over']);
  });

  it('does not take a gate for reached before the link is open', async () => {
    let opened = (): void => undefined;
    wait(1_000, new Promise(resolve => (opened = resolve)));
    first.note();
    await after(10);
    expect(over).toEqual([]);
    opened();
    await after(0);
    expect(over).toEqual(['over']);
  });

  it('fails when the link cannot be opened, and leaves no timer', async () => {
    wait(1_000, Promise.reject(new Error('no link')));
    await after(0);
    expect([over, jest.getTimerCount()]).toEqual([['no link'], 0]);
  });

  it('leaves a link that could not be opened to those who start it when the time is over', async () => {
    first.begin();
    await after(WAIT_MS);
    // Nothing else handles this rejection: unhandled, it would end the process.
    wait(1_000, Promise.reject(new Error('no link')));
    await after(0);
    expect(over).toEqual(['over']);
  });
});
