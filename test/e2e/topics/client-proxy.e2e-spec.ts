import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkNode } from '@nestgate/link';
import { sessionContract } from '@nestgate/link/internal';
import { type FakeClient, waitUntil } from '@nestgate/testing';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { Operators } from './support/client-proxy-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

describe.each(LINKS)('a GateClientProxy over %s', (name: LinkName) => {
  let links: LinkSupply;
  let operators: Operators;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => operators.close());

  async function start(): Promise<FakeClient[]> {
    operators = await Operators.open(links, name, { maxGroups: 2 });
    return operators.clients();
  }

  const nodes = (): LinkNode[] => operators.cluster.gates.map(({ app }) => app.get(LinkNode));

  it('finds both gates with its first question', async () => {
    const clients = await start();
    expect(await operators.send('clientCount')).toEqual({ status: 200, body: 2 });
    const { body } = await operators.send('clientIds');
    expect(new Set(body as string[])).toEqual(new Set(clients.map(client => client.clientId)));
  });

  it('binds, joins, pushes to and closes clients of any gate', async () => {
    const [ada, bob] = (await start()) as [FakeClient, FakeClient];
    for (const [client, userId] of [[ada, 'ada'] as const, [bob, 'bob'] as const]) {
      const { clientId } = client;
      expect(await operators.send('bind', { clientId, userId })).toMatchObject({ status: 200, body: { userId } });
      expect(await operators.send('joinGroup', { clientId, group: 'lobby' })).toEqual({ status: 200, body: undefined });
    }
    await operators.emit('sendToGroup', { groups: 'lobby', topic: 't/group', body: { n: 1 }, except: ada.clientId });
    await operators.emit('sendToUid', { uids: ['ada', 'bob'], topic: 't/uid' });
    expect((await bob.push('t/group')).body).toEqual({ n: 1 });
    for (const client of [ada, bob]) expect((await client.push('t/uid')).body).toBeNull();
    expect(ada.pushes('t/group')).toEqual([]);
    const all = [ada.clientId, bob.clientId];
    expect((await operators.send('send', { clientIds: all, topic: 't/one', body: 'x' })).body).toBe(2);
    expect((await operators.send('send', { clientIds: bob.clientId, topic: 't/one' })).body).toBe(1);
    expect((await operators.send('broadcast', { topic: 't/all', clientIds: [] })).body).toBe(0);
    expect((await operators.send('clientIdsOfUids', { uids: 'bob' })).body).toEqual({ bob: [bob.clientId] });
    expect((await operators.send('groupClientCounts')).body).toEqual({ lobby: 2 });
    const settings = { mood: { calm: true } };
    expect(await operators.send('replace', { clientId: bob.clientId, settings })).toMatchObject({ body: { settings } });
    const message = { topic: 't/bye', body: [1] };
    expect((await operators.send('close', { clientId: bob.clientId, message })).body).toBe(true);
    expect((await bob.push('t/bye')).body).toEqual([1]);
    await bob.closed;
    expect((await operators.send('connected', { clientId: bob.clientId })).body).toBe(false);
    expect((await operators.send('isUidOnline', { userId: 'bob' })).body).toBe(false);
  });

  it('keeps the order of what is emitted and sent', async () => {
    const [, bob] = (await start()) as [FakeClient, FakeClient];
    const { gates } = operators;
    await lastValueFrom(gates.send('bind', { clientId: bob.clientId, userId: 'bob' }));
    const sent: Promise<number>[] = [];
    for (let body = 0; body < 300; body += 3) {
      gates.emit('sendToUid', { uids: 'bob', topic: 't/n', body });
      gates.emit('send', { clientIds: bob.clientId, topic: 't/n', body: body + 1 });
      sent.push(lastValueFrom(gates.send('send', { clientIds: bob.clientId, topic: 't/n', body: body + 2 })));
      if (body % 37 === 0) await new Promise(resolve => setImmediate(resolve));
    }
    expect(new Set(await Promise.all(sent))).toEqual(new Set([1]));
    await waitUntil('all of them', () => bob.pushes('t/n').length === 300);
    expect(bob.pushes('t/n').map(push => push.body)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });

  it('fails with the codes of the gates', async () => {
    const [ada] = (await start()) as [FakeClient, FakeClient];
    const { clientId } = ada;
    for (const group of ['a', 'b']) await operators.send('joinGroup', { clientId, group });
    expect(await operators.send('joinGroup', { clientId, group: 'c' })).toMatchObject({
      status: 400,
      body: { code: 'LIMIT_EXCEEDED', message: expect.stringMatching(/./) },
    });
    const gone = `${clientId}zz`;
    for (const id of [gone, clientId.replace('gate', 'elsewhere'), 'nobody', '']) {
      expect(await operators.send('load', { clientId: id })).toMatchObject({ body: { code: 'SESSION_NOT_FOUND' } });
      expect(await operators.send('connected', { clientId: id })).toEqual({ status: 200, body: false });
    }
    expect(await operators.emit('destroy', { clientId: gone })).toMatchObject({ body: { code: 'SESSION_NOT_FOUND' } });
    expect(await operators.send('login')).toMatchObject({
      status: 400,
      body: { code: 'BAD_ARGUMENT', details: { allowed: expect.arrayContaining(['bind', 'sendToUid']) } },
    });
  });

  it('waits for silent gates no longer than its deadline', async () => {
    const [ada, bob] = (await start()) as [FakeClient, FakeClient];
    const { load, clientCount } = sessionContract;
    const silence = {
      load: () => new Promise<never>(() => undefined),
      clientCount: () => new Promise<never>(() => {}),
    };
    nodes()[1]?.dispatcher.serve({ load, clientCount }, silence);
    expect(await operators.send('load', { clientId: ada.clientId })).toMatchObject({ status: 200 });
    const before = Date.now();
    const [loaded, counted] = await Promise.all([
      operators.send('load', { clientId: bob.clientId }),
      operators.send('clientCount'),
    ]);
    expect(Date.now() - before).toBeGreaterThanOrEqual(1_900);
    expect(loaded).toMatchObject({ status: 400, body: { code: 'TIMEOUT' } });
    const details = { result: 1, missing: [nodes()[1]?.info.id] };
    expect(counted).toMatchObject({ status: 400, body: { code: 'PARTIAL_RESULT', details } });
  });

  it('lets nothing hostile reach the link', async () => {
    const [ada, bob] = (await start()) as [FakeClient, FakeClient];
    const { clientId } = bob;
    const posted: [string, unknown][] = [
      ['bind', { clientId, userId: { toString: 'ada' } }],
      ['bind', { clientId: { length: 5 }, userId: 'ada' }],
      ['joinGroup', { clientId, group: ['lobby'] }],
      ['send', { clientIds: [clientId, null], topic: 't/bad' }],
      ['sendToUid', { uids: { length: 3 }, topic: 't/bad' }],
      ['broadcast', { topic: ['t/bad'], body: 1 }],
      ['push', { clientId, settings: ['a'] }],
      ['set', { clientId, key: 5, value: 1 }],
      ['clientCount', { group: 7 }],
      ['load', JSON.parse(`{"clientId":"${clientId}","__proto__":{"admin":true}}`)],
    ];
    for (const [pattern, data] of posted) {
      for (const answer of [await operators.send(pattern, data), await operators.emit(pattern, data)]) {
        expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_ARGUMENT' } });
      }
    }
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const { gates } = operators;
    const refused: Promise<unknown>[] = [];
    // Among good ones, in one batch with them.
    for (const [n, body] of [1n, cycle, () => 1, Symbol('s'), { toJSON: () => 1n }, Buffer.alloc(2 ** 21)].entries()) {
      gates.emit('send', { clientIds: clientId, topic: 't/good', body: n });
      refused.push(firstValueFrom(gates.emit('broadcast', { topic: 't/bad', body })).catch(error => error.code));
    }
    expect(new Set(await Promise.all(refused))).toEqual(new Set(['BAD_ARGUMENT']));
    await waitUntil('the good ones', () => bob.pushes('t/good').length === 6);
    const settings = JSON.parse('{"__proto__":{"admin":true}}') as object;
    const { body } = await operators.send('push', { clientId, settings });
    expect(JSON.stringify(body)).toContain('"__proto__":{"admin":true}');
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
    for (const client of [ada, bob]) expect(client.pushes('t/bad')).toEqual([]);
    for (const node of [...nodes(), gates.unwrap()]) {
      expect(node.counters).toEqual({ gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 });
    }
  });

  it('takes 50,000 targets, and refuses 100,000', async () => {
    const [ada, bob] = (await start()) as [FakeClient, FakeClient];
    const { gates } = operators;
    const targets = Array.from({ length: 49_000 }, (_, n) => `${ada.clientId.slice(0, -1)}${n.toString(36)}`);
    const clientIds = [...targets.filter(id => id !== ada.clientId), ada.clientId, bob.clientId, ada.clientId];
    expect(await lastValueFrom(gates.send('send', { clientIds, topic: 't/many' }))).toBe(2);
    await lastValueFrom(gates.send('bind', { clientId: bob.clientId, userId: 'bob' }));
    const users = Array.from({ length: 100_000 }, (_, n) => `user-${n}`);
    const refused = lastValueFrom(gates.emit('sendToUid', { uids: users, topic: 't/many', body: 'too many' }));
    await expect(refused).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    const uids = [...users.slice(0, 49_000), 'bob'];
    gates.emit('sendToUid', { uids, topic: 't/many', body: 'by uid' });
    await bob.push('t/many', (body: unknown) => body === 'by uid');
    expect([ada, bob].map(client => client.pushes('t/many').length)).toEqual([1, 2]);
    expect(await lastValueFrom(gates.send('clientCount', {}))).toBe(2);
  });

  it('ends with its app, and what waits with it', async () => {
    const [ada] = (await start()) as [FakeClient, FakeClient];
    const { gates, service } = operators;
    await gates.connect();
    const known = () => nodes().filter(node => node.peers.has('operators')).length;
    await waitUntil('the gates to know the service', () => known() === 2);
    nodes()[0]?.dispatcher.serve({ load: sessionContract.load }, { load: () => new Promise<never>(() => undefined) });
    const statuses: string[] = [];
    gates.status.subscribe(status => statuses.push(status));
    const waits = lastValueFrom(gates.send('load', { clientId: ada.clientId }));
    gates.emit('broadcast', { topic: 't/last', body: 1 });
    const closed = service.close();
    await expect(waits).rejects.toMatchObject({ code: 'LINK_CLOSED' });
    await closed;
    await ada.push('t/last');
    await waitUntil('the gates to forget it', () => known() === 0);
    expect(statuses).toEqual(['connected', 'disconnected']);
    await expect(lastValueFrom(gates.send('groups', {}))).rejects.toMatchObject({ code: 'LINK_CLOSED' });
  });
});
