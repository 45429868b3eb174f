import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { countersOf, withNeighbour } from './support/raw-neighbour.js';
import { type RawHeaders, type RawRequest, RawSocket, statusOf, upgradeRequest } from './support/raw-socket.js';
import { RawClient } from './support/raw-websocket.js';

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

type Row = readonly [name: string, status: number, request: RawRequest | string | Uint8Array];

const MALFORMED: readonly Row[] = [
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
  ['version 12', 400, { headers: { [VERSION]: '12' } }],
  ['version 8', 400, { headers: { [VERSION]: '8' } }],
  ['no version', 400, { headers: { [VERSION]: undefined } }],
  ['two versions', 400, { headers: { [VERSION]: ['13', '13'] } }],
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

const WRONG_PATHS: readonly Row[] = [
  '/',
  '/gate/',
  '/gatex',
  '/GATE',
  '//gate',
  '/x/../gate',
  '/%67ate',
  '/gate;x',
].map(path => [path, 404, { path }]);

const TOO_LARGE: readonly Row[] = [
  ['one header of 20 kB', 431, { headers: { 'X-Large': 'x'.repeat(20_000) } }],
  ['300 headers of 100 bytes', 431, { headers: { 'X-Many': Array.from({ length: 300 }, () => 'y'.repeat(100)) } }],
  ['a path of 20 kB', 431, { path: `/gate?${'x'.repeat(20_000)}` }],
];

const ALLOWED: readonly [name: string, request: RawRequest][] = [
  ['a bare upgrade', {}],
  ['a query', { path: '/gate?token=x&gate=/gate' }],
  ['names in other case', { headers: { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' } }],
  ['the subprotocol', { headers: { [PROTOCOL]: 'gate.json' } }],
  ['a foreign subprotocol beside it', { headers: { [PROTOCOL]: ['mqtt', 'gate.json'] } }],
  ['an extension that is not supported', { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } }],
];

describe('a handshake', () => {
  let cluster: TestCluster;
  let port: number;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        maxConnectionsPerIp: 0,
        messageRate: 0,
        ws: { origins: ['app.example', 'https://admin.example:8443'] },
      },
    });
    ({ port } = cluster.gate);
  });

  afterAll(() => cluster.close());

  function bytesOf(request: Row[2]): string | Uint8Array {
    return typeof request === 'string' || request instanceof Uint8Array ? request : upgradeRequest(request);
  }

  it.each([...MALFORMED, ...WRONG_PATHS, ...TOO_LARGE])('with %s is answered with %d', (_name, status, request) =>
    withNeighbour(cluster, async () => {
      expect(await statusOf(port, bytesOf(request))).toBe(status);
    }),
  );

  it.each(ALLOWED)('with %s is accepted', (_name, request) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port, request);
      await client.sync();
      const head = client.socket.received.toString('latin1').split('\r\n\r\n', 1)[0]?.toLowerCase() ?? '';
      expect(head.includes('sec-websocket-protocol: gate.json')).toBe(PROTOCOL in (request.headers ?? {}));
      expect(head).not.toContain('sec-websocket-extensions');
    }),
  );

  it('works byte by byte', () =>
    withNeighbour(cluster, async () => {
      const socket = await RawSocket.open(port);
      await socket.drip(upgradeRequest().slice(0, -1));
      const client = await RawClient.over(socket, '\n');
      await client.sync();
    }));

  it('counts whatever it refuses', () =>
    withNeighbour(cluster, async () => {
      const uncounted: string[] = [];
      for (const [name, status, request] of [...MALFORMED, ...WRONG_PATHS, ...TOO_LARGE]) {
        const before = countersOf(cluster).get('handshakes_refused', status);
        const answered = await statusOf(port, bytesOf(request));
        if (answered >= 400 && countersOf(cluster).get('handshakes_refused', answered) !== before + 1) {
          uncounted.push(name);
        }
      }
      expect(uncounted).toEqual([]);
    }));

  describe('from the origin', () => {
    const own = (): string => `127.0.0.1:${port}`;

    it.each<[name: string, origin: () => string | undefined]>([
      ['absent', () => undefined],
      ['of the same host', () => `http://${own()}`],
      ['of the same host under TLS', () => `https://${own()}`],
      ['configured', () => 'https://app.example'],
      ['configured, without TLS', () => 'http://app.example'],
      ['configured, in other case', () => 'HTTPS://APP.Example'],
      ['configured with a port', () => 'http://admin.example:8443'],
    ])('%s is accepted', (_name, origin) =>
      withNeighbour(cluster, async () => {
        const request = upgradeRequest({ headers: { Host: own(), Origin: origin() } });
        expect(await statusOf(port, request)).toBe(101);
      }),
    );

    it.each<[name: string, origin: () => string | string[]]>([
      ['foreign', () => 'https://evil.example'],
      ['null', () => 'null'],
      ['with a suffix', () => 'https://app.example.evil.example'],
      ['with a suffix of the own host', () => `http://${own()}.evil.example`],
      ['with a prefix', () => 'https://evilapp.example'],
      ['a subdomain', () => 'https://evil.app.example'],
      ['with a trailing dot', () => 'https://app.example.'],
      ['with credentials', () => 'https://app.example@evil.example'],
      ['with it in the path', () => 'https://evil.example/app.example'],
      ['with it in the fragment', () => 'https://evil.example#app.example'],
      ['on another port', () => 'https://app.example:8443'],
      ['of the same host on another port', () => `http://127.0.0.1:${port + 1}`],
      ['without a port', () => 'http://127.0.0.1'],
      ['empty', () => ''],
      ['a host only', () => 'app.example'],
      ['a scheme only', () => 'https://'],
      ['without a host', () => 'https:///app.example'],
      ['with a path', () => 'https://app.example/'],
      ['without slashes', () => 'javascript:alert(1)'],
      ['a list', () => 'https://app.example https://evil.example'],
      ['twice', () => ['https://app.example', 'https://app.example']],
      ['of any host', () => 'https://*'],
    ])('%s is answered with 403', (_name, origin) =>
      withNeighbour(cluster, async () => {
        const before = countersOf(cluster).get('handshakes_refused', 403);
        const request = upgradeRequest({ headers: { Host: own(), Origin: origin() } });
        expect(await statusOf(port, request)).toBe(403);
        expect(countersOf(cluster).get('handshakes_refused', 403)).toBe(before + 1);
      }),
    );
  });
});
