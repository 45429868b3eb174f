import { afterEach, describe, expect, it } from '@jest/globals';
import { APP_GUARD } from '@nestjs/core';
import { createTestCluster, type FakeClient, type TestCluster } from '@nestgate/testing';
import { HallTopics, RolesGuard } from '../topics/support/worker-examples-auth.js';
import { codeOf } from '../../support/codes.js';

describe('a guard that asks for roles', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(workers: number, providers: NonNullable<Parameters<typeof createTestCluster>[0]>['handlers']) {
    cluster = await createTestCluster({ workers, handlers: { controllers: [HallTopics], ...providers } });
  }

  /** A client that has logged in with these roles. */
  async function member(uid: string, roles?: unknown): Promise<FakeClient> {
    const client = await cluster.connect();
    if (roles !== undefined) await cluster.api.setSession(client.clientId, { roles: roles as string[] });
    await cluster.api.bindUid(client.clientId, uid);
    return client;
  }

  it.each([0, 1])('lets in who has one of them, on the class or on the method, with %i workers', async workers => {
    await start(workers, {});
    const guest = await cluster.connect();
    const [nobody, user, admin] = [
      await member('eve'),
      await member('ada', ['member']),
      await member('root', ['admin']),
    ];
    expect(await codeOf(guest, 'hall/count')).toBe('UNAUTHORIZED');
    expect(await codeOf(nobody, 'hall/count')).toBe('FORBIDDEN');
    expect(await user.request('hall/count')).toBe(0);
    expect(await admin.request('hall/count')).toBe(0);
    for (const client of [nobody, user]) expect(await codeOf(client, 'hall/ban', { uid: 'root' })).toBe('FORBIDDEN');
    expect(await admin.request('hall/ban', { uid: 'eve' })).toEqual({ closed: 1 });
    expect(await nobody.closed).toEqual({ code: 1008, reason: 'revoked' });
  });

  it('sees what has changed with the next frame', async () => {
    await start(1, {});
    const client = await member('ada', ['member']);
    expect(await codeOf(client, 'hall/ban', { uid: 'eve' })).toBe('FORBIDDEN');
    await cluster.api.updateSession(client.clientId, { roles: ['admin'] });
    expect(await client.request('hall/ban', { uid: 'eve' })).toEqual({ closed: 0 });
    await cluster.api.updateSession(client.clientId, { roles: [] });
    expect(await codeOf(client, 'hall/count')).toBe('FORBIDDEN');
    await cluster.api.unbindUid(client.clientId, 'ada');
    expect(await codeOf(client, 'hall/count')).toBe('UNAUTHORIZED');
  });

  it.each([[[]], [{ admin: true }], [[['admin']]], [{ includes: 1, length: 1 }]])(
    'is not fooled by %j',
    async roles => {
      await start(1, {});
      const client = await member('ada', roles);
      expect(await codeOf(client, 'hall/ban', { uid: 'eve' })).toMatch(/^(FORBIDDEN|INTERNAL)$/);
    },
  );

  it('stands before all topics as a global one', async () => {
    await start(1, { providers: [{ provide: APP_GUARD, useClass: RolesGuard }] });
    const guest = await cluster.connect();
    expect(await codeOf(guest, 'hall/count')).toBe('UNAUTHORIZED');
    expect(await (await member('ada', ['admin'])).request('hall/count')).toBe(0);
  });
});
