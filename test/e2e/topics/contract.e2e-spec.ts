import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, type INestApplicationContext, Module, type Type } from '@nestjs/common';
import { contract, pick, push, request, stream, type } from '@nestgate/contract';
import { GateModule, type GateOptions } from '@nestgate/gate';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { type GatewayApi, OnTopic, WorkerModule, type WorkerModuleOptions } from '@nestgate/worker';
import { z } from 'zod';
import { shop, ShopTopics, ways, WaysTopics } from './support/contract-support.js';
import { LinkSupply } from '../support/links.js';

type ContractOptions = Pick<WorkerModuleOptions, 'contracts' | 'strict' | 'validate'>;

let cluster: TestCluster | undefined;
let supply: LinkSupply | undefined;

afterEach(async () => {
  await cluster?.close();
  await supply?.close();
  cluster = undefined;
  supply = undefined;
});

/** A gate with handlers, or with a worker that has them. */
async function start(
  controllers: Type[],
  options: ContractOptions,
  { workers = 0, link = 'memory' as 'memory' | 'tcp', lines = [] as string[] } = {},
): Promise<TestCluster> {
  @Module({ imports: [WorkerModule.forRoot(options)], controllers })
  class WorkerApp {}
  const gate: GateOptions = workers === 0 ? { ...options } : {};
  const note = (message: unknown): void => void lines.push(String(message));
  supply = await LinkSupply.open(link);
  cluster = await createTestCluster({
    gate,
    workers,
    ...(workers > 0 ? { workerModule: WorkerApp } : { handlers: { controllers } }),
    link: await supply.forCluster(1),
    logger: { log: () => undefined, warn: note, error: note },
  });
  return cluster;
}

const SHAPES = [
  { name: 'in one process', workers: 0, link: 'memory' },
  { name: 'over a memory link', workers: 1, link: 'memory' },
  { name: 'over a tcp link', workers: 1, link: 'tcp' },
] as const;

describe.each(SHAPES)('bodies of a contract $name', shape => {
  it('are validated by zod, valibot, arktype and class-validator', async () => {
    const client = await (await start([ShopTopics], { contracts: [shop], strict: true }, shape)).connect();
    const fine = { dish: 'soup', count: 7 };
    expect(await client.request('shop/zod', fine)).toEqual({ ...fine, guest: true });
    expect(await client.request('shop/valibot', fine)).toEqual(fine);
    expect(await client.request('shop/arktype', fine)).toEqual(fine);
    expect(await client.request('shop/dto', fine)).toEqual({ ...fine, isLarge: true });
    for (const topic of ['shop/zod', 'shop/valibot', 'shop/arktype', 'shop/dto']) {
      const { error } = await client.exchange(topic, { dish: 1, count: 11 });
      expect(error).toEqual({
        code: 'BAD_REQUEST',
        message: 'The request is not valid',
        details: expect.arrayContaining([
          { path: 'dish', message: expect.stringMatching(/string/i) },
          { path: 'count', message: expect.stringMatching(/10/) },
        ]),
      });
      for (const body of [undefined, null, 'text', 7, []]) {
        expect([topic, body, (await client.exchange(topic, body)).error?.code]).toEqual([topic, body, 'BAD_REQUEST']);
      }
    }
  });

  it('come to the handler as its schema gives them', async () => {
    const client = await (await start([WaysTopics], { contracts: [ways], strict: true }, shape)).connect();
    expect(await client.request('ways/output', { name: ' ada ', more: 1 })).toEqual({ name: 'ada', size: 1 });
    expect(await client.request('ways/later', { name: 'free' })).toEqual({ name: 'free' });
    expect((await client.exchange('ways/later', { name: 'taken' })).error?.details).toEqual([
      { path: 'name', message: 'is taken' },
    ]);
    expect((await client.exchange('ways/list', [{ id: 1 }, { id: 'x' }])).error?.details).toEqual([
      { path: '[1].id', message: expect.stringContaining('number') },
    ]);
    // Without a schema nothing is looked at.
    expect(await client.request('ways/none', 'anything')).toEqual({ body: 'anything' });
    expect(await client.request('ways/plain', 1)).toEqual({ body: 1 });
    // Also where the handler does not look at its body.
    expect(await client.request('ways/unread', { a: 1 })).toBe('never looked');
    expect((await client.exchange('ways/unread', {})).error?.code).toBe('BAD_REQUEST');
  });

  it('are validated after guards and pipes, and before pipes of the parameter', async () => {
    const client = await (await start([WaysTopics], { contracts: [ways] }, shape)).connect();
    expect((await client.exchange('ways/guarded', 'bad')).error?.code).toBe('FORBIDDEN');
    expect((await client.exchange('ways/piped', 'bad')).error?.message).toBe('from the pipe');
    expect((await client.exchange('ways/piped', { a: 'x' })).error?.details).toEqual([
      { path: 'a', message: expect.stringContaining('number') },
    ]);
    expect(await client.request('ways/piped', { a: 1 })).toEqual({ a: 2, guest: true });
    // Nest's own pipeline, because of an interceptor.
    expect(await client.request('ways/wrapped', { a: 1 })).toEqual({ wrapped: { a: 1 } });
    expect((await client.exchange('ways/wrapped', { a: 'x' })).error?.details).toEqual([
      { path: 'a', message: expect.stringContaining('number') },
    ]);
  });

  it('that are messages never reach the handler when they are not valid', async () => {
    const running = await start([WaysTopics], { contracts: [ways] }, shape);
    const client = await running.connect();
    client.send('ways/sent', { a: 'x' });
    client.send('ways/sent', { a: 1 });
    const failure = (await client.push('$gate/error')).body;
    expect(failure).toMatchObject({ code: 'BAD_REQUEST', topic: 'ways/sent' });
    await client.request('ways/unread', { a: 1 });
    const app: INestApplicationContext = (running.workers[0] ?? running.gate).app;
    expect(app.get(WaysTopics).sentBodies).toEqual([{ a: 1 }]);
  });

  it('name a bounded number of issues, however many a client makes', async () => {
    const client = await (await start([WaysTopics], { contracts: [ways] }, shape)).connect();
    const many = Array.from({ length: 2_000 }, () => ({ id: 'x' }));
    const { error } = await client.exchange('ways/list', many);
    expect(error?.details).toHaveLength(21);
    const keys = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`key-${i}`, 1]));
    const { error: other } = await client.exchange('ways/strict', keys);
    expect(JSON.stringify(other).length).toBeLessThan(2_000);
  });

  it('are not validated with validate: off', async () => {
    const client = await (await start([WaysTopics], { contracts: [ways], validate: 'off' }, shape)).connect();
    expect(await client.request('ways/strict', 'anything')).toBe('anything');
    expect(await client.request('ways/wrapped', 'anything')).toEqual({ wrapped: 'anything' });
    expect(await client.request('ways/reply', { ok: 'no' })).toEqual({ ok: 'no' });
  });
});

describe('replies and pushes of a contract', () => {
  it('are checked with validate: both, and the log names what is wrong', async () => {
    const lines: string[] = [];
    const running = await start([WaysTopics], { contracts: [ways], validate: 'both' }, { lines });
    const client = await running.connect();
    for (const topic of ['ways/reply', 'ways/streamed', 'ways/slowReply']) {
      // What is sent is what was returned, not what the schema makes of it.
      expect(await client.request(topic, { ok: true, more: 1 })).toEqual({ ok: true, more: 1 });
      lines.length = 0;
      const { error } = await client.exchange(topic, { ok: 'no' });
      expect(error).toEqual({ code: 'INTERNAL', message: 'Internal server error' });
      expect(lines.join('\n')).toContain(`${topic}: the reply does not fit the contract: ok: `);
    }
    expect(await client.request('ways/items', [1, 2])).toBe(2);
    lines.length = 0;
    expect((await client.exchange('ways/items', ['x', 2])).error?.code).toBe('INTERNAL');
    expect(lines.join('\n')).toContain('ways/items: an item does not fit the contract: ');
  });

  it('that are pushes reject with BAD_ARGUMENT before anything is sent', async () => {
    const running = await start([WaysTopics], { contracts: [ways], validate: 'both' });
    const client = await running.connect();
    const { clientId } = client;
    const gateway = running.api;
    const bad = { a: 'x' };
    const refusal = { code: 'BAD_ARGUMENT', message: expect.stringContaining("The push 'ways/received' does not fit") };
    const pushes: ((api: GatewayApi, body: unknown) => Promise<unknown>)[] = [
      (api, body) => api.sendToAll('ways/received', body),
      (api, body) => api.sendToClient(clientId, 'ways/received', body),
      (api, body) => api.sendToUid('ada', 'ways/received', body),
      (api, body) => api.sendToGroup('lobby', 'ways/received', body),
      (api, body) => api.closeClient('nobody', 'ways/received', body),
    ];
    for (const each of pushes) {
      await expect(each(gateway, bad)).rejects.toMatchObject(refusal);
      await each(gateway, { a: 1 });
    }
    await gateway.sendToAll('ways/other', bad);
    expect((await client.push('ways/other')).body).toEqual(bad);
    expect(client.pushes('ways/received').map(({ body }) => body)).toEqual([{ a: 1 }, { a: 1 }]);
  });

  it.each(['in', 'off'] as const)('are not with validate: %s', async validate => {
    const running = await start([WaysTopics], { contracts: [ways], validate });
    const client = await running.connect();
    expect(await client.request('ways/reply', { ok: 'no' })).toEqual({ ok: 'no' });
    await running.api.sendToAll('ways/received', { a: 'x' });
    expect((await client.push('ways/received')).body).toEqual({ a: 'x' });
  });
});

describe('the contracts of an app', () => {
  const small = contract('small', {
    one: request({ reply: type<number>() }),
    two: request({ body: z.string(), reply: type<number>() }),
    three: stream({ item: type<number>() }),
    told: push(),
  });

  @Controller()
  class One {
    @OnTopic(small.one)
    one(): number {
      return 1;
    }
  }

  @Controller()
  class ByName {
    @OnTopic('small/two')
    two(): number {
      return 2;
    }
  }

  @Controller()
  class Foreign {
    @OnTopic('foreign/topic')
    handle(): void {}
  }

  it('stop the start with the names of entries that nobody handles', async () => {
    await expect(start([One], { contracts: [small] })).rejects.toThrow(
      'No method handles these entries of the contracts: small/two, small/three.',
    );
    await expect(start([One], { contracts: [small] }, { workers: 1 })).rejects.toThrow('small/two, small/three');
  });

  it('may be a part of one, and a handler may name its topic as a string', async () => {
    const running = await start([One, ByName, Foreign], { contracts: [pick(small, 'one', 'two')] });
    const client = await running.connect();
    expect(await client.request('small/one')).toBe(1);
    expect(await client.request('small/two', 'text')).toBe(2);
  });

  it('stop the start, where they are strict, with the methods that handle other topics, or name theirs as a string', async () => {
    const contracts = [pick(small, 'one')];
    await expect(start([One, Foreign], { contracts, strict: true })).rejects.toThrow(
      "These methods handle topics of no contract: Foreign.handle ('foreign/topic').",
    );
    const both = [pick(small, 'one', 'two')];
    await expect(start([One, ByName], { contracts: both, strict: true })).rejects.toThrow(
      "These methods name a topic of a contract as a string: ByName.two ('small/two').",
    );
    await start([One], { contracts, strict: true });
  });

  it.each<[string, unknown, string]>([
    ['validate', { validate: 'out' }, "option validate must be 'in', 'both' or 'off'"],
    ['strict', { strict: 1, contracts: [] }, 'option strict must be true or false, but a number was given'],
    ['strict alone', { strict: true }, 'option strict needs the option contracts'],
    ['one contract', { contracts: small }, 'option contracts must be an array of contracts, but an object was given'],
    ['no contract', { contracts: ['small'] }, 'option contracts[0] must be a contract, but a string was given'],
    ['no entries', { contracts: [{ one: request() }] }, 'option contracts[0].one is no entry of a contract'],
    ['a topic twice', { contracts: [small, small] }, "option contracts has the topic 'small/one' twice"],
    ['a misspelt key', { contract: [small] }, 'unknown option "contract"; did you mean "contracts"?'],
  ])('are refused with %s', async (_what, options, message) => {
    for (const module of [WorkerModule, GateModule]) {
      @Module({ imports: [module.forRoot(options as ContractOptions)] })
      class App {}
      const name = module === WorkerModule ? 'workerModule' : 'gateModule';
      await expect(createTestCluster({ [name]: App, workers: name === 'workerModule' ? 1 : 0 })).rejects.toThrow(
        expect.objectContaining({ code: 'BAD_ARGUMENT', message: expect.stringContaining(message) }),
      );
    }
  });

  it('refuse methods that cannot be validated, where they are written', () => {
    const other = contract('other', { body: request({ body: z.number() }) });
    const decorate =
      (...decorators: ((target: object, key: string, descriptor: PropertyDescriptor) => void)[]) =>
      () => {
        class Class {
          method(): void {}
        }
        const descriptor = Object.getOwnPropertyDescriptor(Class.prototype, 'method') as PropertyDescriptor;
        for (const each of decorators) each(Class.prototype, 'method', descriptor);
      };
    const typed = OnTopic(small.two) as MethodDecorator;
    expect(decorate(typed, OnTopic('a/b'))).toThrow(
      "Class.method handles 'small/two' and 'a/b', whose bodies have different schemas: use two methods",
    );
    expect(decorate(typed, OnTopic(other.body) as MethodDecorator)).toThrow('whose bodies have different schemas');
  });
});
