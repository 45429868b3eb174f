import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  Delegater,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  type IncomingPack,
  RecvPackHandler,
} from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createCaller, sessionContract } from '@nestgate/link/internal';
import {
  BinaryClient,
  createTestCluster,
  type FakeClient,
  jsonOf,
  type TestCluster,
  type TestClusterOptions,
  UpgradeRefused,
} from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';

/** What the handshake answers, as the query of the request says. */
@Injectable()
class QueryHandshake extends HandshakeHandler {
  handshake({ query }: HandshakeRequest): HandshakeResult {
    const { uid, ms, at } = query;
    const authExpiresAt = ms === undefined ? at && (JSON.parse(at) as number) : Date.now() + Number(ms);
    return { userId: uid, authExpiresAt: authExpiresAt === undefined ? undefined : (authExpiresAt as number) };
  }
}

@Controller()
class ExpiryTopics {
  @OnTopic('auth/refresh')
  async refresh(@Payload('ms') ms: number | null, @ClientSession() session: Session) {
    await session.toExpireAt(ms === null ? null : Date.now() + ms);
    return 'done';
  }

  @OnTopic('auth/login')
  async login(@Payload('ms') ms: number, @ClientSession() session: Session) {
    await session.toBind('ada', { expiresAt: Date.now() + ms });
    return session.userId;
  }
}

/** Renews on the gate, without a worker. */
@Injectable()
class RenewingPacks extends RecvPackHandler {
  async onPack(session: Session, pack: IncomingPack) {
    if (pack.topic !== 'gate/renew') return pack.forward();
    await session.toExpireAt(Date.now() + Number(pack.body));
    pack.reply('renewed');
  }
}

const EXPIRED = { code: 1008, reason: 'auth expired' };
/** Long enough for anything that a test does before it is over, in milliseconds. */
const LONG_MS = 60_000;

describe('credentials that expire', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(options: TestClusterOptions = {}): Promise<void> {
    cluster = await createTestCluster({
      handlers: { controllers: [ExpiryTopics] },
      ...options,
      gate: {
        ...options.gate,
        providers: [
          { provide: HandshakeHandler, useClass: QueryHandshake },
          { provide: RecvPackHandler, useClass: RenewingPacks },
        ],
      },
    });
  }

  const connect = (query: string): Promise<FakeClient> => cluster.connect({ path: `?${query}` });

  /** When the client is closed, and with what. */
  async function end(client: FakeClient) {
    const closed = await client.closed;
    return { closed, at: Date.now() };
  }

  it.each([0, 1])('end the connection then, and no other one, with %i workers', async workers => {
    await start({ workers });
    const stays = [await connect('uid=eve'), await connect(`uid=bob&ms=${LONG_MS}`)];
    const before = Date.now();
    const client = await connect('uid=ada&ms=600');
    expect((await client.exchange('auth/none')).error?.code).toBe('NO_HANDLER');
    const { closed, at } = await end(client);
    expect(closed).toEqual(EXPIRED);
    expect(at - before).toBeGreaterThanOrEqual(600);
    for (const other of stays) expect((await other.exchange('auth/none')).error?.code).toBe('NO_HANDLER');
    expect(await cluster.api.isUidOnline('ada')).toBe(false);
    expect(await cluster.api.getAllClientCount()).toBe(2);
  });

  it.each([
    ['a handler', 1, (client: FakeClient, ms: number) => client.request('auth/refresh', { ms })],
    ['a RecvPackHandler of the gate', 0, (client: FakeClient, ms: number) => client.request('gate/renew', ms)],
    [
      'GatewayApi',
      0,
      async (client: FakeClient, ms: number) => cluster.api.expireClient(client.clientId, Date.now() + ms),
    ],
    [
      'a bind',
      1,
      (client: FakeClient, ms: number) =>
        cluster.api.bindUid(client.clientId, 'ada', { expiresAt: Date.now() + ms, issuedAt: Date.now() }),
    ],
    [
      'the Delegater',
      0,
      (client: FakeClient, ms: number) => cluster.gate.app.get(Delegater).expireAt(client.clientId, Date.now() + ms),
    ],
  ] as const)('are renewed by %s', async (_who, workers, renew) => {
    await start({ workers });
    const [renewed, left] = [await connect('uid=ada&ms=2000'), await connect('uid=bob&ms=2000')];
    await renew(renewed, LONG_MS);
    // Both would end at the same time: when the one has, the other one has not.
    expect(await left.closed).toEqual(EXPIRED);
    expect((await renewed.exchange('auth/none')).error?.code).toBe('NO_HANDLER');
    await renew(renewed, 100);
    expect(await renewed.closed).toEqual(EXPIRED);
  });

  it('never expire when the option says so', async () => {
    await start();
    const [free, left] = [await connect('ms=1000'), await connect('ms=1200')];
    expect(await free.request('auth/refresh', { ms: null })).toBe('done');
    expect(await left.closed).toEqual(EXPIRED);
    expect(await free.request('auth/refresh', { ms: -1 }).catch(() => 'closed')).toBeDefined();
    expect(await free.closed).toEqual(EXPIRED);
  });

  it('come with a login on a connection that is open', async () => {
    await start({ workers: 1 });
    const client = await connect('');
    expect(await client.request('auth/login', { ms: 300 })).toBe('ada');
    expect(await client.closed).toEqual(EXPIRED);
    const late = await connect('');
    expect((await late.exchange('auth/login', { ms: -1 })).error).toMatchObject({ code: 'UNAUTHORIZED' });
    expect(await cluster.api.getUidByClientId(late.clientId)).toBeNull();
  });

  it.each([
    ['over', '1', 401],
    ['now', '0', 401],
    ['no number', '"2999"', 500],
    ['no moment', 'null', 500],
  ])('that are %s let nobody in', async (_what, at, status) => {
    await start();
    const refused = await connect(`uid=ada&at=${at}`).catch((error: unknown) => error);
    expect(refused).toMatchObject(new UpgradeRefused(status));
    expect(await cluster.api.getAllClientCount()).toBe(0);
  });

  it('can be those of a TCP client', async () => {
    await start({ gate: { tcp: { port: 0, codec: 'frame' } } });
    const { Gate } = await import('@nestgate/gate');
    const client = await BinaryClient.overTcp(cluster.gate.app.get(Gate).tcpPort as number, { codec: 'frame' });
    expect(jsonOf({ body: await client.request('auth/refresh', { ms: 200 }) })).toBe('done');
    await client.closed;
    expect(await cluster.api.getAllClientCount()).toBe(0);
  });

  it('expire at moments, whatever a node says', async () => {
    await start();
    const client = await connect('uid=ada');
    const { clientId } = client;
    const gates = createCaller(cluster.gate.app.get(LinkNode), sessionContract);
    for (const expiresAt of [Number.NaN, Infinity, -Infinity, -1]) {
      await expect(gates.expireAt.call({ clientId, expiresAt })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      await expect(cluster.api.expireClient(clientId, expiresAt)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      await expect(cluster.api.bindUid(clientId, 'bob', { expiresAt })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
      // A node that does not check: what has expired, or never would, binds nobody.
      const bind = gates.authenticate.call({ clientId, userId: 'bob', expiresAt });
      await bind.catch(() => undefined);
      expect(await cluster.api.isUidOnline('bob')).toBe(false);
    }
    expect(await cluster.api.expireClient('nobody', 1)).toBe(false);
    expect(await cluster.api.expireClient([clientId, 'nobody'], Date.now() + LONG_MS)).toBe(1);
    expect(await cluster.api.expireClient(clientId, 0)).toBe(true);
    expect(await client.closed).toEqual(EXPIRED);
  });
});
