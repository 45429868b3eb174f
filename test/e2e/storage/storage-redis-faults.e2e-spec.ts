import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RedisStorage } from '@nestgate/gate/redis';
import { type FakeClient, LoopWatch, RedisProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { Redis } from 'ioredis';
import { DelayProxy, gateWith } from '../support/storage-redis-support.js';
import { timed } from '../support/storage-support.js';
import { Recorder } from '../../support/recorder.js';

/** How long a bind may take to fail, and how soon the storage works again after its server does, in milliseconds. */
const FAIL_MS = 1_000;
const RECOVERY_MS = 3_000;

/** Counts the commands that it is given. */
class CountingRedis extends Redis {
  sent = 0;

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    this.sent++;
    return super.sendCommand(...args);
  }
}

describe('a Redis that fails', () => {
  let server: RedisProcess;
  let cluster: TestCluster;
  let log: Recorder;
  const clients: Redis[] = [];
  const proxies: DelayProxy[] = [];

  beforeEach(async () => {
    server = await RedisProcess.start();
  });
  afterEach(async () => {
    await cluster.close();
    for (const client of clients.splice(0)) client.disconnect();
    for (const proxy of proxies.splice(0)) proxy.end();
    await server.end();
  });

  async function serve(storage: RedisStorage): Promise<void> {
    cluster = await gateWith(storage);
    // An app of a test cluster is silent, and so is everything from then on.
    log = Recorder.capture();
  }

  async function bound(name: string): Promise<FakeClient> {
    const client = await cluster.connect();
    await client.request('chat/login', { name });
    return client;
  }

  async function failsToBind(client: FakeClient, name = 'late'): Promise<number> {
    const { ms, error } = await timed(() => client.request('chat/login', { name }));
    expect(String(error)).toMatch(/STORAGE_UNAVAILABLE/);
    expect(await client.request('session/get')).toMatchObject({ userId: '' });
    return ms;
  }

  async function recovers(client: FakeClient, name: string): Promise<void> {
    const login = async (): Promise<boolean> => !(await client.exchange('chat/login', { name })).error;
    await waitUntil('the storage to work again', login, RECOVERY_MS);
  }

  /** The client talks while a task runs. Returns the slowest answer, and the lag of the event loop, in milliseconds. */
  async function talkDuring(client: FakeClient, task: () => Promise<unknown>): Promise<{ echo: number; lag: number }> {
    const state = { done: false };
    let echo = 0;
    const loop = new LoopWatch();
    const running = task().finally(() => (state.done = true));
    while (!state.done) {
      echo = Math.max(echo, (await timed(() => client.request('echo/echo', 'hello'))).ms);
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    const { p99: lag } = loop.take();
    loop.end();
    await running;
    return { echo, lag };
  }

  const WAYS: readonly [name: string, open: () => RedisStorage][] = [
    ['by URL', () => new RedisStorage({ client: server.url })],
    [
      'with a client',
      () => {
        const client = new Redis(server.url);
        client.on('error', () => undefined);
        clients.push(client);
        return new RedisStorage({ client });
      },
    ],
  ];

  it.each(WAYS)(
    '%s, hung: bind fails in a second, those who are bound talk on; then all is well',
    async (_way, open) => {
      await serve(open());
      const ada = await bound('ada');
      const guests = await Promise.all(Array.from({ length: 50 }, () => cluster.connect()));
      server.suspend();
      const { echo, lag } = await talkDuring(await cluster.connect(), async () => {
        const times = await Promise.all(guests.map((guest, n) => failsToBind(guest, `guest${n}`)));
        expect(Math.max(...times)).toBeLessThan(FAIL_MS);
        for (let n = 0; n < 5; n++) {
          const { ms, error } = await timed(() => ada.request('session/set', { key: 'n', value: n }));
          expect(String(error)).toMatch(/STORAGE_UNAVAILABLE.*changed on the gate/);
          expect(ms).toBeLessThan(FAIL_MS);
          expect(await ada.request('session/get')).toMatchObject({ userId: 'ada', settings: { n } });
          expect(await failsToBind(guests[n] as FakeClient)).toBeLessThan(FAIL_MS);
        }
        // Long enough for a client that gives up a silent connection, and makes a new one that is silent too.
        const end = performance.now() + 3_000;
        for (let n = 0; performance.now() < end; n++) {
          expect(await failsToBind(guests[n % 50] as FakeClient)).toBeLessThan(FAIL_MS);
          await new Promise(resolve => setTimeout(resolve, 20));
        }
      });
      expect(echo).toBeLessThan(200);
      expect(lag).toBeLessThan(50);
      expect(await cluster.api.getAllUidList()).toEqual(['ada']);
      expect(log.texts.length).toBeLessThan(10);

      server.resume();
      await recovers(guests[0] as FakeClient, 'bob');
      await ada.request('session/set', { key: 'n', value: 'stored' });
      expect(await cluster.api.getAllUidList()).toEqual(['ada', 'bob']);
      const again = await bound('ada');
      expect(await again.request('session/get')).toMatchObject({ settings: { n: 'stored' } });
    },
  );

  it('hung: commands do not pile up', async () => {
    const client = new CountingRedis(server.url);
    clients.push(client);
    client.on('error', () => undefined);
    const storage = new RedisStorage({ client });
    await serve(storage);
    await storage.query('warm');
    server.suspend();
    const before = client.sent;
    const calls: Promise<unknown>[] = [];
    const ask = (): void => void calls.push(storage.query('ada').catch((error: unknown) => error));
    const call = setInterval(ask, 5);
    await new Promise(resolve => setTimeout(resolve, 600));
    const burst = client.sent - before;
    expect(burst).toBeGreaterThan(20);
    await new Promise(resolve => setTimeout(resolve, 3_000));
    clearInterval(call);
    expect(client.sent - before - burst).toBeLessThanOrEqual(3);
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    server.resume();
    await waitUntil(
      'an answer',
      () =>
        storage.query('ada').then(
          () => true,
          () => false,
        ),
      1_000,
    );
  });

  it.each(WAYS)('%s, killed: bind fails in a second, and works soon after a restart', async (_way, open) => {
    await serve(open());
    const ada = await bound('ada');
    const guest = await cluster.connect();
    await server.crash();
    const { echo } = await talkDuring(ada, async () => {
      for (let n = 0; n < 20; n++) expect(await failsToBind(guest)).toBeLessThan(FAIL_MS);
    });
    expect(echo).toBeLessThan(200);
    const set = await ada.exchange('session/set', { key: 'n', value: 1 });
    expect(set.error?.code).toBe('STORAGE_UNAVAILABLE');
    expect(await ada.request('session/get')).toMatchObject({ settings: { n: 1 } });
    await server.restart();
    await recovers(guest, 'bob');
    await ada.request('session/set', { key: 'n', value: 2 });
    expect(await (await bound('ada')).request('session/get')).toMatchObject({ settings: { n: 2 } });
  });

  it('not there at the start: the gate starts, and works when it comes', async () => {
    await server.crash();
    const { ms } = await timed(() => serve(new RedisStorage({ client: server.url })));
    expect(ms).toBeLessThan(2_000);
    const client = await cluster.connect();
    expect(await failsToBind(client)).toBeLessThan(FAIL_MS);
    await server.restart();
    await recovers(client, 'ada');
    expect(log.matching(/reachable again/).length).toBe(1);
  });

  it('slow: what is slower than it may be fails in time, and what is not works', async () => {
    const proxy = await DelayProxy.start(server.port);
    proxies.push(proxy);
    await serve(new RedisStorage({ client: proxy.url }));
    const talker = await bound('talker');
    const client = await cluster.connect();
    for (const delayMs of [100, 350]) {
      proxy.delayMs = delayMs;
      await talkDuring(talker, () => client.request('chat/login', { name: `slow${delayMs}` }));
      await client.request('session/set', { key: 'at', value: delayMs });
    }
    proxy.delayMs = 700;
    const guest = await cluster.connect();
    const { echo, lag } = await talkDuring(talker, async () => {
      for (let n = 0; n < 3; n++) expect(await failsToBind(guest)).toBeLessThan(FAIL_MS);
    });
    expect(echo).toBeLessThan(200);
    expect(lag).toBeLessThan(50);
    proxy.delayMs = 0;
    await recovers(guest, 'slow350');
    expect(await guest.request('session/get')).toMatchObject({ settings: { at: 350 } });
  });

  it('slow: commandTimeoutMs above 500 lets it take longer', async () => {
    const proxy = await DelayProxy.start(server.port);
    proxies.push(proxy);
    await serve(new RedisStorage({ client: proxy.url, commandTimeoutMs: 2_500 }));
    const client = await cluster.connect();
    proxy.delayMs = 800;
    const { passedMs } = await timed(() => client.request('chat/login', { name: 'patient' }));
    expect(passedMs).toBeGreaterThan(700);
    await client.request('session/set', { key: 'at', value: 800 });
    proxy.delayMs = 2_600;
    const { passedMs: failedAfter, error } = await timed(() => client.request('session/set', { key: 'at', value: 1 }));
    expect(String(error)).toMatch(/STORAGE_UNAVAILABLE/);
    // A change of the session that is before it may use up some of the time.
    expect(failedAfter).toBeGreaterThan(1_000);
    expect(log.matching(/did not answer within 2500 ms/)).toHaveLength(1);
    proxy.delayMs = 0;
  });

  it('silent on a connection that stays open: another one is made', async () => {
    const proxy = await DelayProxy.start(server.port);
    proxies.push(proxy);
    await serve(new RedisStorage({ client: proxy.url }));
    const client = await bound('ada');
    proxy.mute();
    expect(await failsToBind(await cluster.connect())).toBeLessThan(FAIL_MS);
    await recovers(client, 'bob');
  });
});
