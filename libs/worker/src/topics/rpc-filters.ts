import type { ArgumentsHost } from '@nestjs/common';
import { RpcExceptionsHandler } from '@nestjs/microservices/exceptions/rpc-exceptions-handler.js';
import { PresenceContext } from '../presence/presence-context.js';
import { TopicContext } from './topic-context.js';
import { failedFilterError } from './topic-error.js';

const INVOKE = 'invokeCustomFilters';
/** On the method that stands in for Nest's own: another copy of this module must not wrap it again. */
const IS_ADAPTED = Symbol.for('nestgate:rpc-filters');
/** On the exception types of the filter that `@OnTopic` adds to its class: Nest hands them on with the filter's method. */
export const IS_OWN_FILTER = Symbol.for('nestgate:own-filter');

interface Filter {
  readonly exceptionMetatypes: readonly unknown[] & { readonly [IS_OWN_FILTER]?: true };
}

interface ExceptionsHandler {
  readonly filters: readonly Filter[];
}

type Invoke = ((this: ExceptionsHandler, exception: unknown, host: ArgumentsHost) => unknown) & { [IS_ADAPTED]?: true };

/**
 * Changes how Nest calls the exception filters of handlers that are not for HTTP, once for the process, since Nest offers no place for
 * it. A topic whose filter throws would lose the error that the filter was asked about. Handlers of other transports do not get the
 * filter that `@OnTopic` has added to their class, which would come before global filters of their microservice.
 * False when this version of Nest has no such method; nothing is changed then.
 */
export function adaptRpcFilters(): boolean {
  const { prototype } = RpcExceptionsHandler;
  const invoke = Reflect.get(prototype, INVOKE) as Invoke | undefined;
  if (typeof invoke !== 'function' || invoke.length !== 2) return false;
  if (invoke[IS_ADAPTED]) return true;
  const adapted: Invoke = function (exception, host) {
    const context: unknown = host.getArgByIndex(1);
    if (context instanceof TopicContext)
      return invokeForTopic(() => invoke.call(this, exception, host), exception, context);
    if (context instanceof PresenceContext) return invoke.call(this, exception, host);
    const others = this.filters.filter(({ exceptionMetatypes }) => !exceptionMetatypes[IS_OWN_FILTER]);
    const handler = others.length === this.filters.length ? this : withFilters(this, others);
    return invoke.call(handler, exception, host);
  };
  adapted[IS_ADAPTED] = true;
  Reflect.set(prototype, INVOKE, adapted);
  return true;
}

function invokeForTopic(invoke: () => unknown, exception: unknown, { topic }: TopicContext): unknown {
  const fail = (failure: unknown): never => {
    throw failedFilterError(failure, exception, topic);
  };
  try {
    const answer = invoke();
    return answer instanceof Promise ? answer.catch(fail) : answer;
  } catch (failure) {
    return fail(failure);
  }
}

function withFilters(handler: ExceptionsHandler, filters: readonly Filter[]): ExceptionsHandler {
  return Object.create(handler, { filters: { value: filters } }) as ExceptionsHandler;
}
