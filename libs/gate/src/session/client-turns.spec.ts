import { describe, expect, it } from '@jest/globals';
import type { ClientAgent } from '../client/client-agent.js';
import { ClientTurns } from './client-turns.js';

const client = (isClosed = false): ClientAgent => ({ isClosed }) as ClientAgent;
const codeOf = (task: Promise<void>): Promise<unknown> =>
  task.then(
    () => 'done',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

/** A task that ends when the test says so. */
function task(log: string[], name: string) {
  let settle = { resolve: (): void => undefined, reject: (_error: Error): void => undefined };
  const run = () =>
    new Promise<void>((resolve, reject) => {
      log.push(name);
      settle = { resolve, reject };
    });
  return { run, end: () => settle.resolve(), fail: (error: Error) => settle.reject(error) };
}
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('ClientTurns', () => {
  it('runs the tasks of one client in turn, and those of others meanwhile', async () => {
    const turns = new ClientTurns();
    const [ada, bob] = [client(), client()];
    const log: string[] = [];
    const [first, second, other] = [task(log, 'first'), task(log, 'second'), task(log, 'other')];
    const done = [turns.run(ada, first.run), turns.run(ada, second.run), turns.run(bob, other.run)];
    await turn();
    expect(log).toEqual(['first', 'other']);
    first.end();
    await turn();
    expect(log).toEqual(['first', 'other', 'second']);
    second.end();
    other.end();
    await Promise.all(done);
  });

  it('goes on after a task that fails, whose caller gets the error', async () => {
    const turns = new ClientTurns();
    const ada = client();
    const log: string[] = [];
    const first = task(log, 'first');
    const failed = codeOf(turns.run(ada, first.run));
    const second = codeOf(turns.run(ada, () => void log.push('second')));
    await turn();
    first.fail(new Error('broken'));
    expect(await Promise.all([failed, second])).toEqual(['broken', 'done']);
    expect(log).toEqual(['first', 'second']);
  });

  it('refuses a task of a client that has disconnected while it waited', async () => {
    const turns = new ClientTurns();
    const ada = client() as { isClosed: boolean } & ClientAgent;
    const log: string[] = [];
    const first = task(log, 'first');
    const done = turns.run(ada, first.run);
    const late = codeOf(turns.run(ada, () => void log.push('late')));
    await turn();
    Object.assign(ada, { isClosed: true });
    first.end();
    await done;
    expect(await late).toBe('SESSION_NOT_FOUND');
    expect(log).toEqual(['first']);
  });

  it('tells when a client has no task left, or that its time is over', async () => {
    const turns = new ClientTurns();
    const ada = client();
    expect(await turns.whenIdle(ada, 1)).toBe(true);
    const first = task([], 'first');
    const done = turns.run(ada, first.run);
    expect(await turns.whenIdle(ada, 5)).toBe(false);
    const idle = turns.whenIdle(ada, 60_000);
    const second = turns.run(ada, () => undefined);
    first.end();
    expect(await idle).toBe(true);
    await Promise.all([done, second]);
  });
});
