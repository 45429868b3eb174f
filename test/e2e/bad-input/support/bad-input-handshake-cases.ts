import { type RawHeaders, type RawRequest, upgradeRequest } from '../../support/raw-socket.js';

const PLAIN: RawHeaders = {
  Connection: undefined,
  Upgrade: undefined,
  'Sec-WebSocket-Key': undefined,
  'Sec-WebSocket-Version': undefined,
};
const KEY = 'Sec-WebSocket-Key';
const VERSION = 'Sec-WebSocket-Version';
const PROTOCOL = 'Sec-WebSocket-Protocol';

/** The start of what `openssl s_client` sends first: a TLS 1.2 record with a ClientHello. */
const CLIENT_HELLO = Buffer.from(`16030100f1010000ed0303${'ab'.repeat(32)}20${'cd'.repeat(32)}0004130113020100`, 'hex');

/** A handshake, and the status that it is answered with. */
export type HandshakeCase = readonly [name: string, status: number, request: RawRequest | string | Uint8Array];

const MALFORMED: readonly HandshakeCase[] = [
  ['POST with upgrade headers', 400, { method: 'POST' }],
  ['PUT with upgrade headers', 400, { method: 'PUT' }],
  ['POST without upgrade headers', 400, { method: 'POST', headers: { ...PLAIN, 'Content-Length': '0' } }],
  ['GET without upgrade headers', 400, { headers: PLAIN }],
  ['Upgrade without Connection: Upgrade', 400, { headers: { Connection: 'keep-alive' } }],
  ['another protocol to upgrade to', 400, { headers: { Upgrade: 'h2c' } }],
  ['no key', 400, { headers: { [KEY]: undefined } }],
  ['a short key', 400, { headers: { [KEY]: 'c2hvcnQ=' } }],
  ['a long key', 400, { headers: { [KEY]: 'YSBrZXkgdGhhdCBpcyB0b28gbG9uZw==' } }],
  ['a key that is not base64', 400, { headers: { [KEY]: '!!!!!!!!!!!!!!!!!!!!!!==' } }],
  ['two keys', 400, { headers: { [KEY]: ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ=='] } }],
  ['version 12', 426, { headers: { [VERSION]: '12' } }],
  ['version 8', 426, { headers: { [VERSION]: '8' } }],
  ['no version', 426, { headers: { [VERSION]: undefined } }],
  ['two versions', 426, { headers: { [VERSION]: ['13', '13'] } }],
  ['HTTP/1.0', 400, { version: '1.0' }],
  ['no host', 400, { headers: { Host: undefined } }],
  ['two hosts', 400, { headers: { Host: ['gate.test', 'evil.example'] } }],
  ['CL and TE together', 400, { headers: { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' } }],
  ['two lengths', 400, { headers: { 'Content-Length': ['5', '6'] } }],
  ['a space before the colon', 400, { headers: { 'X-Odd ': '1' } }],
  ['NUL in a header', 400, { headers: { 'X-Odd': 'a\0b' } }],
  ['a subprotocol twice', 400, { headers: { [PROTOCOL]: 'gate.json, gate.json' } }],
  ['a subprotocol in two headers', 400, { headers: { [PROTOCOL]: ['gate.json', 'gate.json'] } }],
  ['unsupported subprotocols only', 400, { headers: { [PROTOCOL]: 'mqtt, graphql-ws' } }],
  ['a subprotocol in other case', 400, { headers: { [PROTOCOL]: 'GATE.JSON' } }],
  ['an empty subprotocol', 400, { headers: { [PROTOCOL]: 'gate.json, ' } }],
  ['a subprotocol that is no token', 400, { headers: { [PROTOCOL]: 'gate json' } }],
  ['TLS bytes', 400, CLIENT_HELLO],
  ['random bytes', 400, Buffer.from('00ff17c3280a0d0a0d0a', 'hex')],
];

const WRONG_PATHS: readonly HandshakeCase[] = [
  '/',
  '/gate//',
  '/gatex',
  '/GATE',
  '//gate',
  '/x/../gate',
  '/%67ate',
  '/gate;x',
].map(path => [path, 404, { path }]);

const TOO_LARGE: readonly HandshakeCase[] = [
  ['one header of 20 kB', 431, { headers: { 'X-Large': 'x'.repeat(20_000) } }],
  ['300 headers of 100 bytes', 431, { headers: { 'X-Many': Array.from({ length: 300 }, () => 'y'.repeat(100)) } }],
  ['a path of 20 kB', 431, { path: `/gate?${'x'.repeat(20_000)}` }],
];

/** Requests that are refused before authentication. */
export const BAD_HANDSHAKES: readonly HandshakeCase[] = [...MALFORMED, ...WRONG_PATHS, ...TOO_LARGE];

/** The bytes of a case's request. */
export function bytesOfRequest(request: HandshakeCase[2]): string | Uint8Array {
  return typeof request === 'string' || request instanceof Uint8Array ? request : upgradeRequest(request);
}
