import { GUARDS_METADATA, INTERCEPTORS_METADATA, PIPES_METADATA } from '@nestjs/common/constants.js';
import { EXCEPTION_FILTERS_METADATA } from '@nestjs/common/internal';
import type { ApplicationConfig } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/internal';
import { PARAM_ARGS_METADATA } from '@nestjs/microservices/constants.js';
import { RpcParamtype } from '@nestjs/microservices/enums/rpc-paramtype.enum.js';
import { sessionOf } from './client-session.decorator.js';
import { GateExceptionFilter } from './gate-exception.filter.js';
import type { TopicContext } from './topic-context.js';

/** Calls a handler with its arguments, and with nothing around it. */
export type PlainCall = (payload: unknown, context: TopicContext) => unknown;

type ParamMetadata = Readonly<
  Record<
    string,
    { index: number; data?: unknown; pipes?: readonly unknown[]; schema?: unknown; factory?: ParamFactory }
  >
>;
type ParamFactory = (data: unknown, context: ExecutionContextHost) => unknown;
type Extract = (payload: unknown, context: TopicContext) => unknown;

const CUSTOM = '__customRouteArgs__';

/** Whether an app has guards, pipes, interceptors, filters or hooks around all its handlers. */
export function hasGlobalEnhancers(config: ApplicationConfig): boolean {
  return [
    config.getGlobalGuards(),
    config.getGlobalPipes(),
    config.getGlobalInterceptors(),
    config.getGlobalFilters(),
    config.getGlobalRequestGuards(),
    config.getGlobalRequestPipes(),
    config.getGlobalRequestInterceptors(),
    config.getGlobalRequestFilters(),
    config.getGlobalPreRequestHooks(),
  ].some(enhancers => enhancers.length > 0);
}

/**
 * How to call a handler whose pipeline is empty: no guard, pipe, interceptor or filter of its own, of its class or of its
 * parameters. Nest would call it through several promises, which cost more than most handlers do. `undefined` for every
 * other handler.
 */
export function plainCall(controller: object, key: string, method: Function): PlainCall | undefined {
  const { constructor } = controller;
  if (isEnhanced(method) || isEnhanced(constructor)) return undefined;
  if (listOf(EXCEPTION_FILTERS_METADATA, method).length > 0) return undefined;
  if (listOf(EXCEPTION_FILTERS_METADATA, constructor).some(filter => filter !== GateExceptionFilter)) return undefined;
  // Without any decorated parameter Nest gives the payload as the first argument.
  const params = (Reflect.getMetadata(PARAM_ARGS_METADATA, constructor, key) as ParamMetadata | undefined) ?? {
    [`${RpcParamtype.PAYLOAD}:0`]: { index: 0 },
  };
  const extracts: (Extract | undefined)[] = [];
  for (const [type, { index, data, pipes = [], schema, factory }] of Object.entries(params)) {
    if (pipes.length > 0 || schema !== undefined) return undefined;
    const extract = type.includes(CUSTOM) ? factory && custom(factory, data, constructor, method) : builtIn(type, data);
    if (!extract) return undefined;
    extracts[index] = extract;
  }
  return calling(
    controller,
    method,
    Array.from(extracts, extract => extract ?? nothing),
  );
}

function isEnhanced(target: Function): boolean {
  return [GUARDS_METADATA, PIPES_METADATA, INTERCEPTORS_METADATA].some(key => listOf(key, target).length > 0);
}

function listOf(key: string, target: Function): readonly unknown[] {
  return (Reflect.getMetadata(key, target) as readonly unknown[] | undefined) ?? [];
}

/** Nest names a parameter by its kind and index. */
function builtIn(name: string, data: unknown): Extract | undefined {
  if (name.startsWith(`${RpcParamtype.CONTEXT}:`)) return (_payload, context) => context;
  if (!name.startsWith(`${RpcParamtype.PAYLOAD}:`)) return undefined;
  if (!data) return payload => payload;
  return payload => (payload as Record<string, unknown> | undefined)?.[data as string];
}

function custom(factory: ParamFactory, data: unknown, controller: Function, method: Function): Extract {
  if (factory === sessionOf) return (_payload, context) => context.session;
  return (payload, context) => {
    const host = new ExecutionContextHost([payload, context], controller as never, method);
    host.setType('rpc');
    return factory(data, host);
  };
}

/** One closure per handler; none, and no array, per call of the usual ones. */
function calling(controller: object, method: Function, extracts: readonly Extract[]): PlainCall {
  const call = method as (this: object, ...args: unknown[]) => unknown;
  const [a = nothing, b = nothing, c = nothing] = extracts;
  switch (extracts.length) {
    case 0:
      return () => call.call(controller);
    case 1:
      return (payload, context) => call.call(controller, a(payload, context));
    case 2:
      return (payload, context) => call.call(controller, a(payload, context), b(payload, context));
    case 3:
      return (payload, context) => call.call(controller, a(payload, context), b(payload, context), c(payload, context));
    default:
      return (payload, context) =>
        call.apply(
          controller,
          extracts.map(extract => extract(payload, context)),
        );
  }
}

function nothing(): null {
  return null;
}
