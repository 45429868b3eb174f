import { afterEach, describe, expect, it } from '@jest/globals';
import type { DynamicModule, INestApplication, Type } from '@nestjs/common';
import {
  Delegater,
  Gate,
  GateModule,
  HandshakeHandler,
  RecvPackHandler,
  RouteHandler,
  SendMessageHook,
  StorageHandler,
  WorkerChoice,
} from '@nestgate/gate';
import { BinaryClient, createTestCluster, FakeClient, jsonOf, UpgradeRefused, waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import * as examples from './support/gate-examples.js';
import * as auth from './support/gate-examples-auth.js';
import * as sessions from './support/gate-examples-sessions.js';
import * as wires from './support/gate-examples-wire.js';
import { LineClient } from './support/gate-lines-support.js';
import { outcomes, Script, ScriptTopics, Stage } from '../support/gate-support.js';
import { createCertificate } from './support/gate-tls-support.js';
import { portOf, startApp } from '../../support/start-app.js';

const opened: { close(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

async function start(
  module: DynamicModule | Type,
  setup: (app: INestApplication) => void = () => undefined,
): Promise<{ app: INestApplication; port: number; gate: Gate }> {
  const prepare = (app: INestApplication): void => {
    opened.push(app);
    setup(app);
    app.get(Script).run = (_session, body) => body;
  };
  const metadata = { imports: [module], controllers: [ScriptTopics], providers: [Script] };
  const app = await startApp(metadata, { handles: true, prepare });
  return { app, port: portOf(app), gate: app.get(Gate) };
}

async function stageOf(providers: NonNullable<Parameters<typeof Stage.open>[1]>['providers']): Promise<Stage> {
  const stage = await Stage.open(1, { providers });
  opened.push(stage);
  return stage;
}

async function connect(port: number, path = '/gate'): Promise<FakeClient> {
  const client = await FakeClient.connect(`ws://127.0.0.1:${port}${path}`);
  opened.push({ close: () => client.close() });
  return client;
}

describe('the examples of docs/gate.md work', () => {
  it('Options, Gate, Delegater and Session', async () => {
    const { port, gate } = await start(examples.ChatApp);
    const get = async (path: string, method = 'GET'): Promise<unknown> =>
      (await fetch(`http://127.0.0.1:${port}/${path}`, { method })).json();
    const client = await connect(port, '/chat');
    expect(await get('ready')).toEqual({ clients: 1, of: gate.options.maxConnections });
    expect(await get('clients')).toEqual([client.clientId]);
    expect(await get(`clients/${client.clientId}/mute`, 'POST')).toMatchObject({ settings: { muted: true } });
    expect((await client.push('chat/muted')).body).toEqual({ by: 'a moderator' });
    expect(await client.request('cart/add', 'tea')).toEqual(['tea']);
    expect(await client.request('cart/add', 'milk')).toEqual(['tea', 'milk']);
    expect((await client.push('cart/changed', ({ count }: { count: number }) => count === 2)).body).toBeDefined();
    const login = await client.request<{ settings: object }>('cart/login', '42');
    expect(login).toMatchObject({ user: '42', number: '42', settings: { cart: ['tea', 'milk'], currency: 'EUR' } });
  });

  it('parts: AgentLearner and SessionLearner', async () => {
    const { app, port } = await start(examples.partsGate);
    const log = app.get(examples.ConnectionLog, { strict: false });
    const [stays, leaves] = [await connect(port), await connect(port)];
    expect((await leaves.push('server/motd')).body).toBe('Be kind.');
    await leaves.request('script/run');
    leaves.socket.close(1000);
    expect((await stays.push('lobby/left')).body).toEqual({ userId: '', code: 1000 });
    expect(log.lines).toEqual([expect.stringMatching(/^127\.0\.0\.1: 1 in, 3 out, \d+ ms, 1000$/)]);
  });

  it('ClientAgent', async () => {
    const { app, port, gate } = await start(examples.configuredGate);
    const [talks, silent] = [await connect(port), await connect(port)];
    await talks.request('script/run');
    await waitUntil('both to be welcomed', () => [...gate.delegater.sessions()].every(agent => agent.isShaked));
    const idle = new examples.IdleClients(app.get(Delegater));
    idle.close(60_000);
    idle.close(0);
    expect(await silent.closed).toEqual({ code: 4100, reason: 'nothing to say?' });
    expect(await talks.request('script/run', 1)).toBe(1);
  });

  it('StorageHandler and forgetting', async () => {
    const stage = await stageOf([{ provide: StorageHandler, useClass: examples.UserTable }]);
    const { delegater } = stage;
    const [one, two] = [await stage.cluster.connect(), await stage.cluster.connect()];
    await delegater.bind(one.clientId, 'ada');
    await delegater.push(one.clientId, { a: 1, b: 2 });
    await delegater.del(one.clientId, 'a');
    expect((await delegater.bind(two.clientId, 'ada')).cloneSettings()).toEqual({ b: 2 });
    await stage.cluster.api.setSession(two.clientId, { c: 3 });
    await delegater.unbind(one.clientId);
    await delegater.bind((await stage.cluster.connect()).clientId, 'ada');
    await new examples.Privacy(delegater).forget('ada');
    const last = await delegater.bind((await stage.cluster.connect()).clientId, 'ada');
    expect(last.cloneSettings()).toEqual({});
  });

  it('redis: a storage that cannot be reached refuses to bind', async () => {
    process.env['REDIS_URL'] = 'redis://127.0.0.1:1';
    const stage = await stageOf([examples.redisStorage]);
    delete process.env['REDIS_URL'];
    const { clientId } = await stage.cluster.connect();
    expect(await outcomes([stage.delegater.bind(clientId, 'ada')])).toEqual(['STORAGE_UNAVAILABLE']);
  });

  it('RouteHandler, SendMessageHook, RecvPackHandler and Pack', async () => {
    const stage = await stageOf([
      { provide: RouteHandler, useClass: examples.MuteRoute },
      { provide: SendMessageHook, useClass: examples.Visibility },
      { provide: RecvPackHandler, useClass: examples.ServerTime },
    ]);
    const { delegater } = stage;
    const [ada, bob] = [await stage.cluster.connect(), await stage.cluster.connect()];
    await delegater.bind(ada.clientId, 'ada');
    await delegater.set(bob.clientId, 'role', 'staff');
    await delegater.set(ada.clientId, 'muted', true);
    examples.ask(ada.socket, 'chat/say', 'hi', 7);
    expect((await ada.answer(7)).error).toMatchObject({ code: 'FORBIDDEN', message: 'You are muted' });
    expect(await bob.exchange('chat/say', '')).toMatchObject({ body: null });
    expect(await bob.request('time/now')).toEqual({ now: expect.any(Number) });
    await stage.cluster.api.sendToAll('staff/news', 1);
    await stage.cluster.api.sendToAll('chat/said', { from: 'ada' });
    expect((await ada.push('chat/said')).body).toEqual({ from: 'ada', mine: true });
    expect((await bob.push('chat/said')).body).toEqual({ from: 'ada', mine: false });
    expect([ada, bob].map(client => client.pushes('staff/news').length)).toEqual([0, 1]);
  });

  it('WorkerChoice', async () => {
    const stage = await stageOf([{ provide: WorkerChoice, useClass: examples.RegionFirst }]);
    const client = await stage.cluster.connect();
    const session = await stage.delegater.set(client.clientId, 'region', 'eu');
    const workers = ['eu-1', 'us-1', 'eu-2'].map(id => ({ id, clients: 0, requests: 0, delayMs: 0 }));
    const question = { session, workers, topic: 'a/b', module: 'a', current: undefined };
    expect(new examples.RegionFirst().choose(question)).toBe('eu-1');
    expect(new examples.RegionFirst().choose({ ...question, workers: [] })).toBeUndefined();
    // No worker of this cluster is near, and all the same its frames arrive.
    expect(await client.request('script/note', 1)).toBe(1);
  });

  it('HandshakeHandler', async () => {
    const stage = await stageOf([{ provide: HandshakeHandler, useClass: examples.TokenHandshake }]);
    await expect(stage.cluster.connect()).rejects.toMatchObject(new UpgradeRefused(401));
    const root = await stage.cluster.connect({ headers: { cookie: 'token=root' } });
    await stage.cluster.connect({ path: '?token=ada' });
    expect(await stage.cluster.api.getAllUidList()).toEqual(['root', 'ada']);
    const session = await stage.delegater.load(root.clientId);
    expect([session.get('role'), session.userData]).toEqual(['staff', { token: 'root' }]);
  });

  it('expiry', async () => {
    const tickets = new auth.Tickets();
    const cluster = await createTestCluster({
      handlers: { controllers: [auth.TicketTopics], providers: [{ provide: auth.Tickets, useValue: tickets }] },
      gate: {
        providers: [
          { provide: HandshakeHandler, useClass: auth.TicketHandshake },
          { provide: auth.Tickets, useValue: tickets },
        ],
      },
    });
    opened.push(cluster);
    const now = Date.now();
    const ticket = (user: string, ms: number) => ({ user, issuedAt: now, expiresAt: now + ms });
    tickets.known.set('short', ticket('ada', 3_000));
    tickets.known.set('longer', ticket('ada', 60_000));
    tickets.known.set('over', ticket('ada', -1));
    tickets.known.set('foreign', ticket('bob', 60_000));
    const connect = (authorization: string) => cluster.connect({ headers: { authorization } });
    await expect(connect('over')).rejects.toMatchObject(new UpgradeRefused(401));
    const [renewed, left] = [await connect('short'), await connect('short')];
    expect(await renewed.request('tickets/renew', { ticket: 'longer' })).toEqual({ expiresAt: now + 60_000 });
    expect((await left.exchange('tickets/renew', { ticket: 'foreign' })).error?.code).toBe('FORBIDDEN');
    expect((await left.exchange('tickets/renew', { ticket: 'over' })).error?.code).toBe('UNAUTHORIZED');
    expect(await left.closed).toEqual({ code: 1008, reason: 'auth expired' });
    expect((await renewed.exchange('$gate/ping')).body).toBeNull();
  });

  it('express sessions', async () => {
    /** In place of a session's middleware, and of Passport's. */
    const read = (request: { get(name: string): string; session: unknown }, _: unknown, next: () => void) => {
      request.session = request.get('cookie');
      setImmediate(next);
    };
    const login = (request: { session?: string; user: unknown }, _: unknown, next: (error?: unknown) => void) => {
      if (request.session === 'sid=broken') return next(new Error('The store is out of reach'));
      if (request.session !== undefined) request.user = { id: request.session };
      next();
    };
    const { port, gate } = await start(sessions.sessionGate(read, login));
    const connect = (cookie?: string) =>
      FakeClient.connect(`ws://127.0.0.1:${port}/gate`, cookie === undefined ? {} : { headers: { cookie } });
    const client = await connect('sid=ada');
    expect((await gate.delegater.load(client.clientId)).userId).toBe('sid=ada');
    await client.close();
    await expect(connect()).rejects.toMatchObject(new UpgradeRefused(401));
    await expect(connect('sid=broken')).rejects.toMatchObject(new UpgradeRefused(500));
  });

  it('fastify sessions', async () => {
    const module = GateModule.forRoot({
      providers: [{ provide: HandshakeHandler, useClass: sessions.FastifySessionHandshake }],
    });
    const { port, gate } = await start(module, app => {
      /** In place of the one of `@fastify/session`. */
      const decryptSession = (cookie: string, request: { session: unknown }, done: () => void) => {
        request.session = cookie === '' ? {} : { user: { id: cookie } };
        setImmediate(done);
      };
      Object.assign(app.getHttpAdapter().getInstance() as object, { decryptSession });
    });
    const connect = (cookie: string) => FakeClient.connect(`ws://127.0.0.1:${port}/gate`, { headers: { cookie } });
    const client = await connect('sessionId=ada');
    expect((await gate.delegater.load(client.clientId)).userId).toBe('ada');
    await client.close();
    await expect(connect('other=ada')).rejects.toMatchObject(new UpgradeRefused(401));
  });

  it('async options', async () => {
    const { gate } = await start(examples.configuredGate);
    expect(gate.options).toMatchObject({ maxGroups: 16, overTime: 5_000 });
  });

  it('custom codec', async () => {
    const { gate } = await start(wires.lineGate);
    const client = await LineClient.connect(gate.tcpPort as number);
    expect(await client.exchange('script/run', { n: 1 }, 1)).toEqual({ id: 1, body: { n: 1 } });
    expect((await client.exchange('script/none', 1, 2)).error?.code).toBe('NO_HANDLER');
    client.socket.write('not json\n');
    expect(await waitUntil('an error', () => client.frames.find(frame => frame.id === 0))).toMatchObject({
      error: { code: 'BAD_FRAME' },
    });
    client.close();
  });

  it('tcp, tls and encryptKey', async () => {
    const devices = (await start(wires.deviceGate)).gate;
    const device = await BinaryClient.overTcp(devices.tcpPort as number, { codec: 'frame' });
    expect(jsonOf({ body: await device.request('script/run', [1]) })).toEqual([1]);
    const certificate = createCertificate('localhost');
    const secure = (await start(wires.secureGate(certificate.certFile, certificate.keyFile))).gate;
    const overTls = await BinaryClient.overTcp(secure.tcpPort as number, { tls: { rejectUnauthorized: false } });
    overTls.send('script/run', '"over tls"');
    expect(jsonOf(await overTls.push('script/run'))).toBe('over tls');
    const wss = new WebSocket(`wss://127.0.0.1:${secure.wsPort}/gate`, { rejectUnauthorized: false });
    const texts: string[] = [];
    wss.on('open', () => examples.ask(wss, 'script/run', 'wss', 1));
    wss.on('message', data => texts.push((data as Buffer).toString()));
    await waitUntil('the reply', () => texts.includes('{"id":1,"body":"wss"}'));
    certificate.remove();
    const sealed = (await start(wires.sealedGate)).gate;
    const { encryptKey } = sealed.options;
    const client = await BinaryClient.overTcp(sealed.tcpPort as number, { encryptKey });
    client.send('script/run', '"sealed"');
    expect(jsonOf(await client.push('script/run'))).toBe('sealed');
    for (const each of [device, overTls, client]) each.destroy();
    wss.terminate();
  });

  it('login and limits', async () => {
    const { port, gate } = await start(wires.oneLoginGate);
    const [older, newer] = [await connect(port), await connect(port)];
    for (const { clientId } of [older, newer]) await gate.delegater.bind(clientId, 'ada');
    expect((await older.closed).code).toBe(4001);
    const small = await start(wires.smallGate);
    const clients = [await connect(small.port), await connect(small.port)];
    await expect(connect(small.port)).rejects.toMatchObject(new UpgradeRefused(429));
    const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => clients[0]?.exchange('script/run', n)));
    expect(answers.filter(answer => answer?.error?.code === 'RATE_LIMITED').length).toBeGreaterThanOrEqual(10);
  });
});
