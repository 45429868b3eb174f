import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { BAD_HANDSHAKES, bytesOfRequest } from './support/bad-input-handshake-cases.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { type RawRequest, RawSocket, statusOf, upgradeRequest } from '../support/raw-socket.js';
import { RawClient } from '../support/raw-websocket.js';

const PROTOCOL = 'Sec-WebSocket-Protocol';

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

  it.each(BAD_HANDSHAKES)('with %s is answered with %d', (_name, status, request) =>
    withNeighbour(cluster, async () => {
      expect(await statusOf(port, bytesOfRequest(request))).toBe(status);
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
      for (const [name, status, request] of BAD_HANDSHAKES) {
        const before = countersOf(cluster).get('handshakes_refused', status);
        const answered = await statusOf(port, bytesOfRequest(request));
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
