import { describe, expect, it } from '@jest/globals';
import { type IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { checkOrigin, checkUpgrade, chooseCodec, isEndpoint, pathOf } from './handshake-check.js';
import { compileOrigins } from './origins.js';

function request(headers: IncomingHttpHeaders, { method = 'GET', minor = 1, hosts = ['a'] } = {}): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), {
    method,
    headers,
    httpVersionMajor: 1,
    httpVersionMinor: minor,
    rawHeaders: ['Accept', 'host', ...hosts.flatMap(host => ['hOsT', host])],
  });
}

const UPGRADE: IncomingHttpHeaders = {
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};

describe('checkUpgrade', () => {
  it.each(['websocket', 'WebSocket'])('takes an upgrade to %s', upgrade => {
    expect(checkUpgrade(request({ ...UPGRADE, upgrade }))).toBeUndefined();
  });

  it.each([undefined, '', 'h2c', 'websocket2'])('refuses an upgrade to %j', upgrade => {
    expect(checkUpgrade(request({ ...UPGRADE, upgrade }))).toMatchObject({ status: 400 });
  });

  it.each(['POST', 'HEAD', 'get'])('refuses the method %s', method => {
    expect(checkUpgrade(request(UPGRADE, { method }))).toMatchObject({ status: 400 });
  });

  it('refuses older versions of HTTP', () => {
    expect(checkUpgrade(request(UPGRADE, { minor: 0 }))).toMatchObject({ status: 400 });
  });

  it.each([[[]], [['a', 'a']], [['a', 'b']]])('refuses the hosts %j', hosts => {
    expect(checkUpgrade(request(UPGRADE, { hosts }))).toMatchObject({ status: 400 });
  });

  it.each([
    undefined,
    '',
    'dGhlIHNhbXBsZSBub25jZQ',
    'dGhlIHNhbXBsZSBub25jZQ=',
    'dGhlIHNhbXBsZSBub25jZQ===',
    'dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==',
    'dGhlIHNhbXBsZSBub25j-Q==',
    ' GhlIHNhbXBsZSBub25jZQ==',
  ])('refuses the key %j', key => {
    expect(checkUpgrade(request({ ...UPGRADE, 'sec-websocket-key': key }))).toMatchObject({ status: 400 });
  });

  it.each([undefined, '', '8', '013', '13, 8', '13, 13'])(
    'refuses the version %j, and says which one it speaks',
    version => {
      expect(checkUpgrade(request({ ...UPGRADE, 'sec-websocket-version': version }))).toMatchObject({
        status: 426,
        headers: { 'Sec-WebSocket-Version': '13' },
      });
    },
  );

  it.each([{ 'content-length': '5' }, { 'content-length': '05' }, { 'transfer-encoding': 'chunked' }])(
    'refuses a body: %j',
    headers => {
      expect(checkUpgrade(request({ ...UPGRADE, ...headers }))).toMatchObject({ status: 400 });
    },
  );

  it('takes an empty body for none', () => {
    expect(checkUpgrade(request({ ...UPGRADE, 'content-length': '0' }))).toBeUndefined();
  });
});

describe('checkOrigin', () => {
  it.each<[origin: string | undefined, host: string | undefined, allowed: '*' | readonly string[]]>([
    [undefined, 'example.com', []],
    ['https://example.com', 'example.com', []],
    ['http://EXAMPLE.com', 'example.COM', []],
    ['https://example.com:443', 'example.com', []],
    ['https://example.com', 'example.com:443', []],
    ['http://example.com', 'example.com:80', []],
    ['http://localhost:3000', 'localhost:3000', []],
    ['http://[::1]:3000', '[::1]:3000', []],
    ['https://app.example.com', 'gate.example.com', ['app.example.com']],
    ['https://app.example.com', 'gate.example.com', ['other.com', 'APP.example.com:443']],
    ['https://app.example.com', 'gate.example.com', ['http://app.example.com']],
    ['https://app.example.com:8443', 'gate.example.com', ['app.example.com:8443']],
    ['https://app.example.com', undefined, ['https://app.example.com']],
    ['capacitor://localhost', 'gate.example.com', ['capacitor://localhost']],
    ['capacitor://localhost', 'gate.example.com', ['capacitor://localhost/']],
    ['chrome-extension://abcDEF', 'gate.example.com', ['chrome-extension://abcDEF']],
    ['https://app.example.com', 'gate.example.com', ['https://app.example.com/']],
    ['https://app.example.com', 'gate.example.com', ['HTTPS://APP.example.com:443/']],
    ['https://app.example.com', 'gate.example.com', ['*.example.com']],
    ['https://App.example.com', 'gate.example.com', ['https://*.Example.com/']],
    ['https://app.example.com:8443', 'gate.example.com', ['https://*.example.com:8443']],
    ['http://x.localhost:5173', 'gate.example.com', ['*.localhost:5173']],
    ['https://xn--bcher-kva.example', 'gate.example.com', ['https://bücher.example']],
    ['http://127.0.0.1:5173', 'gate.example.com', ['127.0.0.1:5173']],
    ['http://[2001:db8::1]', 'gate.example.com', ['[2001:DB8::1]:443']],
    ['https://evil.com', 'example.com', '*'],
    ['null', 'example.com', '*'],
  ])('allows %j to %j, with %j', (origin, host, allowed) => {
    expect(checkOrigin(request({ origin, host }), compileOrigins(allowed))).toBeUndefined();
  });

  it.each<[origin: string, host: string | undefined, allowed: readonly string[]]>([
    ['https://evil.com', 'example.com', []],
    ['https://example.com.evil.com', 'example.com', []],
    ['https://evil-example.com', 'example.com', ['example.com']],
    ['https://sub.example.com', 'example.com', ['example.com']],
    ['http://example.com:8080', 'example.com', ['example.com']],
    ['http://example.com', 'example.com:8080', ['example.com:8080']],
    ['https://example.com@evil.com', 'example.com', ['example.com']],
    ['https://evil.com/example.com', 'example.com', ['example.com']],
    ['https://evil.com#example.com', 'example.com', ['example.com']],
    ['https://evil.com https://example.com', 'example.com', ['example.com']],
    ['http://example.com, http://example.com', 'example.com', ['example.com']],
    ['https://example.com, https://evil.com', 'example.com', ['example.com']],
    ['https://example.com.', 'example.com', ['example.com']],
    ['https://example.com:', 'example.com', ['example.com']],
    ['https://example.com:4430', 'example.com', ['example.com']],
    ['https://example.com:0443', 'example.com', ['example.com']],
    ['https://example.com:80:443', 'example.com', ['example.com']],
    ['https://ex\u0430mple.com', 'example.com', ['example.com']],
    ['http://[::1]:3000', '[::1]:3001', []],
    ['http://[::1]', '[::2]', ['[::3]']],
    ['https://example.com\\@evil.com', 'example.com', ['example.com']],
    [' https://example.com', 'example.com', ['example.com']],
    ['NULL', 'example.com', []],
    ['null', 'example.com', ['example.com']],
    ['capacitor://localhost', 'gate.example.com', ['localhost', 'http://localhost', 'ionic://localhost']],
    ['capacitor://example.com', 'example.com', ['example.com']],
    ['chrome-extension://abcdef', 'gate.example.com', ['chrome-extension://abcDEF']],
    ['https://example.com', 'gate.example.com', ['*.example.com']],
    ['https://a.b.example.com', 'gate.example.com', ['*.example.com']],
    ['https://evilexample.com', 'gate.example.com', ['*.example.com']],
    ['https://.example.com', 'gate.example.com', ['*.example.com']],
    ['https://app.example.com:8443', 'gate.example.com', ['*.example.com']],
    ['https://app.example.com.evil.com', 'gate.example.com', ['*.example.com']],
    ['https://*.example.com', 'gate.example.com', ['app.example.com']],
    ['example.com', 'example.com', ['example.com']],
    ['https://example.com', undefined, []],
    ['null', 'null', ['http://null']],
    ['file://', '', []],
    ['', '', []],
  ])('forbids %j to %j, with %j', (origin, host, allowed) => {
    expect(checkOrigin(request({ origin, host }), compileOrigins(allowed))).toMatchObject({ status: 403 });
  });
});

describe('compileOrigins', () => {
  it.each([
    '',
    ' ',
    '*',
    'https://*',
    'https://app.*.com',
    'https://*app.example.com',
    'https://**.example.com',
    'https://app.example.com/path',
    'https://app.example.com?x',
    'https://app.example.com#x',
    'https://user@app.example.com',
    'https://app.example.com:99999',
    'https://app.example.com:port',
    'https://app.example.com:',
    'https://',
    'https:///',
    '//app.example.com',
    'app.example.com https://other.com',
    'app.example.com,other.com',
    'null',
    'file://',
    'capacitor://*',
    'capacitor://*.local',
    'http://[::1',
  ])('refuses %j, naming it', entry => {
    expect(() => compileOrigins(['app.example.com', entry])).toThrow(
      expect.objectContaining({
        code: 'BAD_ARGUMENT',
        message: expect.stringContaining(`ws.origins: ${JSON.stringify(entry)}`),
      }),
    );
  });
});

describe('pathOf', () => {
  it.each([
    [undefined, '/'],
    ['/gate', '/gate'],
    ['/gate?a=/b', '/gate'],
    ['http://gate.test/gate?x', '/gate'],
    ['HTTPS://gate.test:443/gate/', '/gate/'],
    ['http://gate.test', '/'],
    ['http://gate.test?x=1', '/'],
    ['//gate', '//gate'],
    ['ws://gate.test/gate', 'ws://gate.test/gate'],
  ])('is of %j: %j', (target, path) => {
    expect(pathOf(target)).toBe(path);
  });
});

describe('isEndpoint', () => {
  it.each([
    ['/gate', '/gate', true],
    ['/gate/', '/gate', true],
    ['/gate', '/gate/', true],
    ['/gate/', '/gate/', true],
    ['/', '/', true],
    ['/gate//', '/gate', false],
    ['/gate/x', '/gate', false],
    ['//', '/', false],
    ['/GATE', '/gate', false],
    ['/x', '/', false],
    ['', '/', false],
  ])('%j of %j: %j', (path, endpoint, is) => {
    expect(isEndpoint(path, endpoint)).toBe(is);
  });
});

describe('chooseCodec', () => {
  const supported = new Set(['gate.json', 'gate.pack']);
  const choose = (offered: string | undefined) =>
    chooseCodec(request({ 'sec-websocket-protocol': offered }), supported, 'gate.json');

  it.each([
    [undefined, 'gate.json'],
    ['gate.pack', 'gate.pack'],
    ['gate.pack, gate.json', 'gate.pack'],
    ['other,gate.json ,gate.pack', 'gate.json'],
  ])('takes of %j: %s', (offered, codec) => {
    expect(choose(offered)).toBe(codec);
  });

  it.each([
    '',
    ',',
    'gate.json,',
    'other',
    'GATE.JSON',
    'gate.json, gate.json',
    'gate json',
    'a/b, gate.json',
    '"gate.json"',
  ])('refuses %j', offered => {
    expect(choose(offered)).toMatchObject({ status: 400 });
  });
});
