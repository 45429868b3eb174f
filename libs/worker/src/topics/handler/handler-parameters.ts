import type { PipeTransform } from '@nestjs/common';
import {
  ContextUtils,
  CUSTOM_ROUTE_ARGS_METADATA,
  ExecutionContextHost,
  isIdleValidation,
  PARAM_ARGS_METADATA,
  ParamsTokenFactory,
  type PipeMetadata,
  RpcParamtype,
} from '../../internals/nest.js';
import { ContractPipe } from '../contract/contract-pipe.js';
import { signalOf } from '../abort-signal.decorator.js';
import { sessionOf } from '../client-session.decorator.js';
import type { EnhancerFinder } from './handler-enhancers.js';
import type { TopicContext } from '../topic-context.js';

/** What Nest hands to a handler's pipeline: payload and context, unless a guard has changed them. */
export type FrameArgs = [payload: unknown, context: TopicContext];

/** Makes the value of a parameter, before its pipes. */
export type Extract = (payload: unknown, context: TopicContext, args: FrameArgs | undefined) => unknown;

/** A parameter that Nest gives a value. */
export interface HandlerParameter {
  readonly index: number;
  readonly extract: Extract;
  /** Whether `extract` is application code, which may throw, or return a promise. */
  readonly isForeign: boolean;
  /** Its pipes; none where none of them does anything. */
  readonly pipes: readonly PipeTransform[];
  /** The kind that Nest makes the `type` of {@link metadata} of. */
  readonly kind: number | string;
  /** The metadata that pipes are given with the value. */
  readonly metadata: PipeMetadata;
}

type ParamMetadata = Readonly<
  Record<
    string,
    { index: number; data?: unknown; pipes?: readonly unknown[]; schema?: unknown; factory?: ParamFactory }
  >
>;
type ParamFactory = (data: unknown, context: ExecutionContextHost) => unknown;

/** Without any decorated parameter Nest gives the payload as the first argument. */
const DEFAULT_METADATA: ParamMetadata = { [`${RpcParamtype.PAYLOAD}:0`]: { index: 0 } };

/**
 * The parameters of a handler in the order in which Nest makes their values; `undefined` when there is one of a kind that is not
 * known here.
 */
export function parametersOf(
  controller: object,
  key: string,
  method: Function,
  pipes: readonly PipeTransform[],
  ownPipes: (pipes: readonly unknown[]) => ReturnType<EnhancerFinder['ofParameter']>,
): readonly HandlerParameter[] | undefined {
  const utils = new ContextUtils();
  const tokens = new ParamsTokenFactory();
  const metadata =
    utils.reflectCallbackMetadata<ParamMetadata | undefined>(controller, key, PARAM_ARGS_METADATA) ?? DEFAULT_METADATA;
  const types = utils.reflectCallbackParamtypes(controller, key) as unknown[] | undefined;
  const found: HandlerParameter[] = [];
  for (const [name, { index, data, pipes: own = [], schema, factory }] of Object.entries(metadata)) {
    const isCustom = name.includes(CUSTOM_ROUTE_ARGS_METADATA);
    const kind = isCustom ? utils.mapParamType(name) : Number(utils.mapParamType(name));
    const extract = isCustom
      ? factory && custom(factory, data, controller.constructor, method)
      : BUILT_IN.get(Number(kind))?.(data);
    if (!extract) return undefined;
    const type = tokens.exchangeEnumForString(kind as never);
    const told: PipeMetadata = { metatype: types?.[index], type, data, schema };
    const all = [...pipes, ...ownPipes(own)];
    found.push({
      index,
      extract,
      isForeign: isCustom && factory !== sessionOf && factory !== signalOf,
      pipes: all.every(pipe => isIdle(pipe, told)) ? [] : all,
      kind,
      metadata: told,
    });
  }
  return found;
}

/** Whether a pipe returns what it is given: one of a contract does where the app validates nothing. */
function isIdle(pipe: PipeTransform, metadata: PipeMetadata): boolean {
  return pipe instanceof ContractPipe ? pipe.isOff : isIdleValidation(pipe, metadata);
}

const BUILT_IN: ReadonlyMap<number, (data: unknown) => Extract> = new Map<number, (data: unknown) => Extract>([
  [RpcParamtype.CONTEXT, () => (_payload, context) => context],
  [
    RpcParamtype.PAYLOAD,
    (data: unknown) =>
      data ? payload => (payload as Record<string, unknown> | null | undefined)?.[data as string] : payload => payload,
  ],
]);

function custom(factory: ParamFactory, data: unknown, controller: Function, method: Function): Extract {
  if (factory === sessionOf) return (_payload, context) => context.session;
  if (factory === signalOf) return (_payload, context) => context.signal;
  return (payload, context, args) => {
    const host = new ExecutionContextHost(args ? [...args] : [payload, context], controller as never, method);
    host.setType('rpc');
    return factory(data, host);
  };
}
