import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type CanActivate, type ExecutionContext, type INestApplication, Injectable, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AdminModule, LoopbackGuard } from '@nestgate/admin';
import { Gate, GateModule } from '@nestgate/gate';
import { FakeClient } from '@nestgate/testing';
import { GatewayApi } from '@nestgate/worker';
import { FRAMEWORKS } from './http-support.js';

@Injectable()
class KeyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: unknown }>();
    request.user = { id: 'operator-ann' };
    return request.headers['x-key'] === 'right';
  }
}

const OWN = { 'content-type': 'application/json', 'x-nestgate-admin': '1' };

describe.each(FRAMEWORKS)('the admin page on %s', framework => {
  let app: INestApplication | undefined;
  let base = '';
  const clients: FakeClient[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.terminate();
    await app?.close();
    app = undefined;
    jest.restoreAllMocks();
  });

  async function start(
    options: Parameters<typeof AdminModule.forRoot>[0],
    host = '127.0.0.1',
    setup: (app: INestApplication) => void = () => undefined,
  ): Promise<void> {
    class AppModule {}
    const imports = [GateModule.forRoot({ startupWait: 0, nodeId: 'gate-1' }), AdminModule.forRoot(options)];
    const module = { module: AppModule, imports };
    const quiet = { logger: false, abortOnError: false } as const;
    app =
      framework === 'fastify'
        ? await NestFactory.create(module, new FastifyAdapter(), quiet)
        : await NestFactory.create(module, quiet);
    setup(app);
    await app.listen(0, host);
    base = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
  }

  async function connect(): Promise<FakeClient> {
    const client = await FakeClient.connect(base.replace('http', 'ws') + (app?.get(Gate).options.ws.path ?? ''));
    clients.push(client);
    return client;
  }

  async function get(path: string, headers: Record<string, string> = {}) {
    const response = await fetch(base + path, { headers });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text[0] === '{' ? JSON.parse(text) : {} };
  }

  async function act(name: string, input: object, headers: Record<string, string> = OWN) {
    const response = await fetch(`${base}/admin/api/actions/${name}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(input),
    });
    return { status: response.status, body: (await response.json()) as unknown };
  }

  it('is one page without anything from elsewhere', async () => {
    await start({});
    const page = await get('/admin');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'/,
    );
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.text).not.toMatch(/https?:|<style|<script>|onclick|style=/);
    for (const [, path = ''] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const file = await get(path);
      expect([path, file.status, file.headers.get('content-security-policy')]).toEqual([path, 200, policy]);
      for (const [, name = ''] of file.text.matchAll(/from '\.\/([\w-]+\.js)'/g)) {
        expect([name, (await get(`/admin/page/${name}`)).status]).toEqual([name, 200]);
      }
    }
    for (const name of ['nothing.js', '..%2f..%2fpackage.json', 'main.js.map', '__proto__']) {
      expect((await get(`/admin/page/${name}`)).status).toBe(404);
    }
  });

  it('knows where it is behind a global prefix, and at a path of its own', async () => {
    await start({ path: '/ops' }, '127.0.0.1', each => each.setGlobalPrefix('api'));
    expect((await get('/api/ops?x="><b>')).text).toContain('src="/api/ops/page/main.js"');
    expect((await get('/api/ops/page/main.js')).status).toBe(200);
  });

  it('answers with nodes, sessions, groups and users', async () => {
    await start({});
    const [one, two] = [await connect(), await connect()];
    const gateway = app?.get(GatewayApi);
    await gateway?.bindUid(one.clientId, '<img src=x>');
    await gateway?.joinGroup([one.clientId, two.clientId], ['<b>room</b>']);
    expect((await get('/admin/api/overview')).body).toMatchObject({
      nodes: [{ id: 'gate-1', role: 'gate', gate: { clients: 2 } }],
      missing: [],
      actions: false,
    });
    const all = (await get('/admin/api/sessions')).body as { items: unknown[] };
    expect(all.items).toHaveLength(2);
    const ofUid = await get(`/admin/api/sessions?uid=${encodeURIComponent('<img src=x>')}`);
    expect(ofUid.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(ofUid.body).toMatchObject({ items: [{ clientId: one.clientId }] });
    expect((await get('/admin/api/sessions?group=none')).body).toMatchObject({ items: [] });
    expect((await get('/admin/api/groups')).body).toMatchObject({ items: { '<b>room</b>': 2 } });
    expect((await get('/admin/api/uids')).body).toMatchObject({ items: { '<img src=x>': 1 } });
    expect((await get(`/admin/api/session?id=${one.clientId}`)).body).toMatchObject({
      session: { groups: ['<b>room</b>'] },
    });
    expect(await get(`/admin/api/session?id=${'x'.repeat(300)}`)).toMatchObject({
      status: 400,
      body: { error: { code: 'BAD_ARGUMENT' } },
    });
  });

  it('acts when it is permitted to, and writes down who did what', async () => {
    const log = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
    await start({ actions: true, guard: KeyGuard });
    const headers = { ...OWN, 'x-key': 'right' };
    const client = await connect();
    const { clientId } = client;
    expect(await act('send', { clientId, topic: 'a/b', body: { n: 1 } }, headers)).toEqual({
      status: 200,
      body: { result: { delivered: 1, missing: [] } },
    });
    expect(await client.push('a/b')).toMatchObject({ body: { n: 1 } });
    await app?.get(GatewayApi).bindUid(clientId, 'bob');
    expect(await act('revoke', { uid: 'bob' }, headers)).toMatchObject({ status: 200, body: { result: 1 } });
    expect(await client.closed).toMatchObject({ code: 1008 });
    const other = await connect();
    expect(await act('kick', { clientId: other.clientId }, headers)).toMatchObject({ body: { result: true } });
    expect(await other.closed).toMatchObject({ code: 4002 });
    const { clientId: tapped } = await connect();
    const tap = await act('tap', { clientId: tapped }, headers);
    expect(tap).toMatchObject({ status: 200, body: { result: { frames: [], isOver: false } } });
    const { cursor } = (tap.body as { result: { cursor: string } }).result;
    expect(await act('tap', { clientId: tapped, cursor }, headers)).toMatchObject({ body: { result: { frames: [] } } });
    expect(await act('tap', { clientId: tapped, cursor: 5 }, headers)).toMatchObject({ status: 400 });
    expect(await act('drain', { gate: 'gate-1' }, headers)).toMatchObject({ body: { result: true } });
    expect(await act('kick', {}, headers)).toMatchObject({ status: 400, body: { error: { code: 'BAD_ARGUMENT' } } });
    expect(await act('eval', {}, headers)).toMatchObject({ status: 404 });
    const lines = log.mock.calls.map(([line]) => line);
    expect(lines).toContain(`operator-ann: send clientId=${clientId} topic=a/b: done`);
    expect(lines).toContain('operator-ann: revoke uid=bob: done');
    expect(lines).toContain('operator-ann: drain gate=gate-1: done');
  });

  it('refuses actions that are not permitted, or that another page has asked for', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    await start({});
    expect(await act('kick', { clientId: 'x' })).toMatchObject({ status: 403 });
    await app?.close();
    await start({ actions: true, guard: LoopbackGuard });
    const json = { 'content-type': 'application/json' };
    const client = await connect();
    const input = { clientId: client.clientId };
    const forged: readonly Record<string, string>[] = [
      json,
      { ...OWN, 'sec-fetch-site': 'cross-site' },
      { ...OWN, origin: 'http://evil.test' },
      { ...OWN, 'x-forwarded-for': '10.0.0.1' },
      { 'content-type': 'text/plain' },
    ];
    for (const headers of forged) expect([headers, (await act('kick', input, headers)).status]).toEqual([headers, 403]);
    expect(await act('kick', input, { ...OWN, origin: base })).toMatchObject({ status: 200 });
    expect(warn.mock.calls.join()).toMatch(/127\.0\.0\.1: kick: refused or failed/);
  });

  it('asks the guard for each file and question', async () => {
    await start({ guard: KeyGuard }, '0.0.0.0');
    for (const path of ['/admin', '/admin/page/main.js', '/admin/api/overview', '/admin/api/sessions']) {
      expect([path, (await get(path)).status]).toEqual([path, 403]);
      expect([path, (await get(path, { 'x-key': 'right' })).status]).toEqual([path, 200]);
    }
  });

  it('without a guard, works on loopback only', async () => {
    await expect(start({}, '0.0.0.0')).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringMatching(/guard.*loopback/),
    });
    await app?.close();
    await start({});
    expect((await get('/admin', { 'x-forwarded-for': '10.0.0.1' })).status).toBe(403);
  });
});

it.each([
  [{ actions: 'yes' }, /actions must be true or false/],
  [{ path: '/a"b' }, /path/],
  [{ path: 'admin' }, /path/],
  [{ guards: [] }, /unknown option "guards"; did you mean "guard"/],
  [{ principal: 'me' }, /principal must be a function/],
])('the admin page does not start with %j', async (options, message) => {
  class AppModule {}
  const start = async () => {
    const imports = [GateModule.forRoot({}), AdminModule.forRoot(options as never)];
    await (await NestFactory.create({ module: AppModule, imports }, { logger: false, abortOnError: false })).close();
  };
  await expect(start()).rejects.toMatchObject({ code: 'BAD_ARGUMENT', message: expect.stringMatching(message) });
});
