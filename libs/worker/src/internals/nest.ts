/**
 * The private parts of Nest that handlers need, here and nowhere else. `docs/architecture.md` lists them, with what happens when one
 * is missing: metadata keys are needed, all else has a fallback.
 */
import { type ArgumentsHost, type PipeTransform, type Type, ValidationPipe } from '@nestjs/common';
import * as common from '@nestjs/common/internal';
import type { ApplicationConfig, ModuleRef, ModulesContainer, NestContainer } from '@nestjs/core';
import * as core from '@nestjs/core/internal';
import * as microservices from '@nestjs/microservices/constants.js';
import * as paramtypes from '@nestjs/microservices/enums/rpc-paramtype.enum.js';
import { RpcExceptionsHandler } from '@nestjs/microservices/exceptions/rpc-exceptions-handler.js';
import { neededPart, nestVersion } from './nest-version.js';

const COMMON = '@nestjs/common';
const CORE = '@nestjs/core';
const MICROSERVICES = '@nestjs/microservices';

/** The keys under which Nest's decorators keep what they are told, and a mark in names of parameters. */
export const CUSTOM_ROUTE_ARGS_METADATA = neededPart(COMMON, common, 'CUSTOM_ROUTE_ARGS_METADATA');
export const EXCEPTION_FILTERS_METADATA = neededPart(COMMON, common, 'EXCEPTION_FILTERS_METADATA');
export const FILTER_CATCH_EXCEPTIONS = neededPart(COMMON, common, 'FILTER_CATCH_EXCEPTIONS');
export const GUARDS_METADATA = neededPart(COMMON, common, 'GUARDS_METADATA');
export const INTERCEPTORS_METADATA = neededPart(COMMON, common, 'INTERCEPTORS_METADATA');
export const PARAM_ARGS_METADATA = neededPart(MICROSERVICES, microservices, 'PARAM_ARGS_METADATA');
export const PATTERN_HANDLER_METADATA = neededPart(MICROSERVICES, microservices, 'PATTERN_HANDLER_METADATA');
export const PATTERN_METADATA = neededPart(MICROSERVICES, microservices, 'PATTERN_METADATA');
export const TRANSPORT_METADATA = neededPart(MICROSERVICES, microservices, 'TRANSPORT_METADATA');
export const RpcParamtype = neededPart(MICROSERVICES, paramtypes, 'RpcParamtype');

/** The classes of which Nest makes the pipeline of a handler. They may be missing: see {@link pipelineFault}. */
export const {
  ContextUtils,
  ExecutionContextHost,
  FORBIDDEN_MESSAGE,
  GuardsContextCreator,
  InterceptorsContextCreator,
  ParamsTokenFactory,
  PipesConsumer,
  PipesContextCreator,
} = core;
export type ExecutionContextHost = core.ExecutionContextHost;
export type GuardsContextCreator = core.GuardsContextCreator;
export type InterceptorsContextCreator = core.InterceptorsContextCreator;
export type PipesConsumer = core.PipesConsumer;
export type PipesContextCreator = core.PipesContextCreator;

/** What is called of those classes. */
const PIPELINE: Readonly<Record<string, readonly string[]>> = {
  ContextUtils: ['mapParamType', 'reflectCallbackMetadata', 'reflectCallbackParamtypes'],
  ExecutionContextHost: ['setType', 'switchToRpc'],
  GuardsContextCreator: ['create'],
  InterceptorsContextCreator: ['create'],
  ParamsTokenFactory: ['exchangeEnumForString'],
  PipesConsumer: ['apply'],
  PipesContextCreator: ['create', 'createConcreteContext', 'setModuleContext'],
};

/** Which part is missing for calling handlers without Nest's own pipeline, if any. */
export function pipelineFault(parts: object = core): string | undefined {
  for (const [name, methods] of Object.entries(PIPELINE)) {
    const part: unknown = Reflect.get(parts, name);
    if (typeof part !== 'function') return `${name} of ${nestVersion(CORE)} is missing`;
    const prototype = part.prototype as object;
    const missing = methods.find(method => typeof Reflect.get(prototype, method) !== 'function');
    if (missing !== undefined) return `${name}.${missing} of ${nestVersion(CORE)} is missing`;
  }
  return undefined;
}

/** What does not work with the Nest that is installed, each with the part that is missing. Empty when all parts are as expected. */
export function nestFaults(): string[] {
  const faults: string[] = [];
  const fault = pipelineFault();
  if (fault !== undefined) faults.push(`${fault}: handlers are called through the pipeline of Nest, which is slower`);
  if (!rpcFilterCall()) {
    faults.push(
      `RpcExceptionsHandler.${CALL} of ${nestVersion(MICROSERVICES)} is missing: exception filters that fail hide the error ` +
        'that they were asked about',
    );
  }
  return faults;
}

/** What a decorator has left on a class or method, or on a member of it. */
export function metadataOf<T>(key: string, target: object, member?: string | symbol): T | undefined {
  return (member === undefined ? Reflect.getMetadata(key, target) : Reflect.getMetadata(key, target, member)) as
    T | undefined;
}

/** The container of an app; none when this Nest keeps it elsewhere. */
export function containerOf(moduleRef: ModuleRef): NestContainer | undefined {
  return moduleRef['container'];
}

/** The configuration of an app, which no provider has; none when this Nest keeps it elsewhere. */
export function configOf(moduleRef: ModuleRef): ApplicationConfig | undefined {
  return containerOf(moduleRef)?.applicationConfig;
}

/** Below the distance of every module of the application. */
const LAST = -1;

/**
 * Has the bootstrap hooks of a module run after those of all others, and its shutdown hooks before them: Nest runs them by the distance
 * of their module from the root, global modules first.
 * @throws {Error} naming the version of Nest, where modules have no such distance.
 */
export function runLast(modules: ModulesContainer, metatype: Type): void {
  const own = [...modules.values()].find(module => module.metatype === metatype);
  if (typeof own?.distance === 'number') own.distance = LAST;
  if (own?.distance !== LAST) throw new Error(`nestgate does not know the modules of ${nestVersion(CORE)}`);
}

/** Called by Nest when it makes the pipeline of a handler. */
const HOOKS = 'getGlobalPreRequestHooks';

/**
 * Calls `onMade` each time that Nest makes the pipeline of a handler with this configuration, until the returned function is
 * called. Without such a call no pipeline is known, and handlers are called through that of Nest.
 */
export function watchPipelines(config: ApplicationConfig, onMade: () => void): () => void {
  const before = Object.getOwnPropertyDescriptor(config, HOOKS);
  // oxlint-disable-next-line typescript/unbound-method -- called with its object below
  const { getGlobalPreRequestHooks: hooks } = config;
  const watched = (): ReturnType<typeof hooks> => {
    onMade();
    return hooks.call(config);
  };
  config[HOOKS] = watched;
  return () => {
    // What has been put in its place meanwhile stays.
    if (config[HOOKS] !== watched) return;
    if (before) Object.defineProperty(config, HOOKS, before);
    else Reflect.deleteProperty(config, HOOKS);
  };
}

/** Metadata that a pipe receives with a value. */
export interface PipeMetadata {
  readonly metatype: unknown;
  readonly type: string;
  readonly data: unknown;
  readonly schema: unknown;
}

/** Methods that decide what a `ValidationPipe` does for a parameter. */
const OVERRIDABLE = ['transform', 'toValidate', 'transformPrimitive'];

/**
 * Whether a pipe is a `ValidationPipe` that returns what it is given, as it does for custom decorators and for types that are no classes
 * of the application: asking it takes a promise. Only Nest's own class is known to do that, not one that extends it, and not one
 * without the parts that say so.
 */
export function isIdleValidation(pipe: PipeTransform, metadata: PipeMetadata): boolean {
  if (Object.getPrototypeOf(pipe) !== ValidationPipe.prototype) return false;
  if (OVERRIDABLE.some(name => Object.hasOwn(pipe, name))) return false;
  // With `transform` it makes numbers and booleans of text in URLs.
  if (metadata.type === 'param' || (metadata.type === 'query' && metadata.data)) return false;
  if (Reflect.get(pipe, 'expectedType') !== undefined) return false;
  const toValidate: unknown = Reflect.get(pipe, 'toValidate');
  if (typeof toValidate !== 'function') return false;
  return !metadata.metatype || !Reflect.apply(toValidate, pipe, [metadata]);
}

/** What calls the exception filters of a handler that is not for HTTP. */
export interface ExceptionsHandler {
  readonly filters: readonly { readonly exceptionMetatypes: readonly unknown[] }[];
}

export type RpcFilterCall = (this: ExceptionsHandler, exception: unknown, host: ArgumentsHost) => unknown;

const CALL = 'invokeCustomFilters';

/** The method with which Nest calls those filters; none when this Nest has another way. */
export function rpcFilterCall(): RpcFilterCall | undefined {
  const call: unknown = Reflect.get(RpcExceptionsHandler.prototype, CALL);
  return typeof call === 'function' && call.length === 2 ? (call as RpcFilterCall) : undefined;
}

/** Puts another method in its place, for all handlers of the process. */
export function replaceRpcFilterCall(call: RpcFilterCall): void {
  Reflect.set(RpcExceptionsHandler.prototype, CALL, call);
}

/** The same handler with other filters. */
export function withFilters(handler: ExceptionsHandler, filters: ExceptionsHandler['filters']): ExceptionsHandler {
  return Object.create(handler, { filters: { value: filters } }) as ExceptionsHandler;
}
