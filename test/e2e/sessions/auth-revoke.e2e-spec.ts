import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import {
  GateCounters,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  MemoryStorage,
  StorageHandler,
} from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { type SessionContract, sessionContract } from '@nestgate/link/internal';
import { createTestCluster, type FakeClient, type TestCluster, UpgradeRefused, waitUntil } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const REVOKED = { code: 1008, reason: 'revoked' };
const UNAUTHORIZED = { code: 'UNAUTHORIZED' };

/** Lets everybody in as whom the query says; with `hold`, only when the test opens the door. */
@Injectable()
class Door extends HandshakeHandler {
  readonly waiting: (() => void)[] = [];

  async handshake({ query }: HandshakeRequest): Promise<HandshakeResult> {
    const { uid, issued, hold } = query;
    if (hold) await new Promise<void>(resolve => this.waiting.push(resolve));
    return { userId: uid, authIssuedAt: issued === undefined ? undefined : Number(issued) };
  }
}

/** A storage that answers only when the test lets it. */
class HeldStorage extends MemoryStorage {
  gate: Promise<void> = Promise.resolve();
  asked = 0;

  override async query(userId: string) {
    this.asked++;
    await this.gate;
    return super.query(userId);
  }
}

describe.each(LINKS)('a uid that is revoked, over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let api: GatewayApi;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function start(): Promise<void> {
    const link = await links.forCluster(2, { meshed: true });
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      ...(link ? { link } : {}),
      gate: {
        providers: [
          { provide: HandshakeHandler, useClass: Door },
          { provide: StorageHandler, useFactory: () => new HeldStorage() },
        ],
      },
    });
    ({ api } = cluster.workers[0] as { api: GatewayApi });
  }

  const connect = (gate: number, query: string): Promise<FakeClient> => cluster.connect({ gate, path: `?${query}` });
  const part = <T>(gate: number, token: new (...args: never[]) => T): T =>
    cluster.gates[gate]?.app.get(token as never, { strict: false }) as T;
  const door = (gate: number) => part<Door>(gate, HandshakeHandler as never);
  const storage = (gate: number) => part<HeldStorage>(gate, StorageHandler as never);

  it('loses its clients on every gate, and nobody else does', async () => {
    await start();
    const lost = [await connect(0, 'uid=ada'), await connect(0, 'uid=ada'), await connect(1, 'uid=ada')];
    const bob = await connect(1, 'uid=bob');
    expect(await api.revoke('ada')).toBe(3);
    for (const client of lost) expect(await client.closed).toEqual(REVOKED);
    expect(await api.isUidOnline('ada')).toBe(false);
    expect((await bob.exchange('$gate/ping')).body).toBeNull();
    expect(await api.revoke(['bob', 'ada', 'bob'])).toBe(1);
    expect(await bob.closed).toEqual(REVOKED);
    expect(await api.revoke('nobody')).toBe(0);
  });

  it('keeps those that are excluded', async () => {
    await start();
    const [stays, goes] = [await connect(0, 'uid=ada'), await connect(1, 'uid=ada')];
    expect(await api.revoke('ada', { exclude: stays.clientId })).toBe(1);
    expect(await goes.closed).toEqual(REVOKED);
    expect(await api.getClientIdByUid('ada')).toEqual([stays.clientId]);
  });

  it('is not bound by what was issued before, on any gate, and is by what was issued later', async () => {
    await start();
    const before = Date.now() - 1;
    await api.revoke('ada');
    const after = Date.now() + 1_000;
    for (const gate of [0, 1]) {
      const old = await connect(gate, `uid=ada&issued=${before}`);
      expect(await old.closed).toEqual(REVOKED);
      const fresh = await connect(gate, `uid=ada&issued=${after}`);
      const unknown = await connect(gate, 'uid=ada');
      const guest = await connect(gate, '');
      await waitUntil('both to be bound', async () => (await api.getClientIdByUid('ada')).length === 2);
      await expect(api.bindUid(guest.clientId, 'ada', { issuedAt: before })).rejects.toMatchObject(UNAUTHORIZED);
      expect(await api.getUidByClientId(guest.clientId)).toBeNull();
      await api.bindUid(guest.clientId, 'bob', { issuedAt: before });
      for (const client of [fresh, unknown]) expect(client.closedWith).toBeUndefined();
      expect(part(gate, GateCounters).get('binds_refused', 'revoked')).toBe(2);
      for (const client of [fresh, unknown, guest]) await client.close();
      await waitUntil('all to be gone', async () => (await api.getAllClientCount()) === 0);
    }
  });

  it('is not bound by those that are on their way', async () => {
    await start();
    const inHandshake = connect(0, 'uid=ada&hold=1');
    await waitUntil('the handshake', () => door(0).waiting.length === 1);
    const held = storage(1);
    let open = () => undefined as void;
    held.gate = new Promise(resolve => (open = resolve));
    const binding = connect(1, 'uid=ada');
    const guest = await connect(1, '');
    const bind = api.bindUid(guest.clientId, 'ada').catch((error: unknown) => error);
    await waitUntil('both binds', () => held.asked === 2);
    expect(await api.revoke('ada')).toBe(0);
    open();
    for (const enter of door(0).waiting) enter();
    expect(await (await inHandshake).closed).toEqual(REVOKED);
    expect(await (await binding).closed).toEqual(REVOKED);
    expect(await bind).toMatchObject(UNAUTHORIZED);
    expect(await api.isUidOnline('ada')).toBe(false);
    expect(await api.getUidByClientId(guest.clientId)).toBeNull();
    await api.bindUid(guest.clientId, 'ada');
    expect(await api.getUidByClientId(guest.clientId)).toBe('ada');
  });

  it('is told with the gates that have not answered', async () => {
    await start();
    const [near, far] = [await connect(0, 'uid=ada'), await connect(1, 'uid=ada')];
    const silent = part(1, LinkNode);
    const { revoke } = sessionContract;
    const never = { revoke: () => new Promise<never>(() => undefined) } as Pick<
      { [K in keyof SessionContract]: () => Promise<never> },
      'revoke'
    >;
    silent.dispatcher.serve({ revoke }, never);
    const missing = [silent.info.id];
    const [strict, partial] = await Promise.all([
      api.revoke('ada', { deadlineMs: 300 }).catch((error: unknown) => error),
      api.revoke('nobody', { deadlineMs: 300, partial: 'allow' }),
    ]);
    expect(strict).toMatchObject({ code: 'PARTIAL_RESULT', details: { result: 1, missing } });
    expect(partial).toEqual({ result: 0, missing });
    expect(await near.closed).toEqual(REVOKED);
    expect(far.closedWith).toBeUndefined();
  });

  it('refuses what cannot be, before anything is sent', async () => {
    await start();
    const client = await connect(0, 'uid=ada');
    for (const forMs of [0, -1, Number.NaN, Infinity, '1', 31 * 86_400_000]) {
      await expect(api.revoke('ada', { forMs: forMs as number })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
    for (const uids of ['', 5, null, [''], ['ada', {}]]) {
      await expect(api.revoke(uids as string)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    }
    await expect(api.revoke('ada', { exclude: 5 as unknown as string })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
    });
    expect((await client.exchange('$gate/ping')).body).toBeNull();
  });
});

describe('a gate that comes later', () => {
  it('hears of what was revoked before, and ends whom it should not have let in', async () => {
    const links = await LinkSupply.open('memory');
    const { MemoryBus } = await import('@nestgate/link');
    const bus = new MemoryBus();
    const providers = [{ provide: HandshakeHandler, useClass: Door }];
    const open = () => createTestCluster({ link: () => bus.link(), gate: { providers } });
    const first = await open();
    try {
      const before = Date.now() - 1_000;
      await first.api.revoke('ada');
      const second = await open();
      try {
        await waitUntil('the gates to meet', () => second.gate.app.get(LinkNode).peers.size === 2);
        const old = await second.connect({ path: `?uid=ada&issued=${before}` });
        expect(await old.closed).toEqual(REVOKED);
        const fresh = await second.connect({ path: `?uid=ada&issued=${Date.now() + 1_000}` });
        expect((await fresh.exchange('$gate/ping')).body).toBeNull();
        await expect(second.connect({ path: '?uid=ada&issued=x' })).rejects.toMatchObject(new UpgradeRefused(500));
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
      await links.close();
    }
  });
});
