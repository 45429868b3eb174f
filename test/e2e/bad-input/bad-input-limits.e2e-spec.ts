import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { type GateOptions, HandshakeHandler, type HandshakeRequest } from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { connectionsOf, countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { type RawRequest, RawSocket, statusOf, upgradeRequest } from '../support/raw-socket.js';
import { RawClient } from '../support/raw-websocket.js';

@Injectable()
class TokenGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { authorization } = context.switchToHttp().getRequest<HandshakeRequest>().headers;
    if (authorization === undefined) throw new UnauthorizedException();
    return authorization === 'good';
  }
}

/** Handshakes that have been left hanging. */
let hanging = 0;

/** Does what the query asks for. */
@Injectable()
@UseGuards(TokenGuard)
class GuardedHandshake extends HandshakeHandler {
  override async handshake({ query }: HandshakeRequest): Promise<void> {
    if (query['do'] === 'hang') await new Promise(() => hanging++);
    if (query['do'] === 'refuse') throw new BadRequestException('No such room');
    if (query['do'] === 'break') throw new Error('secret detail');
  }
}

const OVER_TIME = 1_000;
/** Node looks for late headers once per second; what the gate itself times is not bound to that. */
const CLOSED_BY = OVER_TIME + 1_000 + 500;
const REFUSED = { overTime: 500, closedBy: 1_000 };

const GOOD: RawRequest = { headers: { Authorization: 'good' } };
const HANGING: RawRequest = { ...GOOD, path: '/gate?do=hang' };

describe('the gate', () => {
  let cluster: TestCluster;
  let port: number;

  /** The gate's ends of all connections: were it to forget one, it could not be stopped. */
  const accepted = new Set<Socket>();

  afterEach(async () => {
    for (const socket of accepted) socket.destroy();
    accepted.clear();
    await cluster.close();
  });

  async function start(options: GateOptions, guarded = false): Promise<void> {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        maxConnectionsPerIp: 0,
        messageRate: 0,
        ...options,
        providers: guarded ? [{ provide: HandshakeHandler, useClass: GuardedHandshake }] : [],
      },
    });
    ({ port } = cluster.gate);
    (cluster.gate.app.getHttpServer() as Server).on('connection', socket => accepted.add(socket));
  }

  /** With a neighbour whose credentials are good. */
  function beside(run: () => Promise<void>): Promise<void> {
    return withNeighbour(cluster, run, { connect: { headers: { Authorization: 'good' } } });
  }

  function waitForTheNeighbourAlone(): Promise<unknown> {
    const isAlone = async (): Promise<boolean> => (await connectionsOf(cluster)) === 1;
    return waitUntil("no connection but the neighbour's to be left", isAlone, REFUSED.closedBy);
  }

  describe('with a guarded handshake', () => {
    it.each<[name: string, status: number, request: RawRequest]>([
      ['no credentials', 401, {}],
      ['bad credentials', 403, { headers: { Authorization: 'bad' } }],
      ['an HttpException of the handler', 400, { ...GOOD, path: '/gate?do=refuse' }],
      ['an error of the handler', 500, { ...GOOD, path: '/gate?do=break' }],
      ['a handler that never settles', 408, HANGING],
    ])('answers %s with %d', async (_name, status, request) => {
      await start({ overTime: OVER_TIME }, true);
      await beside(async () => {
        const socket = await RawSocket.open(port);
        socket.send(upgradeRequest(request));
        expect(await socket.answer()).toBe(status);
        await waitUntil('the end of the connection', () => socket.ended);
        expect(socket.received.toString()).not.toContain('secret');
        expect(countersOf(cluster).get('handshakes_refused', status)).toBe(1);
      });
    });

    it('checks origin and form before it asks the guard', async () => {
      await start({}, true);
      await beside(async () => {
        expect(await statusOf(port, upgradeRequest({ headers: { Origin: 'null' } }))).toBe(403);
        expect(await statusOf(port, upgradeRequest({ method: 'POST' }))).toBe(400);
      });
    });
  });

  describe('within the handshake timeout', () => {
    it('closes those who are silent, who stop halfway and who drip', async () => {
      await start({ overTime: OVER_TIME });
      await withNeighbour(cluster, async () => {
        const since = Date.now();
        const silent = await RawSocket.open(port);
        const halfway = await RawSocket.open(port);
        halfway.send(upgradeRequest().slice(0, 60));
        const dripping = await RawSocket.open(port);
        dripping.send(upgradeRequest().slice(0, -2));
        const drip = setInterval(() => dripping.send('X-A: b\r\n'), 50);
        try {
          for (const socket of [silent, halfway, dripping]) {
            await waitUntil('the gate to close the connection', () => socket.ended);
            expect(Date.now() - since).toBeLessThan(CLOSED_BY);
            expect(socket.status ?? 408).toBe(408);
          }
          expect(countersOf(cluster).get('handshakes_refused', 408)).toBe(3);
        } finally {
          clearInterval(drip);
        }
      });
    });

    it.each<[name: string, request: RawRequest, behind: string]>([
      ['the wrong path', { path: '/nowhere' }, ''],
      ['a foreign origin', { headers: { Origin: 'null' } }, ''],
      ['no key', { headers: { 'Sec-WebSocket-Key': undefined } }, ''],
      ['no credentials', {}, ''],
      ['no credentials and more to send', {}, 'x'.repeat(1_000)],
      ['a handler that never settles', HANGING, ''],
    ])('closes a connection refused for %s whose client does not end it', async (_name, request, behind) => {
      await start({ overTime: REFUSED.overTime }, true);
      await beside(async () => {
        const socket = await RawSocket.open(port, { stubborn: true });
        socket.send(upgradeRequest(request));
        await socket.answer();
        if (behind !== '') socket.send(behind);
        await waitForTheNeighbourAlone();
      });
    });

    it('closes a refused connection whose client sends more before it ends it', async () => {
      await start({ overTime: REFUSED.overTime }, true);
      await beside(async () => {
        const socket = await RawSocket.open(port, { stubborn: true });
        socket.send(upgradeRequest());
        await socket.answer();
        socket.send('more');
        socket.socket.end();
        await waitForTheNeighbourAlone();
      });
    });
  });

  describe.each<[what: string, status: number, limit: GateOptions]>([
    ['full', 503, { maxConnections: 3 }],
    ['full for an address', 429, { maxConnectionsPerIp: 3 }],
  ])('when %s', (_what, status, limit) => {
    it(`answers ${status}, counts it, and uses freed places again`, async () => {
      await start(limit);
      await withNeighbour(cluster, async () => {
        const ends: readonly ((client: RawClient) => void)[] = [
          client => client.socket.socket.end(),
          client => client.socket.reset(),
          client => client.send(Buffer.of(0x00)),
        ];
        await RawClient.connect(port);
        for (const [i, end] of ends.entries()) {
          const last = await RawClient.connect(port);
          await last.sync();
          expect(await statusOf(port, upgradeRequest())).toBe(status);
          expect(countersOf(cluster).get('handshakes_refused', status)).toBe(i + 1);
          end(last);
          last.socket.socket.end();
          await waitUntil('the place', async () => (await cluster.api.getAllClientCount()) === 2);
        }
      });
    });

    it('lets only as many in of many that come at once', async () => {
      await start(limit);
      await withNeighbour(cluster, async () => {
        const statuses = await Promise.all(Array.from({ length: 20 }, () => statusOf(port, upgradeRequest())));
        expect(statuses.filter(answer => answer === 101)).toHaveLength(2);
        expect(statuses.filter(answer => answer === status)).toHaveLength(18);
        expect(countersOf(cluster).get('handshakes_refused', status)).toBe(18);
      });
    });

    it('takes no place for what is malformed, and takes back that of the refused and of those who leave', async () => {
      await start({ ...limit, overTime: 1_500 }, true);
      await beside(async () => {
        for (let i = 0; i < 4; i++) {
          expect(await statusOf(port, upgradeRequest({ method: 'POST' }))).toBe(400);
          expect(await statusOf(port, upgradeRequest())).toBe(401);
          const leaving = await RawSocket.open(port);
          leaving.send(upgradeRequest(HANGING));
          const before = hanging;
          await waitUntil('its place to be taken', () => hanging > before);
          leaving.reset();
          await waitForTheNeighbourAlone();
        }
        for (const last of ['the first place', 'the second place']) {
          await waitUntil(last, async () => (await statusOf(port, upgradeRequest(GOOD))) === 101);
        }
        expect(await statusOf(port, upgradeRequest(GOOD))).toBe(status);
      });
    });
  });

  (process.platform === 'linux' ? it : it.skip)('counts each address for itself', async () => {
    await start({ maxConnectionsPerIp: 2 });
    await withNeighbour(cluster, async () => {
      await RawClient.connect(port);
      expect(await statusOf(port, upgradeRequest())).toBe(429);
      const other = await RawClient.over(
        await RawSocket.open(port, { localAddress: '127.0.0.2' }),
        upgradeRequest({ headers: { 'X-Forwarded-For': '127.0.0.1' } }),
      );
      await other.sync();
    });
  });

  it('answers 503 when connections come too fast, and takes them again later', async () => {
    await start({ maxConnectionRate: 4 });
    await withNeighbour(cluster, async () => {
      const statuses = await Promise.all(Array.from({ length: 20 }, () => statusOf(port, upgradeRequest())));
      expect(statuses.filter(answer => answer === 101).length).toBeLessThanOrEqual(4);
      const refused = statuses.filter(answer => answer === 503);
      expect(refused.length).toBeGreaterThanOrEqual(16);
      expect(countersOf(cluster).get('handshakes_refused', 503)).toBe(refused.length);
      await waitUntil('a place', async () => (await statusOf(port, upgradeRequest())) === 101);
    });
  });
});
