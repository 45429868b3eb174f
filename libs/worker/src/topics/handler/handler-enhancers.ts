import type { ApplicationConfig, ModuleRef, NestContainer } from '@nestjs/core';
import type { CanActivate, PipeTransform } from '@nestjs/common';
import {
  containerOf,
  EXCEPTION_FILTERS_METADATA,
  GuardsContextCreator,
  InterceptorsContextCreator,
  PipesContextCreator,
  pipelineFault,
  metadataOf,
} from '../../internals/nest.js';
import { GateExceptionFilter } from '../errors/gate-exception.filter.js';

/** The global guards and pipes with which Nest has made the pipeline of a handler. */
export interface GlobalEnhancers {
  readonly guards: readonly unknown[];
  readonly pipes: readonly unknown[];
}

/** What Nest's pipeline calls for a handler, in the order in which it does. */
export interface HandlerEnhancers {
  readonly guards: readonly CanActivate[];
  /** Those for all parameters; a parameter's own come after them. */
  readonly pipes: readonly PipeTransform[];
}

/** Copies what may be added to later. */
export function globalEnhancers(config: ApplicationConfig): GlobalEnhancers {
  return { guards: [...config.getGlobalGuards()], pipes: [...config.getGlobalPipes()] };
}

/** Whether the global enhancers of an app are still those of then. */
export function isUnchanged(before: GlobalEnhancers, config: ApplicationConfig): boolean {
  const { guards, pipes } = globalEnhancers(config);
  return isSame(before.guards, guards) && isSame(before.pipes, pipes);
}

/** Whether an app has interceptors, filters, hooks or enhancers with request scope around all its handlers: only Nest runs those. */
export function hasForeignEnhancers(config: ApplicationConfig): boolean {
  return [
    config.getGlobalInterceptors(),
    config.getGlobalFilters(),
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestInterceptors(),
    config.getGlobalRequestFilters(),
    config.getGlobalPreRequestHooks(),
  ].some(enhancers => enhancers.length > 0);
}

/** The finder of an app; `undefined` when this Nest has no such classes: then all handlers are called through its own pipeline. */
export function finderOf(moduleRef: ModuleRef): EnhancerFinder | undefined {
  const container = pipelineFault() === undefined ? containerOf(moduleRef) : undefined;
  return container && new EnhancerFinder(container);
}

/** Finds the enhancers of handlers, with the classes of Nest that make its pipeline: so they are the same ones. */
export class EnhancerFinder {
  private readonly guards: GuardsContextCreator;
  private readonly pipes: PipesContextCreator;
  private readonly interceptors: InterceptorsContextCreator;

  constructor(container: NestContainer) {
    const config = container.applicationConfig;
    this.guards = new GuardsContextCreator(container, config);
    this.pipes = new PipesContextCreator(container, config);
    this.interceptors = new InterceptorsContextCreator(container, config);
  }

  /** The guards and pipes of a handler; `undefined` when it has interceptors, or filters of its own. */
  find(controller: object, method: (...args: unknown[]) => unknown, moduleKey: string): HandlerEnhancers | undefined {
    if (hasFilters(controller.constructor, method)) return undefined;
    if (this.interceptors.create(controller, method, moduleKey).length > 0) return undefined;
    return {
      guards: this.guards.create(controller, method, moduleKey),
      pipes: this.pipes.create(controller, method, moduleKey),
    };
  }

  /** The pipes that a parameter's decorator names. */
  ofParameter(pipes: readonly unknown[], moduleKey: string): PipeTransform[] {
    this.pipes.setModuleContext(moduleKey);
    return this.pipes.createConcreteContext<never, PipeTransform[]>(pipes as never);
  }
}

function hasFilters(controller: Function, method: Function): boolean {
  const own = (target: Function) => metadataOf<unknown[]>(EXCEPTION_FILTERS_METADATA, target) ?? [];
  return own(method).length > 0 || own(controller).some(filter => filter !== GateExceptionFilter);
}

function isSame(before: readonly unknown[], now: readonly unknown[]): boolean {
  return before.length === now.length && before.every((each, index) => each === now[index]);
}
