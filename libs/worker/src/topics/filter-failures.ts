import type { ArgumentsHost } from '@nestjs/common';
import { RpcExceptionsHandler } from '@nestjs/microservices/exceptions/rpc-exceptions-handler.js';
import { TopicContext } from './topic-context.js';
import { failedFilterError } from './topic-error.js';

const INVOKE = 'invokeCustomFilters';
/** On the method that stands in for Nest's own: another copy of this module must not wrap it again. */
const IS_GUARDED = Symbol.for('nestgate:filter-failures');

type Invoke = ((this: object, exception: unknown, host: ArgumentsHost) => unknown) & { [IS_GUARDED]?: true };

/**
 * When an exception filter of a method or class throws, Nest goes on with what the filter has thrown, and the error that it was asked
 * about is lost. Nest offers no place between its choice of a filter and the call, so the method that does both is wrapped, once for
 * the process. Nothing changes for what is no topic. False when this version of Nest has no such method; nothing is wrapped then.
 */
export function keepErrorsOfFilters(): boolean {
  const { prototype } = RpcExceptionsHandler;
  const invoke = Reflect.get(prototype, INVOKE) as Invoke | undefined;
  if (typeof invoke !== 'function' || invoke.length !== 2) return false;
  if (invoke[IS_GUARDED]) return true;
  const guarded: Invoke = function (exception, host) {
    const context: unknown = host.getArgByIndex(1);
    if (!(context instanceof TopicContext)) return invoke.call(this, exception, host);
    const fail = (failure: unknown): never => {
      throw failedFilterError(failure, exception, context.topic);
    };
    try {
      const answer = invoke.call(this, exception, host);
      return answer instanceof Promise ? answer.catch(fail) : answer;
    } catch (failure) {
      return fail(failure);
    }
  };
  guarded[IS_GUARDED] = true;
  Reflect.set(prototype, INVOKE, guarded);
  return true;
}
