import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { TcpResolver } from './tcp-resolver.js';

const failure = (code: string): Error => Object.assign(new Error(code), { code });

describe('TcpResolver', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  /** A resolver of these targets, whose lookups end as `answers` says now. */
  function resolver(targets: readonly string[], answers: Record<string, readonly string[] | Error>) {
    const asked: string[] = [];
    const list = targets.map(target => ({
      host: target.slice(0, target.lastIndexOf(':')),
      port: Number(target.split(':').pop()),
    }));
    const subject = new TcpResolver(list, name => {
      asked.push(name);
      const answer = answers[name] ?? failure('ENOTFOUND');
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    });
    const keys = async (): Promise<[readonly string[], boolean]> => {
      const { found, isWhole } = await subject.resolve();
      return [[...found.keys()], isWhole];
    };
    return { subject, asked, keys };
  }

  it('takes a name with several addresses for several nodes, and knows by which name each was found', async () => {
    const { subject } = resolver(['gates:1', '10.0.0.9:2'], { gates: ['10.0.0.1', 'fd00::1'] });
    const { found, isWhole } = await subject.resolve();
    expect([...found.values()]).toEqual([
      { host: '10.0.0.1', port: 1, name: 'gates' },
      { host: 'fd00::1', port: 1, name: 'gates' },
      { host: '10.0.0.9', port: 2, name: '10.0.0.9' },
    ]);
    expect(isWhole).toBe(true);
    expect(subject.hasNames).toBe(true);
  });

  it('looks up nothing that is an address, or this machine', async () => {
    const { asked, keys, subject } = resolver(['127.0.0.1:1', 'localhost:2', '::1:3'], {});
    expect(await keys()).toEqual([['127.0.0.1 1', '127.0.0.1 2', '::1 3'], true]);
    expect(asked).toEqual([]);
    expect(subject.hasNames).toBe(false);
  });

  it('takes an address once that stands there twice', async () => {
    const { keys } = resolver(['gates:1', '10.0.0.1:1'], { gates: ['10.0.0.1'] });
    expect(await keys()).toEqual([['10.0.0.1 1'], true]);
  });

  it('keeps what a name stood for while it cannot be looked up, and not when there is nothing under it', async () => {
    const answers: Record<string, readonly string[] | Error> = { gates: ['10.0.0.1'] };
    const { keys } = resolver(['gates:1'], answers);
    await keys();
    answers['gates'] = failure('EAI_AGAIN');
    expect(await keys()).toEqual([['10.0.0.1 1'], false]);
    answers['gates'] = failure('ENOTFOUND');
    expect(await keys()).toEqual([[], false]);
    answers['gates'] = failure('EAI_AGAIN');
    expect(await keys()).toEqual([[], false]);
    answers['gates'] = ['10.0.0.2'];
    expect(await keys()).toEqual([['10.0.0.2 1'], true]);
  });

  it('waits for no lookup longer than four seconds', async () => {
    jest.useFakeTimers();
    const hanging = new TcpResolver([{ host: 'gates', port: 1 }], () => new Promise(() => undefined));
    const result = hanging.resolve();
    await jest.advanceTimersByTimeAsync(4_000);
    expect(await result).toEqual({ found: new Map(), isWhole: false });
  });
});
