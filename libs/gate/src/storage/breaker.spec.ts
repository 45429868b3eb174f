import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { GateError } from '@nestgate/protocol';
import { Breaker } from './breaker.js';

const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

describe('Breaker', () => {
  let late: GateError[];
  let breaker: Breaker;
  /** The calls that have come through, in order; each is answered by hand. */
  let calls: { answer: (value?: unknown) => void; fail: (error: Error) => void }[];

  beforeEach(() => {
    jest.useFakeTimers();
    late = [];
    calls = [];
    breaker = new Breaker(500, error => late.push(error));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Calls, and tells what came of it so far. */
  function run(): { readonly outcome: Promise<unknown> } {
    const call = (): Promise<unknown> =>
      new Promise((resolve, reject) => calls.push({ answer: resolve, fail: reject }));
    const outcome = breaker.run(call);
    outcome.catch(() => undefined);
    return { outcome };
  }

  async function timeOut(): Promise<void> {
    const { outcome } = run();
    await jest.advanceTimersByTimeAsync(500);
    await expect(outcome).rejects.toMatchObject(UNAVAILABLE);
  }

  it('hands on answers and errors', async () => {
    const [good, bad] = [run(), run()];
    calls[0]?.answer('yes');
    calls[1]?.fail(new Error('no'));
    expect(await good.outcome).toBe('yes');
    await expect(bad.outcome).rejects.toThrow('no');
    await expect(breaker.run(() => JSON.parse('{') as never)).rejects.toThrow(SyntaxError);
    expect(jest.getTimerCount()).toBe(0);
    expect(late).toEqual([]);
  });

  it('refuses calls at once after one was late, but for a probe a second', async () => {
    await timeOut();
    expect(late.length).toBe(1);
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
    expect(calls.length).toBe(1);

    await jest.advanceTimersByTimeAsync(1_000);
    const probe = run();
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
    expect(calls.length).toBe(2);
    await jest.advanceTimersByTimeAsync(500);
    await expect(probe.outcome).rejects.toMatchObject(UNAVAILABLE);
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
    expect(calls.length).toBe(2);
  });

  it('lets all through again after a probe that is answered', async () => {
    await timeOut();
    await jest.advanceTimersByTimeAsync(1_000);
    const probe = run();
    calls[1]?.answer('back');
    expect(await probe.outcome).toBe('back');
    run();
    run();
    expect(calls.length).toBe(4);
  });

  it('sends the next probe when one fails', async () => {
    await timeOut();
    await jest.advanceTimersByTimeAsync(1_000);
    const probe = run();
    calls[1]?.fail(new Error('no'));
    await expect(probe.outcome).rejects.toThrow('no');
    run();
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
    expect(calls.length).toBe(3);
  });

  it('lets all through again after a late answer', async () => {
    await timeOut();
    calls[0]?.answer('late');
    await jest.advanceTimersByTimeAsync(0);
    run();
    expect(calls.length).toBe(2);
  });

  it('does not take the end of a late call for an answer', async () => {
    await timeOut();
    calls[0]?.fail(new Error('the connection is gone'));
    await jest.advanceTimersByTimeAsync(0);
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
    expect(calls.length).toBe(1);
  });

  it('leaves no more than so many calls unanswered, until it is reset', async () => {
    for (let n = 0; n < 40; n++) {
      run();
      await jest.advanceTimersByTimeAsync(1_500);
    }
    expect(calls.length).toBe(16);
    breaker.reset();
    run();
    expect(calls.length).toBe(17);
    // What belongs to the time before says nothing any more.
    await jest.advanceTimersByTimeAsync(500);
    calls[0]?.answer('very late');
    await jest.advanceTimersByTimeAsync(0);
    await expect(run().outcome).rejects.toMatchObject(UNAVAILABLE);
  });
});
