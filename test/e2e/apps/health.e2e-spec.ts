import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort, NatsProcess, RedisProcess, UpgradeRefused, waitUntil } from '@nestgate/testing';
import { AppProcess, type AppName } from '../support/app-process.js';

/** How long an outage may go unnoticed, and its end, in milliseconds. */
const NOTICE_MS = 10_000;

/** What a health check has answered. */
interface Answer {
  readonly code: number;
  readonly status: string;
  readonly details: Readonly<Record<string, { readonly status: string; readonly message?: string }>>;
}

async function ask(app: AppProcess, path: string): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${app.port}${path}`, { headers: { connection: 'close' } });
  return { code: response.status, ...((await response.json()) as Omit<Answer, 'code'>) };
}

const live = (app: AppProcess): Promise<Answer> => ask(app, '/health');
const ready = (app: AppProcess): Promise<Answer> => ask(app, '/health/ready');

/** Each part of an answer with its status. */
const statuses = ({ details }: Answer) =>
  Object.fromEntries(Object.entries(details).map(([name, { status }]) => [name, status]));

describe('/health and /health/ready', () => {
  const apps: AppProcess[] = [];
  const servers: { end(): Promise<void> }[] = [];

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.end();
    for (const server of servers.splice(0)) await server.end();
  });

  async function start(env: NodeJS.ProcessEnv, name: AppName): Promise<AppProcess> {
    const app = await AppProcess.start(env, name);
    apps.push(app);
    return app;
  }

  it('report each component, and must not be cached', async () => {
    const app = await start({}, 'chat');
    await app.connect();
    expect(await live(app)).toEqual({
      code: 200,
      status: 'ok',
      info: { drain: { status: 'up' } },
      error: {},
      details: { drain: { status: 'up' } },
      clients: 1,
    });
    const answer = await ready(app);
    expect(answer).toMatchObject({ code: 200, status: 'ok' });
    expect(statuses(answer)).toEqual({ drain: 'up', start: 'up', link: 'up', storage: 'up' });
    const { headers } = await fetch(`http://127.0.0.1:${app.port}/health/ready`);
    expect(headers.get('cache-control')).toMatch(/no-store/);
  });

  it('both fall at SIGTERM, while clients that are there are still served', async () => {
    const app = await start({}, 'chat');
    const client = await app.connect();
    const slow = client.ask('echo/slow', { ms: 2_500 });
    await client.request('$gate/ping');
    app.signal('SIGTERM');
    const answer = await waitUntil('readiness to fall', async () => {
      const now = await ready(app);
      return now.code === 200 ? undefined : now;
    });
    expect(answer.code).toBe(503);
    expect(answer.details['drain']).toEqual({ status: 'down', message: 'the gate is draining' });
    expect((await live(app)).code).toBe(503);
    expect(client.closedWith).toBeUndefined();
    await expect(app.connect()).rejects.toEqual(new UpgradeRefused(503));
    expect((await client.answer(slow)).body).toEqual({ ms: 2_500 });
    expect((await client.closed).code).toBe(1012);
    expect(app.output).toMatch(/^nestgate chat: [^\n]*\n$/);
  });

  it('while the storage is out a gate stays ready, and says that it is not well', async () => {
    const redis = await RedisProcess.start();
    servers.push(redis);
    const gate = await start({ NESTGATE_STORAGE: redis.url, LOG_LEVEL: 'fatal' }, 'chat');
    const client = await gate.connect();
    await client.request('chat/login', { name: 'ada' });
    expect(statuses(await ready(gate))).toMatchObject({ storage: 'up' });
    await redis.crash();
    const answer = await waitUntil('the storage to be missed', async () => {
      const now = await ready(gate);
      return now.status === 'degraded' ? now : undefined;
    });
    expect(answer.code).toBe(200);
    expect(statuses(answer)).toEqual({ drain: 'up', start: 'up', link: 'up', storage: 'degraded' });
    expect(await live(gate)).toMatchObject({ code: 200, status: 'ok' });
    expect(await client.request('session/get')).toMatchObject({ userId: 'ada' });
    await redis.restart();
    const isWell = async (): Promise<boolean> => (await ready(gate)).status === 'ok';
    await waitUntil('the storage to be back', isWell, NOTICE_MS);
    // One that is there and does not answer is noticed by those who ask it.
    redis.suspend();
    expect((await client.exchange('session/set', { key: 'k', value: 1 })).error?.code).toBe('STORAGE_UNAVAILABLE');
    await waitUntil('that to be told', async () => (await ready(gate)).status === 'degraded');
    redis.resume();
    await waitUntil('the storage to answer', isWell, NOTICE_MS);
  });

  it('while the link is down nodes live, and are not ready', async () => {
    const nats = await NatsProcess.start();
    servers.push(nats);
    const env = { NESTGATE_LINK: nats.url, LOG_LEVEL: 'fatal' };
    const gate = await start(env, 'gate');
    const worker = await start(env, 'worker');
    const both = [gate, worker];
    const codes = async (): Promise<number[]> => Promise.all(both.map(async app => (await ready(app)).code));
    const become = (code: number): Promise<boolean> =>
      waitUntil(`both to answer ${code}`, async () => (await codes()).every(each => each === code), NOTICE_MS);
    await become(200);
    const client = await gate.connect();
    await nats.crash();
    await become(503);
    for (const app of both) {
      expect((await ready(app)).details['link']).toEqual({ status: 'down', message: 'the link is down' });
      expect(await live(app)).toMatchObject({ code: 200, status: 'ok' });
    }
    expect(client.closedWith).toBeUndefined();
    await nats.restart();
    await become(200);
    await waitUntil('the client to be served', async () => !(await client.exchange('echo/echo')).error, NOTICE_MS);
  });

  it('a worker that reaches no gate lives, and is ready when it has found one', async () => {
    const NESTGATE_LINK = `tcp://127.0.0.1:${await freePort()}`;
    const worker = await start({ NESTGATE_LINK, LOG_LEVEL: 'fatal' }, 'worker');
    expect(await live(worker)).toMatchObject({ code: 200, status: 'ok' });
    const alone = await ready(worker);
    expect(alone.code).toBe(503);
    expect(alone.details['link']).toEqual({ status: 'down', message: 'no gate is in reach' });
    const gate = await start({ NESTGATE_LINK, LOG_LEVEL: 'fatal' }, 'gate');
    await waitUntil('the gate to be ready', async () => (await ready(gate)).code === 200, NOTICE_MS);
    await waitUntil('the worker to be ready', async () => (await ready(worker)).code === 200, NOTICE_MS);
    worker.signal('SIGTERM');
    await waitUntil('the worker to say so', async () => {
      const code = await worker.status('/health/ready');
      return code === 503 || code === 0;
    });
    expect(await worker.exitWithin(NOTICE_MS)).toEqual({ code: 0, signal: null });
  });
});
