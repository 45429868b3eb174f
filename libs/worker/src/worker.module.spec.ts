import { afterEach, describe, expect, it } from '@jest/globals';
import type { DynamicModule } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { GatewayApi } from './gateway/gateway-api.js';
import { LINK } from './node/node.providers.js';
import { GatewayApiModule, WorkerModule } from './worker.module.js';

const MODULES = [
  ['WorkerModule', WorkerModule],
  ['GatewayApiModule', GatewayApiModule],
] as const;

describe.each(MODULES)('%s', (name, Module) => {
  let module: TestingModule | undefined;
  afterEach(async () => {
    await module?.close();
    module = undefined;
  });

  async function start(imported: () => DynamicModule): Promise<void> {
    module = await Test.createTestingModule({ imports: [imported()] }).compile();
  }

  async function refusalOf(imported: () => DynamicModule): Promise<string> {
    const error: unknown = await start(imported).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(GateError);
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    return (error as GateError).message;
  }

  const refused = (options: unknown) => refusalOf(() => Module.forRoot(options as never));

  it('needs no options', async () => {
    await start(() => Module.forRoot());
    expect(module?.get(GatewayApi)).toBeInstanceOf(GatewayApi);
  });

  it('takes all options, also as undefined, but for the link', async () => {
    const unset = { secret: undefined, nodeId: undefined, gateWait: undefined, currentClient: undefined };
    await start(() => Module.forRoot({ link: 'memory:', ...unset, isGlobal: undefined }));
    await module?.close();
    await start(() =>
      Module.forRoot({ secret: 's', nodeId: 'n1', gateWait: 0, currentClient: false, isGlobal: false }),
    );
  });

  it.each([
    ['lnik', 'link'],
    ['secrte', 'secret'],
    ['nodeid', 'nodeId'],
    ['isGlobl', 'isGlobal'],
    ['gatewait', 'gateWait'],
  ])('refuses %s, and names %s', async (key, nearest) => {
    expect(await refused({ [key]: 'x' })).toBe(`${name}: unknown option "${key}"; did you mean "${nearest}"?`);
  });

  it('refuses to start with a link that is undefined: an environment variable that is not set', async () => {
    const unset = [
      () => Module.forRoot({ link: undefined }),
      () => Module.forRootAsync({ useFactory: () => ({ link: undefined }) }),
    ];
    for (const imported of unset) {
      await start(imported);
      // A worker without a server joins the link with its first call.
      const joined = module?.init().then(() => module?.get(LinkNode).open());
      await expect(joined).rejects.toMatchObject({
        code: 'BAD_ARGUMENT',
        message: expect.stringMatching(new RegExp(`^${name}: option link is undefined.*environment variable.*no gate`)),
      });
      await module?.close();
    }
  });

  it('needs no link where a test brings one', async () => {
    const link = new MemoryBus().link();
    module = await Test.createTestingModule({ imports: [Module.forRoot({ link: undefined })] })
      .overrideProvider(LINK)
      .useValue(link)
      .compile();
    await module.init();
  });

  it.each([
    ['link', 5],
    ['link', {}],
    ['link', null],
    ['link', ''],
    ['secret', 5],
    ['nodeId', 5],
    ['nodeId', 'a b'],
    ['gateWait', '5'],
    ['gateWait', -1],
    ['currentClient', 'no'],
  ])('refuses %s: %j', async (key, value) => {
    expect(await refused({ [key]: value })).toContain(key === 'nodeId' && value === 'a b' ? 'node id' : key);
  });

  it('refuses what is no options', async () => {
    for (const bad of [null, 'tcp://127.0.0.1:1', false]) {
      expect(await refused(bad)).toMatch(new RegExp(`^${name}: the options must be an object, but .+ was given$`));
    }
    expect(await refusalOf(() => Module.forRootAsync({ useFactory: () => undefined as never }))).toBe(
      `${name}: the options must be an object, but undefined was given`,
    );
  });

  it('checks what a factory gives as well', async () => {
    const of = (options: object) => refusalOf(() => Module.forRootAsync({ useFactory: async () => options }));
    expect(await of({ lnik: 'memory:' })).toContain('did you mean "link"?');
    expect(await of({ isGlobal: false })).toBe(
      `${name}: "isGlobal" stands beside useFactory, not in the options that it gives`,
    );
    await start(() => Module.forRootAsync({ isGlobal: false, useFactory: async () => ({ link: 'memory:' }) }));
  });

  it('refuses misspelt keys beside a factory', async () => {
    const of = (options: object) => refusalOf(() => Module.forRootAsync(options));
    const useFactory = () => ({});
    expect(await of({ usefactory: useFactory })).toBe(
      `${name}.forRootAsync: unknown option "usefactory"; did you mean "useFactory"?`,
    );
    expect(await of({ useFactory, injects: [] })).toContain('did you mean "inject"?');
    expect(await of({})).toBe(`${name}.forRootAsync: one of useFactory, useClass, useExisting is needed`);
  });
});
