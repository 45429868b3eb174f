import { ExecutionContextHost, PipesConsumer } from '../../internals/nest.js';
import type { EnhancerFinder } from './handler-enhancers.js';
import { askGuards } from './handler-guards.js';
import { type FrameArgs, type HandlerParameter, parametersOf } from './handler-parameters.js';
import { isThenable } from './thenable.js';
import type { TopicContext } from '../topic-context.js';

/** Calls a handler with its guards, pipes and arguments, and with nothing else around it. */
export type PlainCall = (payload: unknown, context: TopicContext) => unknown;

/** Makes the arguments of a handler, and calls it. `args` is what guards were given, if there are any. */
type Invoke = (payload: unknown, context: TopicContext, args: FrameArgs | undefined) => unknown;
type Method = (this: object, ...args: unknown[]) => unknown;

/** The value of a parameter that is waited for. */
interface PendingValue {
  readonly index: number;
  readonly value: Promise<unknown>;
}

/** A method of a controller. */
export interface ControllerMethod {
  readonly controller: object;
  readonly key: string;
  readonly method: Function;
  /** Nest's key of the controller's module. */
  readonly moduleKey: string;
}

/**
 * How to call a handler around which there are only guards and pipes, and no interceptor and no filter of its own. Nest calls
 * each handler through a promise for the pipeline, one for the guards, and some for each parameter, which cost more than most handlers do.
 * Here the same guards, pipes and decorators are called in the same order, with the same arguments; there is a promise only where one of
 * them returns one. `undefined` for every other handler.
 */
export function plainCall(found: ControllerMethod, finder: EnhancerFinder): PlainCall | undefined {
  const { controller, key, moduleKey } = found;
  const method = found.method as Method;
  const enhancers = finder.find(controller, method, moduleKey);
  if (!enhancers) return undefined;
  const { guards, pipes } = enhancers;
  const parameters = parametersOf(controller, key, method, pipes, own => finder.ofParameter(own, moduleKey));
  if (!parameters) return undefined;
  const piped = parameters.filter(({ pipes: own }) => own.length > 0).length;
  const careful = (piped > 1 ? asNest : carefully)(controller, method, parameters);
  const isSimple = parameters.every(each => !each.isForeign && each.pipes.length === 0);
  const quick = isSimple ? quickly(controller, method, parameters) : careful;
  if (guards.length === 0) return (payload, context) => quick(payload, context, undefined);
  return (payload, context) => {
    const args: FrameArgs = [payload, context];
    const host = new ExecutionContextHost(args, controller.constructor as never, method);
    host.setType('rpc');
    const pending = askGuards(guards, host);
    // A guard may put something else in their place.
    const invoke = () => (args[0] === payload && args[1] === context ? quick : careful)(args[0], args[1], args);
    return pending ? pending.then(invoke) : invoke();
  };
}

/** For parameters that no application code has a part in. One closure per handler; none, and no array, per call of the usual ones. */
function quickly(controller: object, method: Method, parameters: readonly HandlerParameter[]): Invoke {
  const length = lengthOf(parameters);
  const extracts = Array.from({ length }, (_, at) => parameters.find(({ index }) => index === at)?.extract ?? nothing);
  const [a = nothing, b = nothing, c = nothing] = extracts;
  switch (length) {
    case 1:
      return (payload, context, args) => method.call(controller, a(payload, context, args));
    case 2:
      return (payload, context, args) => method.call(controller, a(payload, context, args), b(payload, context, args));
    case 3:
      return (payload, context, args) =>
        method.call(controller, a(payload, context, args), b(payload, context, args), c(payload, context, args));
    default:
      return (payload, context, args) =>
        method.apply(
          controller,
          extracts.map(extract => extract(payload, context, args)),
        );
  }
}

/**
 * For parameters of which one at most has pipes. As with Nest, each one is begun, whatever has become of those before it, and so is the
 * first pipe; the other pipes follow then, and the first error is thrown, that of a decorator before that of a pipe.
 */
function carefully(controller: object, method: Method, parameters: readonly HandlerParameter[]): Invoke {
  const empty = Array.from<unknown>({ length: lengthOf(parameters) });
  return (payload, context, args) => {
    const values = empty.slice();
    let piping: Piping | undefined;
    let pending: PendingValue[] | undefined;
    let failure: { readonly error: unknown } | undefined;
    for (const parameter of parameters) {
      const { index } = parameter;
      try {
        const value = parameter.extract(payload, context, args);
        if (parameter.pipes.length > 0) piping = beginPipes(parameter, value);
        else if (isThenable(value)) (pending ??= []).push({ index, value: Promise.resolve(value) });
        else values[index] = value;
      } catch (error) {
        failure ??= { error };
      }
    }
    if (piping) {
      const { parameter } = piping;
      try {
        const value = goOn(piping);
        if (isThenable(value)) (pending ??= []).push({ index: parameter.index, value: Promise.resolve(value) });
        else values[parameter.index] = value;
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) {
      // Nobody hears what the others end with.
      for (const { value } of pending ?? []) value.catch(nothing);
      throw failure.error;
    }
    if (!pending) return method.apply(controller, values);
    const [only] = pending;
    if (pending.length === 1 && only) {
      return only.value.then(settled => {
        values[only.index] = settled;
        return method.apply(controller, values);
      });
    }
    return Promise.all(pending.map(({ value }) => value)).then(settled => {
      for (const [at, { index }] of pending.entries()) values[index] = settled[at];
      return method.apply(controller, values);
    });
  };
}

/** The pipes of a parameter at work. */
interface Piping {
  readonly parameter: HandlerParameter;
  /** What comes from the last one. */
  readonly value: unknown;
  /** The next one. */
  readonly next: number;
  readonly failure?: { readonly error: unknown };
}

function beginPipes(parameter: HandlerParameter, value: unknown): Piping {
  // The first pipe waits for what a decorator has promised.
  if (isThenable(value)) return { parameter, value, next: 0 };
  try {
    return { parameter, value: transform(parameter, 0, value), next: 1 };
  } catch (error) {
    return { parameter, value, next: 1, failure: { error } };
  }
}

/** A promise from the first pipe on that returns one. */
function goOn({ parameter, value, next, failure }: Piping): unknown {
  if (failure) throw failure.error;
  const { length } = parameter.pipes;
  let result = value;
  for (let i = next; i < length; i++) {
    if (isThenable(result)) return goOnLater(parameter, result, i);
    result = transform(parameter, i, result);
  }
  return result;
}

async function goOnLater(parameter: HandlerParameter, pending: PromiseLike<unknown>, next: number): Promise<unknown> {
  let result = await pending;
  for (let i = next; i < parameter.pipes.length; i++) result = await transform(parameter, i, result);
  return result;
}

/** Each pipe has a copy of what it is told, as it may change that. */
function transform({ pipes, metadata }: HandlerParameter, at: number, value: unknown): unknown {
  const { metatype, type, data, schema } = metadata;
  return pipes[at]?.transform(value, { metatype, type, data, schema } as never);
}

/** Where pipes of several parameters take turns, which goes by the promises that Nest makes: with the same ones. */
function asNest(controller: object, method: Method, parameters: readonly HandlerParameter[]): Invoke {
  const length = lengthOf(parameters);
  const consumer = new PipesConsumer();
  return async (payload, context, args) => {
    const values = Array.from<unknown>({ length });
    const resolve = async (parameter: HandlerParameter): Promise<void> => {
      const value = parameter.extract(payload, context, args);
      values[parameter.index] = await settle(consumer, parameter, value);
    };
    await Promise.all(parameters.map(resolve));
    return method.apply(controller, values);
  };
}

async function settle(
  consumer: PipesConsumer,
  { pipes, kind, metadata }: HandlerParameter,
  value: unknown,
): Promise<unknown> {
  return pipes.length === 0 ? value : consumer.apply(value, { ...metadata, type: kind } as never, pipes as never);
}

function lengthOf(parameters: readonly HandlerParameter[]): number {
  return Math.max(-1, ...parameters.map(({ index }) => index)) + 1;
}

function nothing(): undefined {
  return undefined;
}
