import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger, ServiceUnavailableException, UnauthorizedException } from '@nestjs/common';
import { exportJWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { type JwtOptions, JwtVerifier } from './jwt-verifier.js';

const SECRET = 'a secret of more than thirty-two bytes';
const bytes = new TextEncoder().encode(SECRET);
const now = Math.floor(Date.now() / 1_000);
const GOOD: JWTPayload = { sub: 'ada', iat: now - 10, exp: now + 60 };

const sign = (payload: JWTPayload, key: Parameters<SignJWT['sign']>[0] = bytes, alg = 'HS256', header = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(key);
const verify = async (token: unknown, options: JwtOptions | undefined = { secret: SECRET }) =>
  new JwtVerifier(options).verify(token);
const pemOf = (key: ReturnType<typeof generateKeyPairSync>['publicKey']) =>
  (key as unknown as { export(options: object): string }).export({ type: 'spki', format: 'pem' });

describe('a token', () => {
  it('that is good says who it is, and until when', async () => {
    expect(await verify(await sign({ ...GOOD, roles: ['staff', 5, ''] }))).toEqual({
      userId: 'ada',
      roles: ['staff'],
      issuedAt: GOOD.iat! * 1_000,
      expiresAt: GOOD.exp! * 1_000,
    });
    expect(await verify(await sign({ sub: 'ada', exp: now + 60 }))).toMatchObject({ issuedAt: 0, roles: [] });
  });

  const bad: readonly (readonly [what: string, token: () => unknown, options?: JwtOptions])[] = [
    ['is missing', () => undefined],
    ['is empty', () => ''],
    ['is no text', () => ({ toString: () => 'x' })],
    ['is nonsense', () => 'a.b.c'],
    ['is too long', () => sign({ ...GOOD, more: 'x'.repeat(9_000) })],
    ['has expired', () => sign({ ...GOOD, exp: now - 1 })],
    ['is not good yet', () => sign({ ...GOOD, nbf: now + 60 })],
    ['never expires', () => sign({ sub: 'ada', iat: now })],
    ['has an expiry that is no number', () => sign({ ...GOOD, exp: `${now + 60}` as never })],
    ['is of nobody', () => sign({ exp: now + 60 })],
    ['is of an empty uid', () => sign({ ...GOOD, sub: '' })],
    ['is of a uid with a line end', () => sign({ ...GOOD, sub: 'a\nb' })],
    ['is of a uid that is too long', () => sign({ ...GOOD, sub: 'x'.repeat(129) })],
    ['has another signature', () => sign(GOOD, new TextEncoder().encode(`${SECRET}!`))],
    ['is not signed', () => new UnsecuredJWT(GOOD).encode()],
    ['says alg none and has a signature', async () => (await sign(GOOD)).replace(/^[^.]+/, head({ alg: 'none' }))],
    ['says alg None', async () => (await sign(GOOD)).replace(/^[^.]+/, head({ alg: 'None' }))],
    ['is of another algorithm', () => sign(GOOD, new Uint8Array(64).fill(7), 'HS512')],
    ['wants what is not known', () => sign(GOOD, bytes, 'HS256', { crit: ['x'], x: 1 }).catch(() => 'a.b.c')],
    ['is of another issuer', () => sign({ ...GOOD, iss: 'them' }), { secret: SECRET, issuer: 'us' }],
    ['is of no issuer', () => sign(GOOD), { secret: SECRET, issuer: 'us' }],
    ['is for others', () => sign({ ...GOOD, aud: ['them'] }), { secret: SECRET, audience: 'us' }],
    ['was changed', async () => (await sign(GOOD)).replace(/\.[^.]+\./, `.${head({ ...GOOD, sub: 'root' })}.`)],
  ];
  it.each(bad.map(([what, token, options]) => [what, { token, options }] as const))(
    'that %s is refused',
    async (_what, row) => {
      const { token, options } = row;
      await expect(verify(await token(), options)).rejects.toMatchObject(
        new UnauthorizedException('A valid token is needed'),
      );
    },
  );

  it('is asked for its issuer and audience where they are known', async () => {
    const token = await sign({ ...GOOD, iss: 'us', aud: ['them', 'us'] });
    expect(await verify(token, { secret: SECRET, issuer: 'us', audience: 'us' })).toMatchObject({ userId: 'ada' });
  });

  it('is never good where none is known', async () => {
    const off = new JwtVerifier();
    expect(off.isOn).toBe(false);
    await expect(off.verify(await sign(GOOD))).rejects.toBeInstanceOf(UnauthorizedException);
  });
});

describe('a public key', () => {
  it.each([
    ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['EdDSA', generateKeyPairSync('ed25519')],
  ])('takes %s, and nothing that is signed with the key itself as a secret', async (alg, { publicKey, privateKey }) => {
    const pem = pemOf(publicKey);
    expect(await verify(await sign(GOOD, privateKey, alg), { publicKey: pem })).toMatchObject({ userId: 'ada' });
    const confused = await sign(GOOD, new TextEncoder().encode(pem), 'HS256');
    await expect(verify(confused, { publicKey: pem })).rejects.toBeInstanceOf(UnauthorizedException);
  });
});

describe('a JWK set', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let server: Server;
  let body = '';
  let status = 200;
  let url = '';

  beforeAll(async () => {
    body = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }] });
    server = createServer((_request, response) => response.writeHead(status).end(body));
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('is fetched, and its keys are taken', async () => {
    const tokens = new JwtVerifier({ jwks: url });
    const token = await sign(GOOD, privateKey, 'ES256', { kid: 'k1' });
    expect(await tokens.verify(token)).toMatchObject({ userId: 'ada' });
    const other = await sign(GOOD, privateKey, 'ES256', { kid: 'k2' });
    await expect(tokens.verify(other)).rejects.toBeInstanceOf(UnauthorizedException);
    await expect(tokens.verify(await sign(GOOD, bytes))).rejects.toBeInstanceOf(UnauthorizedException);
  });

  it.each([500, 200])('that cannot be loaded (%i) refuses no client permanently, and is logged', async answer => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const right = body;
    [status, body] = [answer, 'no JSON'];
    const token = await sign(GOOD, privateKey, 'ES256', { kid: 'k1' });
    await expect(verify(token, { jwks: url })).rejects.toBeInstanceOf(ServiceUnavailableException);
    expect(logged).toHaveBeenCalledTimes(1);
    expect(logged.mock.calls.join()).not.toContain(token);
    [status, body] = [200, right];
    logged.mockRestore();
  });
});

describe('options', () => {
  it.each<JwtOptions>([
    {},
    { secret: 'short' },
    { secret: SECRET, jwks: 'https://example.com' },
    { publicKey: 'no key' },
    { publicKey: pemOf(generateKeyPairSync('x25519').publicKey) },
    { jwks: 'http://example.com/jwks' },
    { jwks: 'https://user:hunter2@example.com' },
    { jwks: 'file:///etc/passwd' },
    { jwks: 'nonsense' },
  ])('%# are refused, without a secret in the error', options => {
    const create = () => new JwtVerifier(options);
    expect(create).toThrow(/JWTs|JWK set/);
    expect(create).not.toThrow(/hunter2|short$|no key$/);
  });
});

function head(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
