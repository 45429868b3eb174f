import { afterEach, describe, expect, it } from '@jest/globals';
import type { DynamicModule } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { GateError } from '@nestgate/protocol';
import { Gate } from './gate.js';
import { GateModule } from './gate.module.js';

describe('GateModule', () => {
  let module: TestingModule | undefined;
  const lines: string[] = [];
  afterEach(async () => {
    await module?.close();
    module = undefined;
    lines.length = 0;
  });

  /** The providers are made, and nothing is started. */
  async function start(imported: () => DynamicModule): Promise<Gate> {
    const ignore = (): undefined => undefined;
    const logger = { log: ignore, error: ignore, warn: (line: string) => void lines.push(line) };
    module = await Test.createTestingModule({ imports: [imported()] })
      .setLogger(logger)
      .compile();
    return module.get(Gate);
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

  it('needs no options', async () => {
    const { options } = await start(() => GateModule.forRoot());
    expect(options).toMatchObject({ ws: { path: '/gate' }, tcp: undefined });
    expect(lines).toEqual([]);
  });

  it.each([
    ['lnik', 'link'],
    ['secrte', 'secret'],
    ['provider', 'providers'],
    ['isGlobl', 'isGlobal'],
  ])('refuses %s, and names %s', async (key, nearest) => {
    expect(await refusalOf(() => GateModule.forRoot({ [key]: [] } as never))).toBe(
      `GateModule: unknown option "${key}"; did you mean "${nearest}"?`,
    );
  });

  it('refuses what is no options', async () => {
    for (const bad of [null, 3000, 'memory:']) {
      expect(await refusalOf(() => GateModule.forRoot(bad as never))).toContain('the options must be an object');
    }
    expect(await refusalOf(() => GateModule.forRootAsync({ useFactory: () => undefined as never }))).toContain(
      'the options must be an object, but undefined was given',
    );
  });

  it('checks what a factory gives, and what stands beside it', async () => {
    const of = (options: object) => refusalOf(() => GateModule.forRootAsync({ useFactory: async () => options }));
    expect(await of({ pingIntervall: 1 })).toContain('did you mean "pingInterval"?');
    expect(await of({ providers: [] })).toBe(
      'GateModule: "providers" stands beside useFactory, not in the options that it gives',
    );
    expect(await refusalOf(() => GateModule.forRootAsync({ useFactry: () => ({}) } as never))).toContain(
      'did you mean "useFactory"?',
    );
    expect(await refusalOf(() => GateModule.forRootAsync({}))).toContain('one of useFactory, useClass, useExisting');
  });

  it('warns of what is hardly meant', async () => {
    await start(() => GateModule.forRoot({ link: undefined, heartOverTimer: 1_000 }));
    expect(lines).toEqual([
      expect.stringContaining('link is undefined'),
      expect.stringContaining('heartOverTimer (1000) is not more than pingInterval (25000)'),
    ]);
  });
});
