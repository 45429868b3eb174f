import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort, waitUntil } from '@nestgate/testing';
import { AppProcess, type AppName } from '../support/app-process.js';
import { rawRequest } from '../support/raw-request.js';

const PATHS = ['/health', '/health/ready', '/metrics'];

describe('/health and /metrics', () => {
  const apps: AppProcess[] = [];

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.end();
  });

  async function start(env: NodeJS.ProcessEnv = {}, name: AppName = 'chat'): Promise<AppProcess> {
    const app = await AppProcess.start(env, name);
    apps.push(app);
    return app;
  }

  /** The statuses of {@link PATHS} with these headers. */
  const ask = (port: number, headers: Record<string, string> = {}, host = '127.0.0.1'): Promise<number[]> =>
    Promise.all(PATHS.map(path => rawRequest({ port, path, headers, host })));

  it('answer programs on the same host on the port of the clients, and nobody else', async () => {
    const { port } = await start();
    expect(await ask(port)).toEqual([200, 200, 200]);
    expect(await ask(port, { host: `localhost:${port}` })).toEqual([200, 200, 200]);
    // What a proxy has forwarded, a page of another site, a name that leads here, no name at all.
    const foreign: Record<string, string>[] = [
      { 'x-forwarded-for': '203.0.113.7' },
      { forwarded: 'for=203.0.113.7' },
      { origin: 'https://elsewhere.example' },
      { host: 'rebound.example' },
    ];
    for (const headers of foreign) expect([headers, await ask(port, headers)]).toEqual([headers, [403, 403, 403]]);
    // Another address of this host, as other hosts would use it.
    const outside = Object.values(networkInterfaces())
      .flat()
      .find(each => each?.family === 'IPv4' && !each.internal)?.address;
    if (outside !== undefined) expect(await ask(port, {}, outside)).toEqual([403, 403, 403]);
    // Spelled in ways that routers take for the same.
    for (const path of ['/METRICS', '/metrics/', '/health/', '//metrics', '/%6detrics']) {
      const status = await rawRequest({ port, path, headers: { 'x-forwarded-for': '203.0.113.7' } });
      expect([403, 404]).toContain(status);
    }
  });

  it('are only on the port of NESTGATE_OPS_PORT where there is one, for everyone, and nothing else is', async () => {
    const opsPort = await freePort();
    const app = await start({ NESTGATE_OPS_PORT: String(opsPort), NESTGATE_ADMIN: 'on' });
    const headers = { 'x-forwarded-for': '203.0.113.7', host: 'gate-1.example' };
    expect(await ask(opsPort, headers)).toEqual([200, 200, 200]);
    expect(await ask(app.port)).toEqual([404, 404, 404]);
    const others = ['/', '/admin', '/gate', '/index.html', '/METRICS', '/metrics/', '/health/../admin', '*'];
    for (const path of others) expect([path, await rawRequest({ port: opsPort, path })]).toEqual([path, 404]);
    expect(await rawRequest({ port: opsPort, path: '/metrics', method: 'POST' })).toBe(404);
    expect(await rawRequest({ port: opsPort, path: '/metrics?x=/admin' })).toBe(200);
    const client = await app.connect();
    expect(await client.request('$gate/ping')).toBeDefined();
  });

  it('of a worker need no PORT', async () => {
    const [link, opsPort] = [await freePort(), await freePort()];
    const env = { NESTGATE_LINK: `tcp://127.0.0.1:${link}`, NESTGATE_SECRET: 'a-long-secret-of-tests' };
    await start(env, 'gate');
    const worker = await start({ ...env, PORT: '', NESTGATE_OPS_PORT: String(opsPort) }, 'worker');
    expect(worker.port).toBe(opsPort);
    await waitUntil('the worker to be ready', async () => (await ask(opsPort)).every(status => status === 200));
  });

  it('are seen to fall while the app drains, on a port that other connections cannot hold open', async () => {
    const opsPort = await freePort();
    const app = await start({ NESTGATE_OPS_PORT: String(opsPort) });
    const client = await app.connect();
    const slow = client.ask('echo/slow', { ms: 1_500 });
    await client.request('$gate/ping');
    app.signal('SIGTERM');
    await waitUntil('the health to fall', async () => {
      const statuses = await ask(opsPort);
      return statuses[0] === 503 && statuses[1] === 503 && statuses[2] === 200;
    });
    expect((await client.answer(slow)).body).toEqual({ ms: 1_500 });
    expect(await app.exitWithin(10_000)).toEqual({ code: 0, signal: null });
  });

  it('whose port is taken stop the start before a client is accepted', async () => {
    const other = createServer();
    await new Promise<void>(resolve => other.listen(0, resolve));
    const { port } = other.address() as AddressInfo;
    const app = AppProcess.spawn({ NESTGATE_OPS_PORT: String(port) });
    apps.push(app);
    const { code } = await app.exitWithin(15_000);
    other.close();
    expect(code).toBe(1);
    expect(app.output).toContain('EADDRINUSE');
    expect(app.port).toBe(0);
  });

  it.each(['70000', '-1', 'x', '1.5'])('whose port is %s stop the start', async port => {
    const app = AppProcess.spawn({ NESTGATE_OPS_PORT: port });
    apps.push(app);
    expect((await app.exitWithin(15_000)).code).toBe(1);
    expect(app.output).toContain(`NESTGATE_OPS_PORT=${port} is not allowed`);
  });
});
