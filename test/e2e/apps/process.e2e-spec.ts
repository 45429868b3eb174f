import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { UpgradeRefused, waitUntil } from '@nestgate/testing';
import { AppProcess } from '../support/app-process.js';

/** How long an app may take to end after SIGTERM, in milliseconds. */
const END_MS = 10_000;

describe('the chat app as a process', () => {
  const apps: AppProcess[] = [];

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.end();
  });

  async function start(env: NodeJS.ProcessEnv = {}): Promise<AppProcess> {
    const app = await AppProcess.start(env);
    apps.push(app);
    return app;
  }

  it('SIGTERM: fails its health check, refuses newcomers, answers what is under way, and ends', async () => {
    const app = await start();
    const busy = await app.connect();
    const idle = await app.connect({ protocols: ['gate.json'] });
    expect(await app.status('/health')).toBe(200);
    expect(await app.status('/')).toBe(200);
    const slow = busy.ask('echo/slow', { ms: 1_000 });
    // Frames are taken in order, so that the pong tells that the slow one is under way.
    await busy.request('$gate/ping');

    app.signal('SIGTERM');
    const health = await waitUntil('the health check to fail', async () => {
      const status = await app.status('/health');
      return status === 200 ? undefined : String(status);
    });
    expect(health).toBe('503');
    await expect(app.connect()).rejects.toEqual(new UpgradeRefused(503));
    expect(busy.closedWith).toBeUndefined();

    expect((await busy.answer(slow)).body).toEqual({ ms: 1_000 });
    expect((await busy.closed).code).toBe(1012);
    expect((await idle.closed).code).toBe(1012);
    expect(await app.exitWithin(END_MS)).toEqual({ code: 0, signal: null });
    expect(app.output).not.toMatch(/error/i);
  });

  it('SIGTERM: ends although clients do not read, or say nothing', async () => {
    const app = await start({ NESTGATE_MSG_RATE: '0' });
    const deaf = await app.connect();
    await deaf.request('fan/join', { group: 'deaf' });
    const idle = await app.connect();
    deaf.socket.pause();
    for (let n = 0; n < 20; n++) await idle.request('fan/out', { group: 'deaf', data: 'x'.repeat(60_000) });
    app.signal('SIGTERM');
    expect((await idle.closed).code).toBe(1012);
    expect(await app.exitWithin(END_MS)).toEqual({ code: 0, signal: null });
  });

  it('SIGTERM: ends although connections are silent, or stop in the middle of a request', async () => {
    const app = await start();
    const texts = ['', 'GET /health HTTP/1.1\r\nHost:', 'GET /gate HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'];
    const sockets = texts.map(text => {
      const socket = connect(app.port, '127.0.0.1', () => void socket.write(text));
      return socket.on('error', () => undefined);
    });
    await waitUntil('all to be connected', () => sockets.every(socket => socket.readyState === 'open'));
    expect(await app.status('/health')).toBe(200);
    app.signal('SIGTERM');
    expect(await app.exitWithin(END_MS)).toEqual({ code: 0, signal: null });
    for (const socket of sockets) socket.destroy();
  });

  it('SIGINT does the same, and a second signal does not cut it short', async () => {
    const app = await start();
    const client = await app.connect();
    const slow = client.ask('echo/slow', { ms: 400 });
    await client.request('$gate/ping');
    app.signal('SIGINT');
    await waitUntil('the health check to fail', async () => (await app.status('/health')) !== 200);
    app.signal('SIGTERM');
    expect((await client.answer(slow)).body).toEqual({ ms: 400 });
    expect((await client.closed).code).toBe(1012);
    expect(await app.exitWithin(END_MS)).toEqual({ code: 0, signal: null });
  });

  it.each([
    { PORT: 'abc' },
    { PORT: '65536' },
    { NESTGATE_MSG_RATE: '1.5' },
    { NESTGATE_LINK: 'carrier-pigeon://x' },
    { NESTGATE_ID: 'not an id' },
  ])('does not start with %j, and says so', async env => {
    const app = AppProcess.spawn(env);
    apps.push(app);
    const { code } = await app.exitWithin(15_000);
    expect(code).toBeGreaterThan(0);
    const [name, value] = Object.entries(env)[0] as [string, string];
    expect(app.output).toContain(value);
    if (/PORT|RATE|PER_IP/.test(name)) expect(app.output).toContain(`${name}=${value}`);
  });

  it('does not start on a port that is taken', async () => {
    const first = await start();
    const second = AppProcess.spawn({ PORT: String(first.port) });
    apps.push(second);
    expect((await second.exitWithin(15_000)).code).toBeGreaterThan(0);
    expect(second.output).toContain('EADDRINUSE');
    expect(await first.status('/health')).toBe(200);
  });

  it('keeps NESTGATE_MSG_RATE and NESTGATE_MAX_PER_IP', async () => {
    const app = await start({ NESTGATE_MSG_RATE: '2', NESTGATE_MAX_PER_IP: '2' });
    const client = await app.connect();
    const second = await app.connect();
    await expect(app.connect()).rejects.toEqual(new UpgradeRefused(429));
    const ids = Array.from({ length: 8 }, () => client.ask('echo/echo', 1));
    const codes = [];
    for (const id of ids) codes.push((await client.answer(id)).error?.code);
    expect(codes.slice(0, 4)).toEqual([undefined, undefined, undefined, undefined]);
    expect(codes.slice(4)).toContain('RATE_LIMITED');
    expect(await second.request('echo/echo', 1)).toBe(1);
    second.socket.terminate();
    await waitUntil('room for another', async () => {
      try {
        return await app.connect();
      } catch (error) {
        if (error instanceof UpgradeRefused) return undefined;
        throw error;
      }
    });
  });
});
