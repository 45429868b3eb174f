import { describe, expect, it, jest } from '@jest/globals';
import { within } from './within.js';

const never = new Promise<string>(() => undefined);
const unused = (): string => {
  throw new Error('not late');
};

describe('within', () => {
  it('settles as the promise does', async () => {
    expect(await within(Promise.resolve('done'), 10_000, unused)).toBe('done');
    await expect(within(Promise.reject(new Error('broken')), 10_000, unused)).rejects.toThrow('broken');
  });

  it('resolves with what stands in for a late result', async () => {
    expect(await within(never, 1, () => 'late')).toBe('late');
  });

  it('rejects with what is thrown for a late result', async () => {
    const late = (): string => {
      throw new Error('too slow');
    };
    await expect(within(never, 1, late)).rejects.toThrow('too slow');
  });

  it('passes over what comes after that', async () => {
    let fail: (error: Error) => void = () => undefined;
    const running = new Promise<string>((_resolve, reject) => (fail = reject));
    expect(await within(running, 1, () => 'late')).toBe('late');
    // An unhandled rejection would end the test.
    fail(new Error('broken'));
    await new Promise(resolve => setImmediate(resolve));
  });

  it('leaves no timer behind', async () => {
    const clear = jest.spyOn(globalThis, 'clearTimeout');
    await within(Promise.resolve('done'), 10_000, unused);
    await within(Promise.reject(new Error('broken')), 10_000, unused).catch(() => undefined);
    expect(clear).toHaveBeenCalledTimes(2);
    clear.mockRestore();
  });
});
