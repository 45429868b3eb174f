import { describe, expect, it } from '@jest/globals';
import { type IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { checkOrigin, checkUpgrade, chooseCodec } from './handshake-check.js';

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

  it.each([undefined, '', '8', '013', '13, 8'])('refuses the version %j', version => {
    expect(checkUpgrade(request({ ...UPGRADE, 'sec-websocket-version': version }))).toMatchObject({ status: 400 });
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
    ['capacitor://localhost', 'gate.example.com', ['localhost']],
    ['http://[2001:db8::1]', 'gate.example.com', ['[2001:DB8::1]:443']],
    ['https://evil.com', 'example.com', '*'],
    ['null', 'example.com', '*'],
  ])('allows %j to %j, with %j', (origin, host, allowed) => {
    expect(checkOrigin(request({ origin, host }), allowed)).toBeUndefined();
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
    ['null', 'example.com', ['example.com', 'null']],
    ['example.com', 'example.com', ['example.com']],
    ['https://example.com', undefined, []],
    ['null', 'null', ['null']],
    ['file://', '', ['']],
    ['', '', ['']],
  ])('forbids %j to %j, with %j', (origin, host, allowed) => {
    expect(checkOrigin(request({ origin, host }), allowed)).toMatchObject({ status: 403 });
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
