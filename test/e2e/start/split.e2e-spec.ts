import { afterEach, describe, expect, it } from '@jest/globals';
import { type FakeClient, freePort, waitUntil } from '@nestgate/testing';
import { type AppName, AppProcess } from '../support/app-process.js';

describe('gates and workers in processes of their own, over tcp', () => {
  const processes: AppProcess[] = [];
  let link = '';

  afterEach(async () => {
    await Promise.all(processes.splice(0).map(process => process.end()));
  });

  async function start(app: AppName, env: NodeJS.ProcessEnv = {}): Promise<AppProcess> {
    const process = await AppProcess.start({ NESTGATE_LINK: link, NESTGATE_SECRET: 'shared', ...env }, app);
    processes.push(process);
    return process;
  }

  async function startGate(): Promise<AppProcess> {
    link = `tcp://127.0.0.1:${await freePort()}`;
    return start('gate');
  }

  /** Waits until a worker serves the client, and says which frames it needed for that. */
  const served = (client: FakeClient) =>
    waitUntil('a worker', async () => (await client.exchange('echo/echo', 1)).body === 1, 10_000);

  it('form a cluster, in any order of start', async () => {
    link = `tcp://127.0.0.1:${await freePort()}`;
    const worker = await start('worker');
    expect(await worker.status('/health')).toBe(200);
    const gate = await start('gate');
    const client = await gate.connect();
    await served(client);
    expect(await client.request('chat/login', { name: 'ada' })).toEqual({ uid: 'ada' });
    expect(await client.request('chat/join', { room: 'lobby' })).toEqual({ room: 'lobby', members: 1 });
    expect(await client.request('chat/say', { room: 'lobby', text: 'hi' })).toEqual({ delivered: 1 });
    expect((await client.push('chat/said')).body).toMatchObject({ from: 'ada', text: 'hi' });
  });

  it('lose only the requests in flight with a worker that is killed, at once', async () => {
    const gate = await startGate();
    const workers = [await start('worker'), await start('worker')];
    const client = await gate.connect();
    await served(client);
    await client.request('session/set', { key: 'echo', value: 'kept' });
    const inFlight = client.ask('echo/slow', { ms: 30_000 });
    await client.exchange('$gate/ping');
    // Which of the two has the request is not known from outside: the one whose death ends it.
    const before = Date.now();
    workers[0]?.signal('SIGKILL');
    await workers[0]?.exited;
    const lost = await client.answer(inFlight, 1_500).catch(() => undefined);
    if (!lost) {
      workers[1]?.signal('SIGKILL');
      expect((await client.answer(inFlight, 1_000)).error?.code).toBe('WORKER_LOST');
      await start('worker');
      await served(client);
    } else {
      expect(lost.error?.code).toBe('WORKER_LOST');
      expect(Date.now() - before).toBeLessThan(1_500);
      expect((await client.exchange('echo/echo', 'next')).body).toBe('next');
    }
    expect(await client.request('session/get')).toMatchObject({ settings: { echo: 'kept' } });
  });

  it('give each frame one outcome while the only worker restarts, and keep the client', async () => {
    const gate = await startGate();
    const first = await start('worker');
    const client = await gate.connect();
    await served(client);
    first.signal('SIGKILL');
    await first.exited;
    const id = client.ask('echo/echo', 'waits');
    await start('worker');
    const { body, error } = await client.answer(id);
    expect(error?.code ?? body).toMatch(/^(waits|WORKER_LOST|NO_WORKER)$/);
    await served(client);
    const [, last] = processes;
    for (const process of processes.slice(1)) process.signal('SIGKILL');
    await last?.exited;
    expect((await client.exchange('echo/echo', 'nobody')).error?.code).toMatch(/^(NO_WORKER|WORKER_LOST)$/);
    expect(client.closedWith).toBeUndefined();
  });

  it('let a worker that is told to stop finish what it has', async () => {
    const gate = await startGate();
    const first = await start('worker');
    const client = await gate.connect();
    await served(client);
    const inFlight = client.ask('echo/slow', { ms: 700 });
    await client.exchange('$gate/ping');
    const second = await start('worker');
    first.signal('SIGTERM');
    expect((await client.answer(inFlight)).body).toEqual({ ms: 700 });
    expect(await first.exited).toEqual({ code: 0, signal: null });
    expect((await client.exchange('echo/echo', 'next')).body).toBe('next');
    expect(await second.status('/health')).toBe(200);
  });

  it('refuse a node that does not know the secret', async () => {
    const gate = await startGate();
    const outsider = AppProcess.spawn({ NESTGATE_LINK: link, NESTGATE_SECRET: 'guessed' }, 'worker');
    processes.push(outsider);
    const { code } = await outsider.exited;
    expect(code).not.toBe(0);
    expect(outsider.output).toContain('refuses this node');
    const client = await gate.connect();
    expect((await client.exchange('echo/echo', 1)).error?.code).toBe('NO_ROUTE');
  });

  it('do not listen where others could reach them without a secret', async () => {
    const gate = AppProcess.spawn({ NESTGATE_LINK: `tcp://0.0.0.0:${await freePort()}` }, 'gate');
    processes.push(gate);
    expect((await gate.exited).code).not.toBe(0);
    expect(gate.output).toContain('NESTGATE_SECRET');
  });
});
