import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { type Handlers, sessionContract, type SessionContract } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { Logger } from '@nestjs/common';
import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import type { GateClientOptions } from './gate-client-options.js';
import { GateClientProxy } from './gate-client-proxy.js';

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

describe('connecting', () => {
  it('happens once, when it is first needed', async () => {
    const bus = new MemoryBus();
    const gate = await gateOn(bus, { connected: () => true });
    const joins: string[] = [];
    gate.onPeer(change => joins.push(change.type));
    const link = bus.link();
    const open = jest.spyOn(link, 'open');
    const proxy = clientOf({ link, nodeId: 'me' });
    expect(() => proxy.unwrap()).toThrow(expect.objectContaining({ code: 'LINK_UNAVAILABLE' }));
    await Promise.resolve();
    expect(joins).toEqual([]);
    await Promise.all([
      lastValueFrom(proxy.send('connected', client)),
      lastValueFrom(proxy.emit('broadcast', { topic: 'a' })),
      proxy.connect(),
      proxy.connect(),
    ]);
    expect(open).toHaveBeenCalledTimes(1);
    expect(joins).toEqual(['join']);
    expect(proxy.unwrap().info).toMatchObject({ id: 'me', role: 'api' });
  });

  it('that fails is tried again with the next call', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { connected: () => true });
    const namesake = nodeOn(bus.link(), 'api', 'me');
    await namesake.open();
    const link = bus.link();
    const proxy = clientOf({ link, nodeId: 'me' });
    const question = proxy.send('connected', client);
    await expect(lastValueFrom(question)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await namesake.close();
    expect(await lastValueFrom(question)).toBe(true);
  });

  it('does not wait forever', async () => {
    const link = new MemoryBus().link();
    jest.spyOn(link, 'open').mockReturnValue(new Promise(() => undefined));
    const proxy = clientOf({ link, deadlineMs: 30 });
    await expect(proxy.connect()).rejects.toMatchObject({
      code: 'LINK_UNAVAILABLE',
      message: 'Not connected within 30 ms',
    });
  });

  it('gives errors of drivers a code', async () => {
    const link = new MemoryBus().link();
    jest.spyOn(link, 'open').mockRejectedValue(new RangeError('no route'));
    const outcome = lastValueFrom(clientOf({ link }).send('groups', {}));
    await expect(outcome).rejects.toMatchObject({
      code: 'LINK_UNAVAILABLE',
      message: 'Cannot join the link: no route',
    });
    await expect(clientOf({ link: 'carrier-pigeon:' }).connect()).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  });

  it('is reported by status and events, also when a listener throws', async () => {
    const defects = jest.spyOn(Logger.prototype, 'error').mockReturnValue(undefined);
    const bus = new MemoryBus();
    await gateOn(bus, {});
    const link = bus.link();
    const proxy = clientOf({ link });
    const told: string[] = [];
    proxy.status.subscribe(status => told.push(status));
    proxy.on('connect', () => {
      throw new Error('a defect of the listener');
    });
    proxy.on('connect', () => told.push('connect'));
    proxy.on('disconnect', () => told.push('disconnect'));
    const open = jest.spyOn(link, 'open');
    await proxy.connect();
    const events = open.mock.calls[0]?.[1];
    events?.onStatus(false);
    events?.onStatus(false);
    events?.onStatus(true);
    await proxy.close();
    expect(told).toEqual([
      'connected',
      'connect',
      'disconnected',
      'disconnect',
      'connected',
      'connect',
      'disconnected',
      'disconnect',
    ]);
    expect(await firstValueFrom(proxy.status)).toBe('disconnected');
    expect(defects.mock.calls.map(([line]) => line as unknown)).toEqual([
      'Error: a defect of the listener',
      'Error: a defect of the listener',
    ]);
    defects.mockRestore();
  });
});

describe('close', () => {
  it('sends what was asked for before, and ends what waits with LINK_CLOSED', async () => {
    const bus = new MemoryBus();
    const seen: string[] = [];
    await gateOn(bus, {
      broadcast: ({ topic }) => seen.push(topic),
      clientCount: () => new Promise(() => undefined),
      bind: () => new Promise(() => undefined),
    });
    const proxy = clientOf({ link: bus.link() });
    proxy.emit('broadcast', { topic: 'first' });
    const waits = codeOf(proxy.send('bind', { ...client, userId: 'u' }));
    proxy.emit('broadcast', { topic: 'last' });
    const closed = proxy.close();
    expect(proxy.close()).toBe(closed);
    expect(await codeOf(proxy.send('groups', {}))).toBe('LINK_CLOSED');
    await closed;
    expect(seen).toEqual(['first', 'last']);
    expect(await waits).toBe('LINK_CLOSED');
    expect(Reflect.get(bus, 'links')).toHaveProperty('size', 1);
    expect(await codeOf(proxy.send('groups', {}))).toBe('LINK_CLOSED');
    expect(await codeOf(proxy.emit('broadcast', { topic: 'late' }))).toBe('LINK_CLOSED');
    await expect(proxy.connect()).rejects.toMatchObject({ code: 'LINK_CLOSED' });
    expect(() => proxy.unwrap()).toThrow();
    expect(seen).toHaveLength(2);
  });

  it('has nothing to do before the first connect, and is final', async () => {
    const bus = new MemoryBus();
    const link = bus.link();
    const open = jest.spyOn(link, 'open');
    const proxy = clientOf({ link });
    await proxy.close();
    expect(await codeOf(proxy.send('groups', {}))).toBe('LINK_CLOSED');
    expect(open).not.toHaveBeenCalled();
  });
});

describe('a shared node', () => {
  it('is the app’s to open and to close', async () => {
    const bus = new MemoryBus();
    await gateOn(bus, { connected: () => true });
    const node = nodeOn(bus.link(), 'api', 'app');
    const proxy = clientOf({ node });
    const statuses: string[] = [];
    proxy.status.subscribe(status => statuses.push(status));
    expect(proxy.unwrap()).toBe(node);
    await proxy.connect();
    expect(node.isUp).toBe(false);
    expect(await codeOf(proxy.emit('broadcast', { topic: 'a' }))).toBe('LINK_UNAVAILABLE');
    await node.open();
    expect(await lastValueFrom(proxy.send('connected', client))).toBe(true);
    await proxy.close();
    expect(node.isUp).toBe(true);
    expect(statuses).toEqual(['connected', 'disconnected']);
    expect(await codeOf(proxy.send('connected', client))).toBe('LINK_CLOSED');
  });

  it('that has a gate already says so', async () => {
    const bus = new MemoryBus();
    const node = nodeOn(bus.link(), 'api', 'app');
    await node.open();
    const statuses: string[] = [];
    clientOf({ node }).status.subscribe(status => statuses.push(status));
    expect(statuses).toEqual([]);
    await gateOn(bus, {});
    expect(await firstValueFrom(clientOf({ node }).status)).toBe('connected');
    expect(statuses).toEqual(['connected']);
  });
});
