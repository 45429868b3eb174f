import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { freePort, NatsProcess, RedisProcess, waitUntil } from '@nestgate/testing';
import { type AppName, AppProcess } from '../support/app-process.js';

const SECRET = 'hunter2-of-the-cluster';

/** Passwords that need no escape, and some that lack a needed escape. */
const PASSWORDS = [SECRET, `a@${SECRET}:b/%zz`, `#${SECRET}?x`];

describe('secrets', () => {
  const processes: AppProcess[] = [];
  const servers: { end(): Promise<void> }[] = [];

  afterEach(async () => {
    for (const process of processes) await process.end();
    for (const server of servers.splice(0)) await server.end();
    for (const { output } of processes.splice(0)) expect(output).not.toContain(SECRET);
  });

  function spawn(env: NodeJS.ProcessEnv, name: AppName): AppProcess {
    const app = AppProcess.spawn({ LOG_LEVEL: 'verbose', ...env }, name);
    processes.push(app);
    return app;
  }

  async function failing(env: NodeJS.ProcessEnv, name: AppName): Promise<AppProcess> {
    const app = spawn(env, name);
    const { code } = await app.exited;
    expect(code).not.toBe(0);
    expect(app.output).not.toContain(SECRET);
    return app;
  }

  it('in a link URL are in no output', async () => {
    const [plain, escaped, hash] = PASSWORDS;
    const links = [
      `tcp://user:${plain}@127.0.0.1:7400`,
      `tcp://user:${escaped}@127.0.0.1:7400`,
      ...PASSWORDS.map(password => `nats://user:${password}@127.0.0.1:4222?nope=1`),
      `nats://user:${hash}@`,
      `amqp://user:${escaped}@127.0.0.1`,
    ];
    await Promise.all(links.map(link => failing({ NESTGATE_LINK: link }, 'worker')));
  });

  it('in the URL of a storage are in no output', async () => {
    const outputs = await Promise.all(
      PASSWORDS.map(password => failing({ NESTGATE_STORAGE: `postgres://user:${password}@127.0.0.1/db` }, 'chat')),
    );
    for (const { output } of outputs) expect(output).toContain('NESTGATE_STORAGE=postgres://…@127.0.0.1');
  });

  it('that Redis refuses are in no output', async () => {
    const redis = await RedisProcess.start();
    servers.push(redis);
    const admin = new Redis(redis.url);
    await admin.config('SET', 'requirepass', 'right');
    admin.disconnect();
    const app = spawn({ NESTGATE_STORAGE: `redis://:${SECRET}@127.0.0.1:${redis.port}` }, 'chat');
    await waitUntil('the app to start', () => app.port > 0, 15_000);
    const client = await app.connect();
    expect((await client.exchange('chat/login', { name: 'ada' })).error?.code).toBe('STORAGE_UNAVAILABLE');
    await waitUntil('it to be logged', () => /Redis/.test(app.output));
    expect(app.output).toMatch(/WRONGPASS|NOAUTH/);
  });

  it('of a Redis that is not there are in no output', async () => {
    const app = spawn({ NESTGATE_STORAGE: `redis://user:${SECRET}@127.0.0.1:${await freePort()}/1` }, 'chat');
    await waitUntil('it to be logged', () => app.output.includes('Redis is not reachable'), 15_000);
  });

  it('that NATS refuses are in no output', async () => {
    const nats = await NatsProcess.start({ config: 'authorization { user: u, password: right }' });
    servers.push(nats);
    for (const identity of [`u:${SECRET}@`, `${SECRET}@`]) {
      const url = nats.url.replace('//', `//${identity}`);
      const [gate, worker] = await Promise.all([
        failing({ NESTGATE_LINK: url }, 'gate'),
        failing({ NESTGATE_LINK: url }, 'worker'),
      ]);
      for (const { output } of [gate, worker]) expect(output).toMatch(/cannot be used/);
    }
  });

  it('that nodes have in common, or should, are in no output', async () => {
    const link = `tcp://127.0.0.1:${await freePort()}`;
    const gate = spawn({ NESTGATE_LINK: link, NESTGATE_SECRET: SECRET }, 'gate');
    await waitUntil('the gate to start', () => gate.port > 0, 15_000);
    const worker = spawn({ NESTGATE_LINK: link, NESTGATE_SECRET: SECRET, PORT: '0' }, 'worker');
    await waitUntil('the worker to start', () => worker.port > 0, 15_000);
    const outsider = await failing({ NESTGATE_LINK: link, NESTGATE_SECRET: `${SECRET}!` }, 'worker');
    expect(outsider.output).toContain('refuses this node');
    const client = await gate.connect();
    await waitUntil('the worker to serve', async () => (await client.exchange('echo/echo', 1)).body === 1, 10_000);
    for (const app of [gate, worker]) app.signal('SIGTERM');
    for (const app of [gate, worker]) expect((await app.exited).code).toBe(0);
  });
});
