import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type INestApplicationContext, Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { type Handlers, sessionContract, type SessionContract } from '@nestgate/link/internal';
import { GatewayApiModule } from '../worker.module.js';
import { GatewayApi } from './gateway-api.js';
import type { Answer, Confirm, Delivery, Page, Receipt, SendOptions } from './options.js';

interface ChatEvents {
  'chat/said': { from: string; text: string };
  'chat/typing': string | undefined;
  'chat/cleared': undefined;
  'chat/count': number;
}

/** Checked by the compiler (`tsc -p tsconfig.test.json`): each `@ts-expect-error` below must be one. */
@Injectable()
class Chat {
  constructor(readonly gateway: GatewayApi<ChatEvents>) {}
}

/** Compiles only when the type of what it is given is exactly `T`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const isOf =
  <T>() =>
  <U>(value: U, _same: Same<T, U>): U =>
    value;

const said = { from: 'ada', text: 'hi' };
const confirm = { confirm: true } as const;
const allowed = { confirm: true, partial: 'allow' } as const;
const nobody = { delivered: 0 };

/** A gate without clients. */
const bus = new MemoryBus();
const gate = new LinkNode({
  link: bus.link(),
  self: { id: 'g1', role: 'gate', epoch: 'e', modules: [], draining: false },
});
const nothing = Object.entries(sessionContract).map(([name, operation]) => [
  name,
  () => ('empty' in operation ? operation.empty?.() : undefined),
]);
gate.dispatcher.serve(sessionContract, Object.fromEntries(nothing) as Handlers<SessionContract>);

beforeAll(() => gate.open());
afterAll(() => gate.close());

describe('declared events', () => {
  let module: TestingModule;
  let gateway: GatewayApi<ChatEvents>;
  let plain: GatewayApi;

  beforeAll(async () => {
    module = await Test.createTestingModule({
      imports: [GatewayApiModule.forRoot({ link: bus.link() })],
      providers: [Chat],
    }).compile();
    await module.init();
    ({ gateway } = module.get(Chat));
    plain = module.get(GatewayApi);
  });
  afterAll(() => module.close());

  it('are a matter of types only: what is injected is the one GatewayApi of the app', () => {
    expect(gateway).toBeInstanceOf(GatewayApi);
    expect(gateway).toBe(plain);
  });

  it('let through what was declared', async () => {
    await gateway.sendToClient('id', 'chat/said', said);
    await gateway.sendToClient(['id'], 'chat/typing', 'ada', { exclude: 'id' });
    await gateway.sendToAll('chat/count', 1, ['id'], ['other']);
    await gateway.sendToAll('chat/cleared');
    await gateway.sendToUid(['ada'], 'chat/typing');
    await gateway.sendToUid('ada', 'chat/typing', undefined, {});
    await gateway.sendToGroup('lobby', 'chat/said', said, ['id'], { exclude: ['other'] });
    expect(await gateway.closeClient('id')).toBe(false);
    expect(await gateway.closeClient('id', 'chat/said', said)).toBe(false);
    expect(await gateway.closeClient(['id'], 'chat/cleared')).toBe(0);
    expect(await gateway.closeClient([])).toBe(0);
  });

  it('let a client be closed without a word, also where every event has a body', async () => {
    const strict = gateway as unknown as GatewayApi<{ 'chat/count': number }>;
    expect(await strict.closeClient('id')).toBe(false);
    await expect(strict.closeCurrentClient()).rejects.toMatchObject({ code: 'NO_CURRENT_CLIENT' });
    // @ts-expect-error a body is needed
    await strict.closeClient('id', 'chat/count');
  });

  it('refuse a topic that was not declared', async () => {
    // @ts-expect-error no such topic
    await gateway.sendToClient('id', 'chat/sayed', said);
    // @ts-expect-error no such topic
    await gateway.sendToAll('chat/sayed');
    // @ts-expect-error no such topic
    await gateway.sendToUid('ada', 'chat/sayed', said, confirm);
    // @ts-expect-error no such topic
    await gateway.sendToGroup('lobby', 'chat/sayed', said);
    // @ts-expect-error no such topic
    await gateway.closeClient('id', 'chat/sayed');
  });

  it('refuse a body of another shape', async () => {
    // @ts-expect-error no such body
    await gateway.sendToClient('id', 'chat/said', { from: 'ada' });
    // @ts-expect-error no such body
    await gateway.sendToAll('chat/count', '1');
    // @ts-expect-error no such body
    await gateway.sendToUid('ada', 'chat/said', 'hi', confirm);
    // @ts-expect-error no such body
    await gateway.sendToGroup('lobby', 'chat/typing', 1);
    // @ts-expect-error a key too many
    await gateway.sendToGroup('lobby', 'chat/said', { ...said, at: 1, from: 2 });
    // @ts-expect-error no body at all
    await gateway.sendToAll('chat/cleared', null);
    // @ts-expect-error no such body
    await gateway.closeClient(['id'], 'chat/said', 1);
  });

  it('refuse to leave out a body that is needed', async () => {
    // @ts-expect-error a body is needed
    await gateway.sendToClient('id', 'chat/said');
    // @ts-expect-error a body is needed
    await gateway.sendToAll('chat/count');
    // @ts-expect-error a body is needed
    await gateway.sendToUid('ada', 'chat/said', undefined, confirm);
    // @ts-expect-error a body is needed
    await gateway.sendToGroup('lobby', 'chat/count');
    // @ts-expect-error a body is needed
    await gateway.closeClient('id', 'chat/said');
    // @ts-expect-error a body is needed
    await expect(gateway.sendToCurrentClient('chat/said')).rejects.toMatchObject({ code: 'NO_CURRENT_CLIENT' });
    // @ts-expect-error a body is needed
    await expect(gateway.closeCurrentClient('chat/count')).rejects.toMatchObject({ code: 'NO_CURRENT_CLIENT' });
  });

  it('say what a push resolves with', async () => {
    const sent = await gateway.sendToAll('chat/count', 1);
    isOf<void>()(sent, true);
    const one = await gateway.sendToClient('id', 'chat/count', 1, confirm);
    expect(isOf<boolean>()(one, true)).toBe(false);
    const oneAllowed = await gateway.sendToClient('id', 'chat/count', 1, allowed);
    expect(isOf<Answer<boolean, typeof allowed>>()(oneAllowed, true)).toEqual({ result: false, missing: [] });
    const several = await gateway.sendToClient(['id'], 'chat/count', 1, confirm);
    expect(isOf<Delivery<typeof confirm>>()(several, true)).toEqual(nobody);
    for (const all of [
      await gateway.sendToAll('chat/cleared', undefined, allowed),
      await gateway.sendToAll('chat/cleared', undefined, undefined, undefined, allowed),
      await gateway.sendToGroup('lobby', 'chat/cleared', undefined, allowed),
      await gateway.sendToGroup('lobby', 'chat/cleared', undefined, [], allowed),
    ]) {
      expect(isOf<readonly string[]>()(all.missing, true)).toEqual([]);
    }
    const uid = await gateway.sendToUid('ada', 'chat/typing', undefined, confirm);
    // @ts-expect-error nothing is missing unless that is allowed
    expect(uid.missing).toBeUndefined();
    for (const group of [
      await gateway.sendToGroup('lobby', 'chat/said', said, confirm),
      await gateway.sendToGroup('lobby', 'chat/said', said, undefined, confirm),
      await gateway.sendToAll('chat/said', said, { ...confirm, clientIds: [] }),
    ]) {
      expect(isOf<number>()(group.delivered, true)).toBe(0);
    }
    // @ts-expect-error an option of sendToAll only
    await expect(gateway.sendToUid('ada', 'chat/count', 1, { clientIds: [] })).rejects.toThrow('clientIds');
    // @ts-expect-error options stand last
    await expect(gateway.sendToGroup('lobby', 'chat/count', 1, confirm, [])).rejects.toThrow('stand last');
    const options: SendOptions = { exclude: 'id' };
    // It may have `confirm`, for all that its type says.
    isOf<void | Delivery | Delivery<typeof allowed> | Receipt | Receipt<typeof allowed>>()(
      await gateway.sendToUid('ada', 'chat/count', 1, options),
      true,
    );
    isOf<void>()(await gateway.sendToUid('ada', 'chat/count', 1, { exclude: 'id' }), true);
    const confirming: Confirm = { confirm: true };
    expect((await gateway.sendToUid('ada', 'chat/count', 1, confirming)).delivered).toBe(0);
  });
});

describe('answers', () => {
  it('have a list of what is missing only where that is allowed', async () => {
    const module = await Test.createTestingModule({
      imports: [GatewayApiModule.forRoot({ link: bus.link() })],
    }).compile();
    await module.init();
    const gateway = module.get(GatewayApi);
    try {
      const partial = { partial: 'allow' } as const;
      expect(isOf<number>()(await gateway.getAllClientCount(), true)).toBe(0);
      expect(isOf<number>()(await gateway.getAllClientCount({ deadlineMs: 100 }), true)).toBe(0);
      expect(isOf<number>()(await gateway.getAllClientCount({ partial: 'reject' }), true)).toBe(0);
      const counted = await gateway.getAllClientCount(partial);
      expect(isOf<number>()(counted.result, true)).toBe(0);
      expect(isOf<readonly string[]>()(counted.missing, true)).toEqual([]);
      // @ts-expect-error the count is in `result`
      expect(counted + 1).not.toBe(1);
      // @ts-expect-error no such option
      await gateway.getAllUidCount({ partial: 'maybe' });
      const online = await gateway.isUidOnline('ada', { partial: 'allow', deadlineMs: 50 });
      expect(isOf<boolean>()(online.result, true)).toBe(false);
      const page = await gateway.getUidPage({ limit: 1, groups: 'lobby' });
      expect(isOf<Page<readonly string[]>>()(page, true)).toEqual({ items: [], cursor: undefined });
      const partialPage = await gateway.getClientSessionPage({ ...partial, limit: 5 });
      expect(partialPage).toEqual({ result: { items: {}, cursor: undefined }, missing: [] });
      const lists = await gateway.getClientIdByUids(['ada']);
      expect(isOf<Record<string, readonly string[]>>()(lists, true)).toEqual({ ada: [] });
      expect(isOf<boolean>()(await gateway.isOnline('id', { deadlineMs: 10 }), true)).toBe(false);
    } finally {
      await module.close();
    }
  });

  it('of an app that declares no events leave topics and bodies free', () => {
    const check = async (gateway: GatewayApi) => {
      await gateway.sendToAll('any/topic');
      await gateway.sendToAll('any/topic', { any: ['body'] });
      isOf<boolean>()(await gateway.closeClient('id', 'any/topic', 1), true);
      // @ts-expect-error a topic is text
      await gateway.sendToAll(1);
    };
    expect(check).toBeInstanceOf(Function);
  });

  it('are free too where an app or a module is asked for GatewayApi, and its events are not known', () => {
    const check = async (app: INestApplicationContext, module: TestingModule) => {
      await app.get(GatewayApi).sendToAll('a/b', 1);
      await app.get(GatewayApi).sendToAll('a/b');
      await module.get(GatewayApi).sendToGroup('lobby', 'a/b', { any: ['body'] }, { exclude: 'id' });
      isOf<boolean>()(await app.get(GatewayApi).sendToClient('id', 'a/b', 1, confirm), true);
      isOf<boolean>()(await app.get(GatewayApi).closeClient('id', 'a/b', 1), true);
      const api: GatewayApi = app.get(GatewayApi);
      const declared: GatewayApi<ChatEvents> = app.get(GatewayApi);
      const named = app.get<GatewayApi<ChatEvents>>(GatewayApi);
      // @ts-expect-error no such topic
      await named.sendToAll('a/b', 1);
      // @ts-expect-error a topic is text
      await app.get(GatewayApi).sendToAll(1);
      return [api, declared];
    };
    expect(check).toBeInstanceOf(Function);
  });

  it('may be declared as an interface, a type or a class, each key being a topic', () => {
    type Events = { 'a/type': number };
    class ClassEvents {
      'a/class' = '';
    }
    const check = async (one: GatewayApi<Events>, other: GatewayApi<ClassEvents>, third: GatewayApi<ChatEvents>) => {
      await one.sendToAll('a/type', 1);
      await other.sendToAll('a/class', 'text');
      await third.sendToAll('chat/count', 1);
      // @ts-expect-error no such topic
      await other.sendToAll('a/type', 1);
    };
    expect(check).toBeInstanceOf(Function);
  });
});
