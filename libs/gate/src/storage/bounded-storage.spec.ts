import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { GateError } from '@nestgate/protocol';
import { GateCounters } from '../gate-counters.js';
import { BoundedStorage, inTime } from './bounded-storage.js';
import { StorageHandler } from './storage-handler.js';

const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

/** Does the same thing whatever it is asked. */
class OneAnswer extends StorageHandler {
  answer: () => Promise<never> = () => new Promise<never>(() => undefined);

  override query(): Promise<never> {
    return this.answer();
  }

  override storage(): Promise<never> {
    return this.answer();
  }

  override delete(): Promise<never> {
    return this.answer();
  }

  override heartbeat(): Promise<never> {
    return this.answer();
  }
}

describe('BoundedStorage', () => {
  let handler: OneAnswer;
  let counters: GateCounters;
  let storage: BoundedStorage;
  let lines: unknown[];

  beforeEach(() => {
    jest.useFakeTimers();
    lines = [];
    const add = (line: unknown): unknown => lines.push(line);
    Logger.overrideLogger({ log: add, warn: add, error: add });
    handler = new OneAnswer();
    counters = new GateCounters();
    storage = new BoundedStorage(handler, counters);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function calls(): Promise<unknown>[] {
    const deadline = storage.newDeadline();
    return [
      storage.query('ada', 100, deadline),
      storage.storage({ userId: 'ada' } as never, { set: {}, deleted: [] }, 100, deadline),
      storage.delete('ada', deadline),
      storage.heartbeat([], deadline),
    ];
  }

  it('ends every call of a storage that hangs', async () => {
    const outcomes = Promise.allSettled(calls());
    await jest.advanceTimersByTimeAsync(500);
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
    expect(counters.get('storage_failures', 'STORAGE_UNAVAILABLE')).toBe(4);
    expect(lines.length).toBe(1);
    // The one that will tell how many lines were left out.
    expect(jest.getTimerCount()).toBe(1);
  });

  it.each([
    ['throws', () => JSON.parse('{') as never],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['rejects with a code of its own', () => Promise.reject(new GateError('FORBIDDEN'))],
  ])('gives every call of a storage that %s one code', async (_what, answer) => {
    handler.answer = answer;
    for (const call of calls()) await expect(call).rejects.toMatchObject(UNAVAILABLE);
    expect(Object.values(counters.snapshot()['storage_failures'] ?? {})).toEqual([4]);
    expect(lines.length).toBe(1);
  });

  it('lets the storage say that a change makes its settings too large', async () => {
    handler.answer = () => Promise.reject(new GateError('LIMIT_EXCEEDED'));
    const codes = await Promise.all(calls().map(call => call.catch((error: GateError) => error.code)));
    expect(codes).toEqual(['STORAGE_UNAVAILABLE', 'LIMIT_EXCEEDED', 'STORAGE_UNAVAILABLE', 'STORAGE_UNAVAILABLE']);
    expect(counters.get('storage_failures', 'LIMIT_EXCEEDED')).toBe(3);
  });

  it('logs a line a second, and how many it has left out', async () => {
    handler.answer = () => Promise.reject(new Error('no'));
    await Promise.allSettled([...calls(), ...calls()]);
    await jest.advanceTimersByTimeAsync(1_000);
    await Promise.allSettled(calls());
    expect(lines).toEqual(['Error: no', '7 more lines (error) were not logged', 'Error: no']);
  });

  it('leaves it to a storage that says so itself to say why', async () => {
    handler.answer = () => Promise.reject(new GateError('STORAGE_UNAVAILABLE'));
    await Promise.allSettled(calls());
    expect(lines).toEqual([]);
    expect(counters.get('storage_failures', 'STORAGE_UNAVAILABLE')).toBe(4);
  });

  it.each([
    [undefined, 500, 900],
    [200, 200, 900],
    [2_000, 2_000, 3_600],
    [4_000, 4_000, 4_500],
  ])('gives a storage that asks for %p ms %p ms for a call, and %p ms for a request', async (asked, call, request) => {
    if (asked !== undefined) Object.defineProperty(handler, 'callTimeoutMs', { value: asked });
    storage = new BoundedStorage(handler, counters);
    expect(storage.newDeadline() - performance.now()).toBe(request);
    let ended = 0;
    for (const outcome of calls()) outcome.catch(() => ended++);
    await jest.advanceTimersByTimeAsync(call - 1);
    expect(ended).toBe(0);
    await jest.advanceTimersByTimeAsync(1);
    expect(ended).toBe(4);
  });

  it.each([0, -1, 1.5, 4_001, Infinity, '500', null])('refuses a storage that asks for %p ms', asked => {
    Object.defineProperty(handler, 'callTimeoutMs', { value: asked });
    expect(() => new BoundedStorage(handler, counters)).toThrow(/callTimeoutMs.*an integer from 1 to 4000/);
  });

  it('calls nobody when the time is over, and waits for no more than is left', async () => {
    const deadline = storage.newDeadline();
    await jest.advanceTimersByTimeAsync(800);
    const outcome = inTime(deadline, () => new Promise(() => undefined)).catch((error: unknown) => error);
    await jest.advanceTimersByTimeAsync(100);
    expect(await outcome).toMatchObject(UNAVAILABLE);
    const call = jest.fn(() => 1);
    await expect(inTime(deadline, call)).rejects.toMatchObject(UNAVAILABLE);
    expect(call).not.toHaveBeenCalled();
  });
});
