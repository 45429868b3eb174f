import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { SessionSnapshot } from '@nestgate/link';
import { StorageHeartbeat } from './storage-heartbeat.js';

const INTERVAL_MS = 1_000;
const BATCH = 1_000;

describe('StorageHeartbeat', () => {
  let uids: string[];
  let beats: string[][];
  let defects: unknown[];
  /** What the storage does with a batch. */
  let answer: () => Promise<void>;
  let heartbeat: StorageHeartbeat;
  let listing: () => void;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    [uids, beats, defects] = [[], [], []];
    answer = () => Promise.resolve();
    listing = () => undefined;
    const storage = {
      newDeadline: () => performance.now() + 900,
      heartbeat: (sessions: readonly SessionSnapshot[]) => {
        beats.push(sessions.map(({ userId }) => userId));
        return answer();
      },
    };
    const all = () => {
      listing();
      return uids.map(userId => ({ sessionState: { userId, snapshot: () => ({ userId }) as SessionSnapshot } }));
    };
    heartbeat = new StorageHeartbeat(storage, { all }, error => defects.push(error));
    heartbeat.start(INTERVAL_MS);
  });
  afterEach(() => {
    heartbeat.stop();
    jest.useRealTimers();
  });

  const tick = (ms = INTERVAL_MS): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  it('names the sessions that are bound, and asks nothing where none is', async () => {
    uids = ['', 'ada', ''];
    await tick();
    uids = [''];
    await tick();
    expect(beats).toEqual([['ada']]);
  });

  it('names so many sessions in one call, one call after another', async () => {
    uids = Array.from({ length: 2 * BATCH + 1 }, (_, n) => `u${n}`);
    let end = (): void => undefined;
    answer = () => new Promise(resolve => (end = resolve));
    await tick();
    expect(beats.map(({ length }) => length)).toEqual([BATCH]);
    answer = () => Promise.resolve();
    end();
    await tick(0);
    expect(beats.map(({ length }) => length)).toEqual([BATCH, BATCH, 1]);
    expect(new Set(beats.flat()).size).toBe(uids.length);
  });

  it('does not begin again while a slow storage still answers', async () => {
    uids = ['ada'];
    let end = (): void => undefined;
    answer = () => new Promise(resolve => (end = resolve));
    await tick(3 * INTERVAL_MS);
    expect(beats).toHaveLength(1);
    end();
    await tick();
    expect(beats).toHaveLength(2);
  });

  it('goes on with the other batches, and at the next time, when one fails', async () => {
    uids = Array.from({ length: BATCH + 1 }, (_, n) => `u${n}`);
    answer = () => Promise.reject(new Error('no connection'));
    await tick();
    expect(beats.map(({ length }) => length)).toEqual([BATCH, 1]);
    await tick();
    expect([beats.length, defects]).toEqual([4, []]);
  });

  it('reports a defect of its own, and goes on', async () => {
    uids = ['ada'];
    const defect = new Error('a defect');
    listing = () => {
      listing = () => undefined;
      throw defect;
    };
    await tick();
    await tick();
    expect([defects, beats.length]).toEqual([[defect], 1]);
  });

  it('has one timer, however often it is started, and none when it has stopped', () => {
    heartbeat.start(INTERVAL_MS);
    expect(jest.getTimerCount()).toBe(1);
    heartbeat.stop();
    expect(jest.getTimerCount()).toBe(0);
  });
});
