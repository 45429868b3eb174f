import { replaceRpcFilterCall, type RpcFilterCall, rpcFilterCall, withFilters } from '../../internals/nest.js';
import { PresenceContext } from '../../presence/presence-context.js';
import { TopicContext } from '../topic-context.js';
import { failedFilterError } from './topic-error.js';

/** On the method that stands in for Nest's own: another copy of this module must not wrap it again. */
const IS_ADAPTED = Symbol.for('nestgate:rpc-filters');
/** On the exception types of the filter that `@OnTopic` adds to its class: Nest hands them on with the filter's method. */
export const IS_OWN_FILTER = Symbol.for('nestgate:own-filter');

type Invoke = RpcFilterCall & { [IS_ADAPTED]?: true };

/**
 * Changes how Nest calls the exception filters of handlers that are not for HTTP, once for the process, since Nest offers no place for
 * it. A topic whose filter throws would lose the error that the filter was asked about. Handlers of other transports do not get the
 * filter that `@OnTopic` has added to their class, which would come before global filters of their microservice.
 * False when this version of Nest has no such method; nothing is changed then.
 */
export function adaptRpcFilters(): boolean {
  const invoke: Invoke | undefined = rpcFilterCall();
  if (!invoke) return false;
  if (invoke[IS_ADAPTED]) return true;
  const adapted: Invoke = function (exception, host) {
    const context: unknown = host.getArgByIndex(1);
    if (context instanceof TopicContext)
      return invokeForTopic(() => invoke.call(this, exception, host), exception, context);
    if (context instanceof PresenceContext) return invoke.call(this, exception, host);
    const others = this.filters.filter(({ exceptionMetatypes }) => !(IS_OWN_FILTER in exceptionMetatypes));
    const handler = others.length === this.filters.length ? this : withFilters(this, others);
    return invoke.call(handler, exception, host);
  };
  adapted[IS_ADAPTED] = true;
  replaceRpcFilterCall(adapted);
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
