import { type PipeTransform, ValidationPipe } from '@nestjs/common';
import { ApplicationConfig, type ModuleRef, type ModulesContainer } from '@nestjs/core';
import * as core from '@nestjs/core/internal';
import { describe, expect, it } from '@jest/globals';
import {
  configOf,
  containerOf,
  isIdleValidation,
  nestFaults,
  pipelineFault,
  rpcFilterCall,
  runLast,
  watchPipelines,
} from './nest.js';
import { neededPart, nestVersion } from './nest-version.js';

describe('the parts of the installed Nest', () => {
  it('are there', () => {
    expect(nestFaults()).toEqual([]);
    expect(rpcFilterCall()).toBeInstanceOf(Function);
  });

  it.each(['@nestjs/core', '@nestjs/common', '@nestjs/microservices'])('are of a version that is known: %s', name => {
    expect(nestVersion(name)).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+`));
  });

  it.each([
    'ContextUtils',
    'ExecutionContextHost',
    'GuardsContextCreator',
    'InterceptorsContextCreator',
    'ParamsTokenFactory',
    'PipesConsumer',
    'PipesContextCreator',
  ])('are named with the version when they are missing: %s', part => {
    expect(pipelineFault({ ...core, [part]: undefined })).toBe(`${part} of ${nestVersion('@nestjs/core')} is missing`);
    expect(pipelineFault({ ...core, [part]: class {} })).toMatch(new RegExp(`^${part}\\.\\w+ of @nestjs/core \\d`));
  });

  it('stop the start where nothing can stand in for them', () => {
    expect(() => neededPart('@nestjs/core', { here: 1 } as { here?: number; gone?: number }, 'gone')).toThrow(
      /does not know @nestjs\/core \d+\.\d+\.\d+: its gone is missing/,
    );
  });

  it('have no container elsewhere', () => {
    expect([containerOf({} as ModuleRef), configOf({} as ModuleRef)]).toEqual([undefined, undefined]);
  });

  it('order modules by a distance that can be set', () => {
    class Own {}
    const modules = (distance: unknown): ModulesContainer =>
      new Map([['own', { metatype: Own, distance }]]) as unknown as ModulesContainer;
    const known = modules(3);
    runLast(known, Own);
    expect([...known.values()].map(({ distance }) => distance)).toEqual([-1]);
    expect(() => runLast(modules(undefined), Own)).toThrow(/does not know the modules of @nestjs\/core \d/);
  });

  it('tell when a pipeline is made, and are as before then', () => {
    const config = new ApplicationConfig();
    let made = 0;
    const stop = watchPipelines(config, () => made++);
    expect([config.getGlobalPreRequestHooks(), made]).toEqual([[], 1]);
    stop();
    expect([Object.hasOwn(config, 'getGlobalPreRequestHooks'), config.getGlobalPreRequestHooks(), made]).toEqual([
      false,
      [],
      1,
    ]);
  });

  it('say which pipes do nothing', () => {
    const metadata = { metatype: undefined, type: 'body', data: undefined, schema: undefined };
    class Dto {}
    class Own extends ValidationPipe {}
    expect(isIdleValidation(new ValidationPipe(), metadata)).toBe(true);
    expect(isIdleValidation(new ValidationPipe(), { ...metadata, metatype: Dto })).toBe(false);
    expect(isIdleValidation(new ValidationPipe({ expectedType: Dto }), metadata)).toBe(false);
    for (const pipe of [new Own(), { transform: (value: unknown) => value } satisfies PipeTransform]) {
      expect(isIdleValidation(pipe, metadata)).toBe(false);
    }
  });
});
