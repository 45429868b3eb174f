import { describe, expect, it } from '@jest/globals';
import { settle } from '../testing/fake-environment.js';
import { createLoader, type LoadReason } from './loader.js';

/** A loader whose loads end when the test says so, and what it has done, in order. */
function setUp(hasLoad = true) {
  const log: unknown[] = [];
  const loads: { readonly reason: LoadReason; end(error?: unknown): void }[] = [];
  const load = (reason: LoadReason): Promise<void> =>
    new Promise((resolve, reject) => {
      loads.push({ reason, end: error => (error === undefined ? resolve() : reject(error as Error)) });
    });
  const loader = createLoader(hasLoad ? load : undefined, {
    deliver: (topic, body) => log.push([topic, body]),
    fail: error => log.push(error),
    overrun: count => log.push(`overrun ${count}`),
    loaded: () => log.push('loaded'),
  });
  const end = async (at: number, error?: unknown): Promise<void> => {
    loads[at]?.end(error);
    await settle();
  };
  return { loader, log, loads, end };
}

describe('a loader', () => {
  it('holds nothing without a load', () => {
    const { loader, log } = setUp(false);
    loader.start('session');
    loader.push('a', 1);
    expect([loader.isLoading, log]).toEqual([false, [['a', 1]]]);
  });

  it('holds pushes until the load has settled, in order', async () => {
    const { loader, log, end } = setUp();
    loader.start('session');
    loader.push('a', 1);
    loader.push('a', 2);
    expect([loader.isLoading, log]).toEqual([true, []]);
    await end(0);
    expect([loader.isLoading, log]).toEqual([false, [['a', 1], ['a', 2], 'loaded']]);
    loader.push('a', 3);
    expect(log.at(-1)).toEqual(['a', 3]);
  });

  it('goes on after a load that fails', async () => {
    const { loader, log, end } = setUp();
    loader.start('session');
    loader.push('a', 1);
    const error = new Error('no');
    await end(0, error);
    expect(log).toEqual([error, ['a', 1], 'loaded']);
  });

  it('runs another load after a gap, and holds until that has settled', async () => {
    const { loader, log, loads, end } = setUp();
    loader.start('session');
    loader.start('gap');
    loader.start('gap');
    loader.push('a', 1);
    await end(0);
    expect([loads.map(({ reason }) => reason), log]).toEqual([['session', 'gap'], []]);
    await end(1);
    expect(log).toEqual([['a', 1], 'loaded']);
  });

  it('abandons the load of the session before', async () => {
    const { loader, log, loads, end } = setUp();
    loader.start('session');
    loader.push('a', 'old');
    loader.start('session');
    loader.push('a', 'new');
    expect(loads).toHaveLength(2);
    await end(0);
    expect(log).toEqual([]);
    await end(1);
    expect(log).toEqual([['a', 'new'], 'loaded']);
  });

  it('drops what it holds when it is too much', async () => {
    const { loader, log, end } = setUp();
    loader.start('session');
    for (let i = 0; i < 1_001; i++) loader.push('a', i);
    expect(log).toEqual(['overrun 1001']);
    await end(0);
    expect(log).toEqual(['overrun 1001', 'loaded']);
  });

  it('stops: what is held is dropped, and the load has no effect any more', async () => {
    const { loader, log, end } = setUp();
    loader.start('session');
    loader.push('a', 1);
    loader.stop();
    expect(loader.isLoading).toBe(false);
    await end(0);
    expect(log).toEqual([]);
  });

  it('whose load is started by a listener holds what comes after', async () => {
    const log: unknown[] = [];
    const ends: (() => void)[] = [];
    const loader = createLoader(() => new Promise<void>(resolve => ends.push(resolve)), {
      deliver(_topic, body) {
        log.push(body);
        if (body === 1) loader.start('gap');
      },
      fail: error => log.push(error),
      overrun: () => log.push('overrun'),
      loaded: () => log.push('loaded'),
    });
    loader.start('session');
    for (const body of [1, 2]) loader.push('a', body);
    ends[0]?.();
    await settle();
    expect(log).toEqual([1]);
    ends[1]?.();
    await settle();
    expect(log).toEqual([1, 2, 'loaded']);
  });
});
