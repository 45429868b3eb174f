import { copyFileSync, cpSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeClient, waitUntil } from '@nestgate/testing';
import { OutsideApp } from './support/outside-app.js';
import { installedVersion, OutsideProject, REPOSITORY } from './support/outside-project.js';

/** What this repository has installed itself. */
const OWN = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@nestjs/platform-fastify',
  '@nestjs/platform-ws',
  '@nestjs/testing',
  '@nestjs/throttler',
  '@nestjs/websockets',
  '@types/node',
  '@types/ws',
  'reflect-metadata',
  'rxjs',
  'typescript',
  'ws',
];
/** All accept Nest 12 as a peer. `nestjs-pino` has no release for Nest 12 that names Node 20; it runs there all the same. */
const NEIGHBOURS = {
  '@apollo/server': '^5.5.1',
  '@as-integrations/express5': '^1.1.2',
  '@fastify/cookie': '^11.1.5',
  '@fastify/session': '^11.1.3',
  '@nestjs/apollo': '^14.0.3',
  '@nestjs/graphql': '^14.0.3',
  '@nestjs/passport': '^12.0.0',
  '@nestjs/platform-socket.io': '^12.1.1',
  '@nestjs/schedule': '^12.0.2',
  '@types/express-session': '^1.18.2',
  '@types/passport': '^1.0.17',
  '@types/passport-local': '^1.0.38',
  'express-session': '^1.19.0',
  graphql: '^16.15.0',
  'graphql-ws': '^6.4.2',
  // The newest one that runs on Node 20.
  'nestjs-cls': '^6.3.1',
  'nestjs-pino': '^5.2.1',
  passport: '^0.7.0',
  'passport-local': '^1.0.0',
  pino: '^10.4.0',
  'pino-http': '^11.0.0',
  'socket.io-client': '^4.8.4',
};
const FOLDER = 'neighbours';
/** Examples of the docs, as `docs/gate.md` and `docs/worker.md` show them. */
const RECIPES = {
  recipe: 'gate/support/gate-examples-sessions',
  'throttling-recipe': 'topics/support/worker-examples-throttling',
};

interface Note {
  readonly before: string | null;
  readonly id?: string;
  readonly client?: string;
  readonly note?: string;
}

describe('beside modules that Nest apps use', () => {
  let project: OutsideProject;
  let app: OutsideApp;
  const clients: FakeClient[] = [];

  beforeAll(async () => {
    project = await OutsideProject.create();
    const own = Object.fromEntries(OWN.map(name => [name, installedVersion(name)]));
    await project.install('npm', { ...own, ...NEIGHBOURS });
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      skipLibCheck: true,
      types: ['node'],
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      rootDir: 'src',
      outDir: 'dist',
    };
    project.write(`${FOLDER}/package.json`, { name: FOLDER, private: true, type: 'module' });
    project.write(`${FOLDER}/tsconfig.json`, { compilerOptions, include: ['src'] });
    const src = join(project.root, FOLDER, 'src');
    cpSync(join(REPOSITORY, 'test/outside/neighbours'), src, { recursive: true });
    for (const [to, from] of Object.entries(RECIPES)) {
      copyFileSync(join(REPOSITORY, `test/e2e/${from}.ts`), join(src, `${to}.ts`));
    }
    await project.bin('tsc', ['-p', 'tsconfig.json'], FOLDER);
  }, 400_000);

  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.terminate();
    await project.endAll();
  });
  afterAll(() => project?.remove());

  async function start(file: string, env: Record<string, string> = {}): Promise<void> {
    app = await OutsideApp.start(project, FOLDER, ['--no-warnings', `dist/${file}.js`], env);
  }

  async function connect(headers: Record<string, string> = {}, query = ''): Promise<FakeClient> {
    const client = await FakeClient.connect(`${app.url}${query}`, { headers });
    clients.push(client);
    return client;
  }

  /** Ends the app in order: with the signal, since nothing else keeps it or fails. */
  async function stop(): Promise<void> {
    expect(await app.stop()).toBe('SIGTERM');
  }

  const http = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${app.port}/${path}`, init);

  const post = (path: string, body: object = {}, cookie = ''): Promise<Response> =>
    http(path, { method: 'POST', headers: { 'content-type': 'application/json', cookie }, body: JSON.stringify(body) });

  /** The cookie that a route sets. */
  async function cookieOf(path: string, body: object): Promise<string> {
    const response = await post(path, body);
    expect(response.status).toBe(201);
    const [cookie = ''] = response.headers.getSetCookie();
    return cookie.slice(0, cookie.indexOf(';'));
  }

  /** With what a handshake is refused. */
  function refusal(headers: Record<string, string>, path = '/gate'): Promise<{ status?: number; body: unknown }> {
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    };
    return new Promise((done, fail) => {
      const asked = request({ port: app.port, host: '127.0.0.1', path, headers: { ...upgrade, ...headers } });
      asked.on('error', fail);
      asked.on('upgrade', (_response, socket) => {
        socket.destroy();
        fail(new Error('The handshake was accepted'));
      });
      asked.on('response', response => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => done({ status: response.statusCode, body: JSON.parse(body) as unknown }));
      });
      asked.end();
    });
  }

  const tampered = (cookie: string): string => cookie.replace(/.(?=.{3}$)/, each => (each === 'A' ? 'B' : 'A'));

  it('express-session and Passport: the cookie of a login lets a WebSocket client in', async () => {
    await start('sessions-express');
    expect((await post('login', { username: 'ada', password: 'wrong' })).status).toBe(401);
    const cookie = await cookieOf('login', { username: 'ada', password: 'secret' });

    const ada = await connect({ cookie });
    expect(await ada.request('me')).toEqual({ userId: 'ada' });
    // `@OnConnect` has seen the user too.
    expect(await ada.request('me/settings')).toEqual({ seenAs: 'ada' });

    expect(await refusal({})).toEqual({ status: 403, body: { refused: 403 } });
    expect(await refusal({ cookie: tampered(cookie) })).toEqual({ status: 403, body: { refused: 403 } });
    // express-session ends a response when the session has been stored: the answer of the filter comes later, and whole.
    expect(await refusal({ cookie }, '/gate?as=teapot')).toEqual({ status: 418, body: { refused: 418 } });
    // A middleware that answers and does not go on.
    expect(await refusal({ cookie, 'user-agent': 'robot' })).toEqual({ status: 429, body: { by: 'middleware' } });

    expect(await (await post('logout', {}, cookie)).json()).toEqual({ closed: 1 });
    expect(await ada.closed).toMatchObject({ code: 1008 });
    expect(await refusal({ cookie })).toMatchObject({ status: 403 });
    await stop();
  });

  it('@fastify/session and signed cookies: those of a login let a WebSocket client in', async () => {
    await start('sessions-fastify');
    const cookie = await cookieOf('login', { username: 'ada' });
    expect(await (await connect({ cookie })).request('me')).toEqual({ userId: 'ada' });
    expect(await refusal({})).toMatchObject({ status: 401 });
    expect(await refusal({ cookie: tampered(cookie) })).toMatchObject({ status: 401 });

    const remembered = await cookieOf('remember', { username: 'bob' });
    expect(await (await connect({ cookie: remembered })).request('me')).toEqual({ userId: 'bob' });
    expect(await refusal({ cookie: tampered(remembered) })).toMatchObject({ status: 401 });
    expect(await refusal({ cookie: 'remembered=bob' })).toMatchObject({ status: 401 });
    await stop();
  });

  describe('@nestjs/throttler', () => {
    const from = (ip: string): Promise<FakeClient> => connect({ 'x-forwarded-for': ip });
    const outcome = async (client: FakeClient, body?: unknown): Promise<unknown> =>
      (await client.exchange('limited/do', body)).error?.code ?? 'done';

    it('counts routes, handshakes and topics of each address with the recipe of the docs', async () => {
      await start('throttler', { LIMIT: '1' });
      const [a, b] = [await from('203.0.113.1'), await from('203.0.113.2')];
      expect([await outcome(a, { ip: 'x' }), await outcome(a, { ip: 'y' })]).toEqual(['done', 'RATE_LIMITED']);
      expect([await outcome(b), await outcome(b)]).toEqual(['done', 'RATE_LIMITED']);
      expect(await refusal({ 'x-forwarded-for': '203.0.113.1' })).toMatchObject({ status: 429 });
      expect([(await http('limited')).status, (await http('limited')).status]).toEqual([200, 429]);
      expect(app.output).not.toContain('ThrottlerGuard');
      await stop();
    });

    it('as it is warns at start, and lets no client use up what another one has', async () => {
      await start('throttler', { LIMIT: '1', GUARD: 'stock' });
      expect(app.output.match(/The global ThrottlerGuard counts topics by what clients send/g)).toHaveLength(1);
      const [a, b] = [await from('203.0.113.1'), await from('203.0.113.2')];
      // What it counts by is not in the body: it fails, and lets nobody share.
      expect([await outcome(a), await outcome(b)]).toEqual(['INTERNAL', 'INTERNAL']);
      expect([(await http('limited')).status, (await http('limited')).status]).toEqual([200, 429]);
      await stop();
    });
  });

  describe.each(['guard', 'interceptor'])('nestjs-cls, set up by its %s', by => {
    it('has a context for each route and topic, beside others and after awaits', async () => {
      await start('cls', { BY: by });
      const [ada, bob] = [await connect(), await connect()];
      const all = await Promise.all([
        ada.request<Note>('note', { note: 'a1', ms: 60 }),
        ada.request<Note>('note', { ms: 10 }),
        ada.request<Note>('note/beside', { note: 'a2', ms: 40 }),
        ada.request<Note>('note/beside', { ms: 5 }),
        bob.request<Note>('note', { note: 'b1', ms: 30 }),
        bob.request<Note>('note/beside', { note: 'b2', ms: 20 }),
        http('note?note=h1').then(response => response.json() as Promise<Note>),
        http('note?note=h2').then(response => response.json() as Promise<Note>),
      ]);
      expect(all.map(({ before, client, note }) => [before, client, note])).toEqual([
        [null, ada.clientId, 'a1'],
        [null, ada.clientId, undefined],
        [null, ada.clientId, 'a2'],
        [null, ada.clientId, undefined],
        [null, bob.clientId, 'b1'],
        [null, bob.clientId, 'b2'],
        [null, undefined, 'h1'],
        [null, undefined, 'h2'],
      ]);
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
      await stop();
    });
  });

  it('@nestjs/schedule: jobs push, and do not keep a closed app', async () => {
    await start('schedule');
    const client = await connect();
    await client.push('jobs/second');
    const ticks = client.pushes('jobs/tick').map(({ body }) => (body as { tick: number }).tick);
    expect(ticks.length).toBeGreaterThan(2);
    expect(ticks).toEqual(ticks.map((_, at) => (ticks[0] as number) + at));
    expect(await app.stop('SIGUSR2')).toBe(0);
    expect(app.output).toContain('closed');
    expect(app.output).not.toMatch(/ERROR|WARN/);
    expect(await client.closed).toMatchObject({ code: 1012 });
  });

  it.each(['pino', 'console'])('JSON lines: %s', async logger => {
    await start('loggers', { LOGGER: logger });
    const client = await connect();
    expect((await client.exchange('fail')).error?.code).toBe('INTERNAL');
    const lines = () =>
      app.output
        .split('\n')
        .filter(line => line !== '' && !line.startsWith('listening on'))
        .map(line => JSON.parse(line) as Record<string, unknown>);
    await waitUntil('the error', () => app.output.includes('RangeError'));
    const started = lines().find(line => line['context'] === 'WsAcceptor');
    const text = logger === 'pino' ? 'msg' : 'message';
    expect(started).toMatchObject({ [text]: `WebSocket clients at ws://127.0.0.1:${app.port}/gate` });
    const failed = lines().find(line => JSON.stringify(line).includes('RangeError'));
    expect(failed).toMatchObject({
      context: 'GateTransport',
      level: logger === 'pino' ? 50 : 'error',
      [text]: expect.stringMatching(/^fail: RangeError: It broke/),
    });
    const withStack = logger === 'pino' ? failed?.['err'] : failed;
    expect(withStack).toMatchObject({ stack: expect.stringContaining('at Failing.fail') });
    const contexts = new Set(lines().map(({ context }) => context));
    expect([...contexts]).toEqual(expect.arrayContaining(['Gate', 'GateTransport', 'NestgateNode', 'WsAcceptor']));
    await stop();
  });

  describe('other endpoints on the port of the gate', () => {
    const expected: Record<string, object> = {
      io: {
        websocket: { by: 'socket.io', body: 1 },
        'polling,websocket': { by: 'socket.io', body: 1 },
      },
      ws: { ws: { event: 'echo', data: { by: 'ws', body: 2 } } },
      graphql: {
        query: { data: { hello: 'hello' } },
        subscription: { data: { said: 'by a topic' } },
        mutation: { data: { say: true } },
        push: { topic: 'said', body: 'by a mutation' },
      },
    };

    it.each([
      // Apollo ends the connections of the HTTP server before the gate is asked, unless it is told to do so later.
      ['graphql,io', 'early', 1006],
      ['graphql,io', 'late', 1012],
      ['ws', '', 1012],
      ['graphql,io,ws', 'late', 1012],
    ])('%s %s', async (which, stopsApollo, code) => {
      await start('endpoints', { WITH: which, STOP: stopsApollo });
      const both = [await connect(), await connect()];
      const { output } = await project.node(['dist/clients.js', String(app.port), which], FOLDER);
      expect(JSON.parse(output)).toEqual(Object.assign({}, ...which.split(',').map(each => expected[each])));
      for (const client of both) expect(await client.request('say', 'still here')).toBe('still here');
      await stop();
      for (const client of both) expect(await client.closed).toMatchObject({ code });
      const warnings = app.output.match(/2 of 2 clients were cut \(1006\).*stopOnApplicationShutdown/g);
      expect(warnings?.length ?? 0).toBe(code === 1006 ? 1 : 0);
    });
  });
});
