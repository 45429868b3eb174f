import { afterEach, describe, expect, it } from '@jest/globals';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { type Handlers, sessionContract, type SessionContract } from '@nestgate/link/internal';
import type { SessionSnapshot } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { ClientProxy, ClientProxyFactory } from '@nestjs/microservices';
import { lastValueFrom, type Observable, retry, toArray } from 'rxjs';
import type { GateClientOptions } from './gate-client-options.js';
import { GateClientProxy } from './gate-client-proxy.js';
import type { GatePatterns } from './gate-patterns.js';

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

/** A gate that does what the test wants. */
async function gateOn(bus: MemoryBus, handlers: Partial<Handlers<SessionContract>>, id = 'g1'): Promise<LinkNode> {
  const node = nodeOn(bus.link(), 'gate', id);
  node.dispatcher.serve(sessionContract, handlers as Handlers<SessionContract>);
  await node.open();
  return node;
}

function nodeOn(link: Link, role: 'gate' | 'api', id: string): LinkNode {
  const node = new LinkNode({ link, self: { id, role, epoch: 'e', modules: [], draining: false } });
  opened.push(node);
  return node;
}

function clientOf(options: GateClientOptions): GateClientProxy {
  const client = new GateClientProxy(options);
  opened.push(client);
  return client;
}

const codeOf = (outcome: Observable<unknown>): Promise<unknown> =>
  lastValueFrom(outcome).then(
    value => ({ value }),
    (error: unknown) => (error as GateError).code,
  );

const client = { clientId: 'g1.e.1' };

describe('send', () => {
  it('emits the result once, whatever it is', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { connected: () => true, joinGroup: () => undefined, clientIds: () => ['a', 'b'] });
    const proxy = clientOf({ link: bus.link() });
    expect(await lastValueFrom(proxy.send('connected', client).pipe(toArray()))).toEqual([true]);
    expect(await lastValueFrom(proxy.send('joinGroup', { ...client, group: 'g' }).pipe(toArray()))).toEqual([
      undefined,
    ]);
    expect(await lastValueFrom(proxy.send('clientIds', {}).pipe(toArray()))).toEqual([['a', 'b']]);
  });

  it('merges what several gates answer', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { clientCount: () => 2, uids: () => ['u', 'v'] }, 'g1');
    await gateOn(bus, { clientCount: () => 3, uids: () => ['v', 'w'] }, 'g2');
    const proxy = clientOf({ link: bus.link() });
    expect(await lastValueFrom(proxy.send('clientCount', {}))).toBe(5);
    expect(await lastValueFrom(proxy.send('uids', {}))).toEqual(['u', 'v', 'w']);
  });

  it('sends a new query for each subscription, with the current arguments', async () => {
    const bus = new MemoryBus();
    const uids: string[] = [];
    await gateOn(bus, {
      isUidOnline: ({ userId }) => {
        uids.push(userId);
        if (uids.length < 3) throw new GateError('STORAGE_UNAVAILABLE');
        return true;
      },
    });
    const data = { userId: 'u' };
    const question = clientOf({ link: bus.link() }).send('isUidOnline', data);
    data.userId = 'v';
    const answer = lastValueFrom(question.pipe(retry(2)));
    data.userId = 'w';
    expect(await answer).toBe(true);
    expect(uids).toEqual(['v', 'w', 'w']);
  });

  it('fails with the coded error of the gate, of the arguments, or of the time', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, {
      bind: () => Promise.reject(new GateError('FORBIDDEN', 'not you', { why: 1 })),
      load: () => Promise.reject(new TypeError('a defect')),
      clientCount: () => new Promise(() => undefined),
    });
    const proxy = clientOf({ link: bus.link() });
    await expect(lastValueFrom(proxy.send('bind', { ...client, userId: 'u' }))).rejects.toMatchObject({
      name: 'GateError',
      code: 'FORBIDDEN',
      message: 'not you',
      details: { why: 1 },
    });
    expect(await codeOf(proxy.send('load', client))).toBe('INTERNAL');
    expect(await codeOf(proxy.send('load', { clientId: 'g1.older.1' }))).toBe('SESSION_NOT_FOUND');
    expect(await codeOf(proxy.send('connected', { clientId: 'g1.older.1' }))).toEqual({ value: false });
    expect(await codeOf((proxy as ClientProxy).send('load', { clientId: 5 }))).toBe('BAD_ARGUMENT');
    expect(await codeOf((proxy as ClientProxy).send('login', {}))).toBe('BAD_ARGUMENT');
    // A short time, for what is never answered only: others may be late on a busy machine.
    const hasty = clientOf({ link: bus.link(), deadlineMs: 50 });
    await codeOf(hasty.send('load', client));
    await expect(lastValueFrom(hasty.send('clientCount', {}))).rejects.toMatchObject({
      code: 'PARTIAL_RESULT',
      details: { result: 0, missing: ['g1'] },
    });
  });

  it('takes no data and no pattern for what they are, as coded errors too', async () => {
    const proxy: ClientProxy = clientOf({ link: new MemoryBus().link() });
    for (const outcome of [proxy.send('groups', null), proxy.send(null, {}), proxy.emit(undefined, {})]) {
      expect(await codeOf(outcome)).toBe('BAD_ARGUMENT');
    }
  });
});

describe('emit', () => {
  it('sends at once, subscribed or not, with what the arguments are then', async () => {
    const bus = new MemoryBus();
    const seen: unknown[] = [];
    await gateOn(bus, {
      sendToGroup: ({ groups, topic, body }) => seen.push([groups, topic, Buffer.from(body.bytes).toString()]),
      bind: ({ userId }) => {
        seen.push(userId);
        return {} as SessionSnapshot;
      },
    });
    const proxy = clientOf({ link: bus.link() });
    const body = { n: 1 };
    proxy.emit('sendToGroup', { groups: 'g', topic: 'a', body });
    body.n = 2;
    proxy.emit('sendToGroup', { groups: ['g', 'h'], topic: 'a', body });
    expect(await lastValueFrom(proxy.emit('bind', { ...client, userId: 'u' }).pipe(toArray()))).toEqual([undefined]);
    expect(seen).toEqual([[['g'], 'a', '{"n":1}'], [['g', 'h'], 'a', '{"n":2}'], 'u']);
  });

  it('tells why something could not be sent', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, {}, 'g2');
    const proxy = clientOf({ link: bus.link() });
    expect(await codeOf(proxy.emit('bind', { ...client, userId: 'u' }))).toBe('SESSION_NOT_FOUND');
    expect(await codeOf((proxy as ClientProxy).emit('sendToUid', { uids: 'u' }))).toBe('BAD_ARGUMENT');
  });

  it('does not wait for gates where nobody has to', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { broadcast: () => new Promise(() => undefined) });
    const proxy = clientOf({ link: bus.link() });
    expect(await codeOf(proxy.emit('broadcast', { topic: 'a' }))).toEqual({ value: undefined });
  });
});

describe('the options', () => {
  it.each([
    [undefined, 'Either node or link is needed, but none is given'],
    [{}, 'Either node or link is needed, but none is given'],
    [{ link: undefined }, 'Either node or link is needed, but none is given'],
    [{ link: 'memory:', node: {} }, 'Either node or link is needed, but both are given'],
    [{ node: 'me' }, 'node: string is not allowed; allowed: a LinkNode'],
    [{ node: null }, 'node: object is not allowed; allowed: a LinkNode'],
    [{ link: 'memory:', nodeId: 'a.b' }, 'A node id is 1 to 64 of A-Z a-z 0-9 _ -, got "a.b"'],
    [{ link: 'memory:', deadlineMs: 0 }, 'deadlineMs: 0 is not allowed; allowed: 1 to 2147483647'],
    [{ link: 'memory:', deadlineMs: Number.NaN }, 'deadlineMs: NaN is not allowed; allowed: 1 to 2147483647'],
    [{ link: 'memory:', deadlineMs: 2 ** 31 }, 'deadlineMs: 2147483648 is not allowed; allowed: 1 to 2147483647'],
  ])('%j are refused', (options, why) => {
    const create = () => ClientProxyFactory.create({ customClass: GateClientProxy, options: options as object });
    expect(create).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT', message: why }));
  });
});

describe('the hook of Nest for what is sent', () => {
  it('sees patterns and data as they were given', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { connected: () => true, broadcast: () => 1 });
    const proxy = clientOf({ link: bus.link() });
    const seen: unknown[] = [];
    proxy.setOnDispatchHook(packet => {
      seen.push({ ...packet });
      packet.metadata = { trace: 'x' };
    });
    await lastValueFrom(proxy.send('connected', client));
    await lastValueFrom(proxy.emit('broadcast', { topic: 'a', body: 1 }));
    expect(seen).toEqual([
      { pattern: 'connected', data: client },
      { pattern: 'broadcast', data: { topic: 'a', body: 1 } },
    ]);
  });
});

describe('the types', () => {
  // Compiled and never run: what must not compile is marked.
  it('know arguments and results of every pattern', () => {
    const use = (proxy: GateClientProxy, untyped: ClientProxy): unknown[] => {
      const online: Observable<boolean> = proxy.send('isUidOnline', { userId: 'u' });
      const ids: Observable<Record<string, readonly string[]>> = proxy.send('clientIdsOfUids', { uids: 'u' });
      const settings: GatePatterns['push']['args'] = { clientId: 'c', settings: { a: [1, { b: null }] } };
      const pushed: Observable<SessionSnapshot> = proxy.send('push', settings);
      const sent: Observable<void> = proxy.emit('sendToGroup', { groups: ['g'], topic: 'a', body: new Date() });
      return [
        online,
        ids,
        pushed,
        sent,
        proxy.send('close', { clientId: 'c', message: { topic: 'a', body: 1 } }),
        proxy.send('broadcast', { topic: 'a' }),
        proxy.send('groups', {}),
        // @ts-expect-error -- no such pattern
        proxy.send('login', {}),
        // @ts-expect-error -- not for services
        proxy.send('sync', {}),
        // @ts-expect-error -- an argument is missing
        proxy.send('bind', { clientId: 'c' }),
        // @ts-expect-error -- an argument of another type
        proxy.emit('sendToUid', { uids: 5, topic: 'a' }),
        // @ts-expect-error -- an argument that it does not have
        proxy.send('groups', { group: 'g' }),
        // @ts-expect-error -- a result of another type
        proxy.send('clientCount', {}).subscribe((count: string) => count),
        // As a ClientProxy of Nest it takes what any of them takes.
        untyped.send<boolean>('connected', { clientId: 'c' }),
        untyped.emit({ cmd: 'anything' }, 1),
      ];
    };
    const asNest: (proxy: GateClientProxy) => ClientProxy = proxy => proxy;
    expect([use, asNest]).toHaveLength(2);
  });
});
