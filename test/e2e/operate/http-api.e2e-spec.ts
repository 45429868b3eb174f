import { request as nodeRequest } from 'node:http';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type CanActivate, type ExecutionContext, Injectable, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { ClusterApi, GatewayApi, GatewayApiModule, GatewayHttpModule, HttpMetrics } from '@nestgate/worker';
import { waitUntil } from '@nestgate/testing';
import { HTTP_OPERATION_NAMES } from '../../../libs/worker/src/http/http-operations.js';
import { FRAMEWORKS, HttpGate, KEYS } from './http-support.js';

@Injectable()
class HeaderGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['x-let-me'] === 'in';
  }
}

const errorOf = (code: string) => ({ error: expect.objectContaining({ code }) });

describe.each(FRAMEWORKS)('the HTTP API on %s', framework => {
  let gate: HttpGate | undefined;
  const start = async (options?: Parameters<typeof HttpGate.start>[1]): Promise<HttpGate> =>
    (gate = await HttpGate.start(framework, options));

  afterEach(async () => {
    await gate?.close();
    gate = undefined;
    jest.restoreAllMocks();
  });

  it('pushes, and says how many clients that were when it was asked to', async () => {
    const { call, connect } = bound(await start());
    const [one, two] = [await connect(), await connect()];
    expect(await call('joinGroup', { clientIds: [one.clientId, two.clientId], groups: ['room'] })).toMatchObject({
      status: 200,
      body: {},
    });
    const message = { topic: 'chat/said', body: { text: 'ä' } };
    expect(await call('sendToGroup', { groups: ['room'], ...message, confirm: true })).toMatchObject({
      status: 200,
      body: { delivered: 2 },
    });
    const without = { groups: 'room', ...message, exclude: [two.clientId], confirm: true, partial: 'allow' };
    expect((await call('sendToGroup', without)).body).toEqual({ delivered: 1, missing: [] });
    expect((await call('sendToClient', { clientIds: two.clientId, ...message, confirm: true })).body).toEqual({
      delivered: 1,
    });
    expect((await call('sendToAll', { topic: 'chat/end', clientIds: [one.clientId] })).body).toEqual({});
    expect(await one.push('chat/said')).toEqual(message);
    expect(await one.push('chat/end')).toMatchObject({ topic: 'chat/end' });
    expect(two.pushes('chat/said')).toHaveLength(2);
  });

  it('binds, asks and closes', async () => {
    const { call, connect } = bound(await start());
    const client = await connect();
    const { clientId } = client;
    expect((await call('bindUid', { clientIds: clientId, uid: 'ann' })).body).toEqual({});
    expect((await call('updateSession', { clientId, settings: { a: { b: 1 } } })).body).toEqual({});
    expect((await call('updateSession', { clientId, settings: { a: { c: 2 } }, deep: true })).body).toEqual({});
    expect((await call('getSession', { clientId })).body).toEqual({ result: { a: { b: 1, c: 2 } } });
    expect((await call('getUidByClientId', { clientId })).body).toEqual({ result: 'ann' });
    expect((await call('isUidOnline', { uid: 'bob' })).body).toEqual({ result: false });
    expect((await call('getClientIdPage', { limit: 1 })).body).toEqual({
      result: { items: [clientId], cursor: clientId },
    });
    expect((await call('getAllUidList', { partial: 'allow' })).body).toEqual({ result: ['ann'], missing: [] });
    expect((await call('closeClient', { clientIds: clientId })).body).toEqual({ result: true });
    expect(await client.closed).toMatchObject({ code: 4002 });
    expect((await call('getSession', { clientId })).body).toEqual({ result: null });
  });

  it('runs a batch in order, each call with an answer of its own', async () => {
    const { call, connect } = bound(await start());
    const client = await connect();
    const pushes = Array.from({ length: 998 }, (_, n) => ({
      operation: 'sendToClient',
      args: { clientIds: client.clientId, topic: 'n/n', body: n },
    }));
    const answer = await call('batch', {
      calls: [
        ...pushes,
        { operation: 'nothing' },
        { operation: 'joinGroup', args: { clientIds: 'g.e.1', groups: 'x' } },
      ],
    });
    const { results } = answer.body as { results: readonly { status: number }[] };
    expect(answer.status).toBe(200);
    expect(results.slice(0, 998).every(({ status }) => status === 200)).toBe(true);
    expect(results.slice(998)).toEqual([
      { status: 404, ...errorOf('UNKNOWN_OPERATION') },
      { status: 404, ...errorOf('SESSION_NOT_FOUND') },
    ]);
    await waitUntil('all pushes', () => client.pushes('n/n').length >= 998);
    expect(client.pushes('n/n').map(({ body }) => body)).toEqual(pushes.map((_, n) => n));
    const many = Array.from({ length: 1_001 }, () => ({ operation: 'getAllUidCount' }));
    expect(await call('batch', { calls: many })).toMatchObject({ status: 400, body: errorOf('BAD_ARGUMENT') });
    expect(await call('batch', { calls: {} })).toMatchObject({ status: 400 });
    expect((await call('batch', { calls: [null, { operation: 'getAllUidCount', more: 1 }] })).body).toMatchObject({
      results: [{ status: 404 }, { status: 400 }],
    });
  });

  it.each([
    ['sendToGroup', { topic: 'a/b' }, 'sendToGroup: groups is missing'],
    ['sendToGroup', { groups: 'g', topic: '$gate/x' }, /Not a topic/],
    ['sendToGroup', { groups: '', topic: 'a' }, /must not be empty/],
    ['sendToGroup', { groups: 'g', topic: 'a', confirm: 'yes' }, /confirm must be one of true, false, received/],
    ['sendToGroup', { groups: 'g', topic: 'a', partial: 'maybe' }, /partial must be one of/],
    ['sendToGroup', { groups: 'g', topic: 'a', excldue: [] }, /does not take "excldue"/],
    ['sendToGroup', '{"groups":"g","topic":"a","__proto__":{"confirm":true}}', /does not take "__proto__"/],
    ['sendToGroup', [], /must be an object, but an array/],
    ['sendToGroup', '{"groups":', 'The body is not JSON'],
    ['isOnline', { clientId: 'x', deadlineMs: 60_001 }, /deadlineMs must be at most/],
    ['isOnline', { clientId: 'x', deadlineMs: '5' }, /deadlineMs must be a number/],
    ['getUidPage', { limit: 0 }, /limit/],
    ['setSession', { clientId: 'g.e.1', settings: [] }, /Settings must be an object/],
    ['expireClient', { clientIds: 'g.e.1', moment: 'now' }, /moment/],
    ['batch', '[', 'The body is not JSON'],
  ])('refuses %s of %j', async (name, body, message) => {
    const { call } = bound(await start());
    const answer = await call(name, body);
    expect(answer).toMatchObject({ status: 400, body: errorOf('BAD_ARGUMENT') });
    const { error } = answer.body as { error: { message: string } };
    if (typeof message === 'string') expect(error.message).toBe(message);
    else expect(error.message).toMatch(message);
  });

  it('refuses who has no valid key, or not the scope, before it reads the body', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const { call, request, metrics } = bound(await start());
    const path = '/nestgate/v1/getAllUidCount';
    const json = { 'content-type': 'application/json' };
    const anonymous = await request(path, { method: 'POST', headers: json, body: '{' });
    expect(anonymous).toMatchObject({ status: 401, body: errorOf('UNAUTHORIZED') });
    expect(anonymous.headers.get('www-authenticate')).toBe('Bearer realm="nestgate"');
    for (const authorization of [
      'Bearer wrong',
      'Bearer',
      'Basic YTpi',
      `Bearer ${KEYS[0]?.sha256}`,
      'Bearer too-old',
    ]) {
      expect(await call('getAllUidCount', {}, { authorization })).toMatchObject({ status: 401 });
    }
    const authorization = 'Bearer only-push';
    expect(await call('getAllUidCount', {}, { authorization })).toMatchObject({
      status: 403,
      body: errorOf('FORBIDDEN'),
    });
    expect(await call('revoke', { uids: 'u' }, { authorization })).toMatchObject({ status: 403 });
    expect(await call('sendToAll', { topic: 'a' }, { authorization })).toMatchObject({ status: 200 });
    const batch = { calls: [{ operation: 'sendToAll', args: { topic: 'a' } }, { operation: 'getAllUidCount' }] };
    expect((await call('batch', batch, { authorization })).body).toMatchObject({
      results: [{ status: 200 }, { status: 403 }],
    });
    expect(metrics.snapshot().refused).toEqual({ UNAUTHORIZED: 6, FORBIDDEN: 3 });
    const lines = warn.mock.calls.map(([line]) => String(line));
    expect(lines).toContain('push: revoke: refused');
    expect(lines.join()).toMatch(/its key is missing[^]*its key is unknown[^]*its key is expired/);
    expect(lines.join()).not.toMatch(/too-old|wrong/);
  });

  it('logs who changes sessions', async () => {
    const log = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
    const { call } = bound(await start());
    await call('ungroup', { groups: 'room' });
    expect(log.mock.calls.map(([line]) => line)).toContain('all: ungroup: 200');
  });

  it('answers other paths, methods and types as such', async () => {
    const { call, request } = bound(await start());
    const headers = { authorization: 'Bearer all-of-it', 'content-type': 'application/json' };
    for (const name of [
      'nothing',
      'sendToCurrentClient',
      'clientIds',
      '__proto__',
      'constructor',
      'batch/',
      'SENDTOALL',
      '%73endToAll',
      'a/../sendToAll%2f',
    ]) {
      expect(await request(`/nestgate/v1/${name}`, { method: 'POST', headers, body: '{}' })).toMatchObject({
        status: 404,
      });
    }
    for (const path of [
      '/NESTGATE/v1/getAllUidCount',
      '/nestgate//v1/getAllUidCount',
      '//nestgate/v1/getAllUidCount',
    ]) {
      expect((await request(path, { method: 'POST', headers, body: '{}' })).status).toBe(404);
    }
    const get = await request('/nestgate/v1/getAllUidCount', { headers });
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await call('getAllUidCount', {}, { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
    expect(await call('getAllUidCount', {}, { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 });
    expect(await call('getAllUidCount?x=1', '')).toMatchObject({ status: 200, body: { result: 0 } });
  });

  it('takes bodies up to 1 MiB, with and without a length', async () => {
    const { call, connect, gate: started } = bound(await start());
    const client = await connect();
    const rest = JSON.stringify({ topic: 'a/b', body: '' }).length;
    const ofSize = (bytes: number) => JSON.stringify({ topic: 'a/b', body: 'x'.repeat(bytes - rest) });
    expect(await call('sendToAll', ofSize(1024 * 1024))).toMatchObject({ status: 200 });
    expect(String((await client.push('a/b')).body).length).toBe(1024 * 1024 - rest);
    for (const chunked of [true, false]) {
      const status = await new Promise(resolve => {
        const request = nodeRequest(
          `${started.url}/nestgate/v1/sendToAll`,
          { method: 'POST', headers: { authorization: 'Bearer all-of-it', 'content-type': 'application/json' } },
          response => resolve(response.resume().statusCode),
        );
        request.on('error', resolve);
        if (chunked) request.write('{');
        request.end(ofSize(3 * 1024 * 1024));
      });
      expect(status).toBe(413);
    }
    expect(started.app.get(HttpMetrics).snapshot().refused).toEqual({ PAYLOAD_TOO_LARGE: 2 });
  });

  it('gives up on a body that does not come, and bounds the requests at once', async () => {
    const { gate: started, call } = bound(await start({ http: { keys: KEYS, maxConcurrent: 1, bodyTimeout: 300 } }));
    const slow = new Promise(resolve => {
      const request = nodeRequest(
        `${started.url}/nestgate/v1/sendToAll`,
        { method: 'POST', headers: { authorization: 'Bearer all-of-it', 'content-type': 'application/json' } },
        response => resolve(response.resume().statusCode),
      );
      request.on('error', resolve);
      request.write('{');
    });
    const metrics = started.app.get(HttpMetrics);
    while (metrics.snapshot().inFlight === 0) await new Promise(resolve => setImmediate(resolve));
    const refused = await call('getAllUidCount');
    expect(refused).toMatchObject({ status: 429, body: errorOf('RATE_LIMITED') });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await slow).toBe(408);
    while (metrics.snapshot().inFlight > 0) await new Promise(resolve => setImmediate(resolve));
    expect(await call('getAllUidCount')).toMatchObject({ status: 200 });
  });

  it('remembers answers by their Idempotency-Key', async () => {
    const { call, connect, metrics } = bound(await start());
    const client = await connect();
    const push = { clientIds: client.clientId, topic: 'a/b', body: 1, confirm: true };
    const headers = { 'idempotency-key': 'order-1' };
    const answers = await Promise.all([1, 2, 3].map(() => call('sendToClient', push, headers)));
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, body: { delivered: 1 } });
    expect(answers.filter(answer => answer.headers.get('idempotency-replayed') === 'true')).toHaveLength(2);
    expect(await call('sendToClient', { ...push, body: 2 }, headers)).toMatchObject({
      status: 422,
      body: errorOf('IDEMPOTENCY_KEY_REUSED'),
    });
    expect(await call('sendToAll', { topic: 'a/b' }, headers)).toMatchObject({ status: 422 });
    // Another caller has keys of its own.
    const other = { ...headers, authorization: 'Bearer only-push' };
    expect(await call('sendToClient', push, other)).toMatchObject({ status: 200, body: { delivered: 1 } });
    expect(await call('sendToAll', { topic: 'a/b' }, { 'idempotency-key': 'x'.repeat(257) })).toMatchObject({
      status: 400,
    });
    expect(client.pushes('a/b')).toHaveLength(2);
    expect(metrics.snapshot().replayed).toBe(2);
  });

  it('describes itself as a valid OpenAPI document', async () => {
    const { request } = bound(await start());
    const { status, body } = await request('/nestgate/v1/openapi.json');
    expect(status).toBe(200);
    const document = body as { paths: Record<string, unknown>; openapi: string };
    expect(await new Validator().validate(document)).toEqual({ valid: true });
    expect(document.openapi).toBe('3.1.0');
    const names = [...HTTP_OPERATION_NAMES, 'batch'].map(name => `/${name}`);
    expect(Object.keys(document.paths).sort()).toEqual(names.sort());
  });

  it('has an operation for each method of GatewayApi that resolves', async () => {
    const methods = new Set<string>();
    for (const { prototype } of [GatewayApi, ClusterApi] as readonly { prototype: object }[]) {
      for (let type = prototype; type !== Object.prototype; type = Object.getPrototypeOf(type) as object) {
        for (const name of Object.getOwnPropertyNames(type)) methods.add(name);
      }
    }
    expect(HTTP_OPERATION_NAMES.filter(name => !methods.has(name))).toEqual([]);
  });

  it('asks the guard of the application', async () => {
    const { call } = bound(await start({ http: { guard: HeaderGuard } }));
    expect((await call('getAllUidCount')).status).toBe(403);
    expect(await call('getAllUidCount', {}, { 'x-let-me': 'in' })).toMatchObject({ status: 200 });
    expect((await call('openapi.json')).status).toBe(405);
  });

  it('asks the guard beside the keys', async () => {
    const { call } = bound(await start({ http: { guard: HeaderGuard, keys: KEYS } }));
    expect((await call('getAllUidCount')).status).toBe(403);
    const headers = { 'x-let-me': 'in' };
    expect((await call('getAllUidCount', {}, { ...headers, authorization: 'Bearer no' })).status).toBe(401);
    expect((await call('getAllUidCount', {}, headers)).status).toBe(200);
  });

  it('is behind a global prefix, and at a path of its own', async () => {
    const { request } = bound(
      await start({ http: { keys: KEYS, path: '/ops' }, setup: app => app.setGlobalPrefix('api') }),
    );
    const init = {
      method: 'POST',
      headers: { authorization: 'Bearer all-of-it', 'content-type': 'application/json' },
      body: '{}',
    };
    expect((await request('/api/ops/getAllUidCount', init)).status).toBe(200);
    expect((await request('/ops/getAllUidCount', init)).status).toBe(404);
  });

  it('without keys and a guard, works on loopback only', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    await expect(start({ http: {}, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringMatching(/keys.*guard.*loopback/),
    });
    const { call, request } = bound(await start({ http: {} }));
    expect(warn.mock.calls.join()).toMatch(/no keys and no guard: every program on this host/);
    const none = { authorization: '' };
    expect(await call('getAllUidCount', {}, none)).toMatchObject({ status: 200 });
    const forged: readonly Record<string, string>[] = [
      { 'x-forwarded-for': '10.0.0.1' },
      { forwarded: 'for=1.2.3.4' },
      { origin: 'http://evil.test' },
    ];
    for (const headers of forged) {
      expect(await call('getAllUidCount', {}, { ...none, ...headers })).toMatchObject({ status: 403 });
    }
    const rebound = await new Promise(resolve => {
      const post = nodeRequest(
        `${gate?.url}/nestgate/v1/getAllUidCount`,
        { method: 'POST', headers: { host: 'evil.test', 'content-type': 'application/json' } },
        response => resolve(response.resume().statusCode),
      );
      post.end('{}');
    });
    expect(rebound).toBe(403);
    expect((await request('/nestgate/v1/openapi.json')).status).toBe(200);
  });
});

describe('the HTTP API', () => {
  it.each([
    [{ keys: [{ name: 'a', sha256: 'secret', scopes: ['push'] }] }, /keys\[0\]\.sha256 must be 64 hexadecimal digits/],
    [{ keys: [{ name: 'a b', sha256: '0'.repeat(64), scopes: ['push'] }] }, /keys\[0\]\.name/],
    [{ keys: [{ name: 'a', sha256: '0'.repeat(64), scopes: [] }] }, /keys\[0\]\.scopes/],
    [{ keys: [{ name: 'a', sha256: '0'.repeat(64), scopes: ['all'] }] }, /keys\[0\]\.scopes/],
    [
      { keys: [{ name: 'a', sha256: '0'.repeat(64), scopes: ['push'], scope: 1 }] },
      /unknown option "keys\[0\]\.scope"/,
    ],
    [{ keys: {} }, /keys must be an array/],
    [{ maxConcurrent: 0 }, /maxConcurrent/],
    [{ path: '/a/../b' }, /path/],
    [{ path: 'ops' }, /path/],
    [{ path: '/' }, /path/],
    [{ kyes: [] }, /unknown option "kyes"; did you mean "keys"/],
  ])('does not start with %j', async (options, message) => {
    const error = await HttpGate.start('express', { http: options as never }).then(
      async gate => gate.close(),
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', message: expect.stringMatching(message) });
    expect((error as Error).message).not.toMatch(/secret/);
  });

  it('answers 503 with Retry-After while no gate is there', async () => {
    const imports = [
      GatewayApiModule.forRoot({ gateWait: 0 }),
      GatewayHttpModule.forRootAsync({ useFactory: () => ({ keys: KEYS }), path: '/v1' }),
    ];
    class ServiceModule {}
    const app = await NestFactory.create({ module: ServiceModule, imports }, { logger: false });
    try {
      await app.listen(0, '127.0.0.1');
      const { port } = app.getHttpServer().address() as { port: number };
      const response = await fetch(`http://127.0.0.1:${port}/v1/getAllUidCount`, {
        method: 'POST',
        headers: { authorization: 'Bearer all-of-it', 'content-type': 'application/json' },
        body: '{}',
      });
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await response.json()).toEqual(errorOf('LINK_UNAVAILABLE'));
    } finally {
      await app.close();
    }
  });
});

function bound(gate: HttpGate) {
  return {
    gate,
    call: gate.call.bind(gate),
    request: gate.request.bind(gate),
    connect: gate.connect.bind(gate),
    metrics: gate.app.get(HttpMetrics, { strict: false }),
  };
}
