import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BinaryClient,
  type FakeClient,
  type FakeClientOptions,
  freePort,
  jsonOf,
  UpgradeRefused,
  waitUntil,
} from '@nestgate/testing';
import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { type AppName, AppProcess } from '../support/app-process.js';

const SECRET = 'a secret that only the issuer knows, and the apps';
const ENV = { NESTGATE_JWT_SECRET: SECRET, NESTGATE_JWT_ISSUER: 'tests', LOG_LEVEL: 'verbose' };

/** Signs as the issuer would; `seconds` until it expires. */
function tokenOf(sub: string, seconds = 600, more: JWTPayload = {}, secret = SECRET): Promise<string> {
  const now = Date.now() / 1_000;
  return new SignJWT({ sub, iss: 'tests', iat: Math.floor(now), exp: now + seconds, ...more })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
}

const bearer = (token: string): FakeClientOptions => ({ headers: { authorization: `Bearer ${token}` } });

describe('the example apps with tokens', () => {
  const processes: AppProcess[] = [];
  /** Every token that a test has shown: none of them may be in an output. */
  const shown: string[] = [];

  afterEach(async () => {
    const ended = processes.splice(0);
    await Promise.all(ended.map(process => process.end()));
    for (const { output } of ended) for (const text of [SECRET, ...shown]) expect(output).not.toContain(text);
    shown.length = 0;
  });

  async function start(env: NodeJS.ProcessEnv = {}, name: AppName = 'chat'): Promise<AppProcess> {
    const app = await AppProcess.start({ ...ENV, ...env }, name);
    processes.push(app);
    return app;
  }

  async function token(...args: Parameters<typeof tokenOf>): Promise<string> {
    const text = await tokenOf(...args);
    shown.push(text);
    return text;
  }

  const whoAmI = async (client: FakeClient) => (await client.request<{ userId: string }>('session/get')).userId;

  it('let in who has a good one, in a header or as a subprotocol', async () => {
    const app = await start();
    const good = await token('ada', 600, { roles: ['staff'] });
    const byHeader = await app.connect(bearer(good));
    const byProtocol = await app.connect({ protocols: ['gate.json', `bearer.${good}`] });
    expect(byProtocol.socket.protocol).toBe('gate.json');
    for (const client of [byHeader, byProtocol]) {
      expect(await client.request('session/get')).toMatchObject({ userId: 'ada', settings: { roles: ['staff'] } });
    }
  });

  it('answer everybody else with 401, and do not say why', async () => {
    const app = await start();
    const good = await token('ada');
    const refused: FakeClientOptions[] = [
      {},
      bearer(await token('ada', -1)),
      bearer(await token('ada', 600, { iss: 'others' })),
      bearer(await token('ada', 600, { nbf: Date.now() / 1_000 + 600 })),
      bearer(await token('ada', 600, {}, `${SECRET}!`)),
      bearer(await token('')),
      bearer(new UnsecuredJWT({ sub: 'ada', iss: 'tests', exp: 4e9 }).encode()),
      bearer(''),
      { headers: { authorization: `Basic ${good}` } },
      { headers: { authorization: good } },
      { protocols: ['gate.json', 'bearer.x'] },
      { ...bearer(good), protocols: ['gate.json', `bearer.${good}`] },
    ];
    for (const options of refused) await expect(app.connect(options)).rejects.toMatchObject(new UpgradeRefused(401));
    const inUrl = await fetch(`http://127.0.0.1:${app.port}/gate?token=${good}`, { headers: { connection: 'close' } });
    expect(inUrl.status).toBe(400);
    expect(await whoAmI(await app.connect(bearer(good)))).toBe('ada');
  });

  it('close when it expires, unless a newer one of the same user is shown before', async () => {
    const app = await start();
    const [left, renewed] = [
      await app.connect(bearer(await token('ada', 6))),
      await app.connect(bearer(await token('ada', 6, { roles: ['staff'] }))),
    ];
    const asked = async (text: string) => (await renewed.exchange('auth/refresh', { token: text })).error?.code;
    expect(await asked(await token('bob'))).toBe('FORBIDDEN');
    expect(await asked(await token('ada', -1))).toBe('UNAUTHORIZED');
    expect(await asked('nonsense')).toBe('UNAUTHORIZED');
    expect(await asked('')).toBe('BAD_REQUEST');
    expect(await renewed.request('auth/refresh', { token: await token('ada') })).toMatchObject({ uid: 'ada' });
    expect(await left.closed).toEqual({ code: 1008, reason: 'auth expired' });
    expect(await renewed.request('session/get')).toMatchObject({ userId: 'ada', settings: { roles: [] } });
  });

  it('allow no other identity and no more rights than the token contains', async () => {
    const app = await start();
    const client = await app.connect(bearer(await token('ada')));
    expect((await client.exchange('chat/login', { name: 'root' })).error?.code).toBe('FORBIDDEN');
    expect((await client.exchange('session/set', { key: 'roles', value: ['staff'] })).error?.code).toBe('FORBIDDEN');
    expect(await client.request('chat/login', { name: 'ada' })).toEqual({ uid: 'ada' });
    expect(await client.request('session/get')).toMatchObject({ userId: 'ada', settings: { roles: [] } });
  });

  it('have TCP clients show theirs before anything else', async () => {
    const [tcpPort, linkPort] = [await freePort(), await freePort()];
    const link = { NESTGATE_LINK: `tcp://127.0.0.1:${linkPort}`, NESTGATE_SECRET: 'shared' };
    const gate = await start({ ...link, TCP_PORT: String(tcpPort) }, 'gate');
    await start(link, 'worker');
    const web = await gate.connect(bearer(await token('ada')));
    await waitUntil('the worker', async () => (await web.exchange('echo/echo', 1)).body === 1, 10_000);
    const device = await BinaryClient.overTcp(tcpPort, {});
    device.send('echo/echo', '1');
    expect(jsonOf(await device.push('$gate/error'))).toMatchObject({ code: 'UNAUTHORIZED', topic: 'echo/echo' });
    device.send('auth/refresh', JSON.stringify({ token: await token('device') }));
    expect(jsonOf(await device.push('auth/refresh'))).toMatchObject({ uid: 'device' });
    device.send('echo/echo', '2');
    expect(jsonOf(await device.push('echo/echo'))).toBe(2);
    device.destroy();
  });

  it.each<[what: string, env: NodeJS.ProcessEnv, told: string]>([
    ['a secret that is too short', { NESTGATE_JWT_SECRET: 'hunter2' }, 'too short'],
    ['two ways', { NESTGATE_JWT_SECRET: SECRET, NESTGATE_JWT_JWKS: 'https://hunter2.example' }, 'one of'],
    ['an issuer, but no key', { NESTGATE_JWT_ISSUER: 'hunter2' }, 'NESTGATE_JWT_SECRET'],
    ['a key file that is none', { NESTGATE_JWT_KEY_FILE: '/nowhere/hunter2' }, 'NESTGATE_JWT_KEY_FILE'],
    ['a key set in the clear', { NESTGATE_JWT_JWKS: 'http://hunter2.example/' }, 'https'],
  ])('do not start with %s', async (_what, env, told) => {
    const app = AppProcess.spawn({ LOG_LEVEL: 'verbose', ...env });
    processes.push(app);
    expect((await app.exited).code).not.toBe(0);
    expect(app.output).toContain(told);
    expect(app.output).not.toMatch(/=hunter2|"hunter2"/);
  });
});
