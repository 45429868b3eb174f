import { type ArgumentsHost, Catch, type ExceptionFilter, type Type } from '@nestjs/common';
import {
  type ApplicationConfig,
  BaseExceptionFilter,
  ContextIdFactory,
  HttpAdapterHost,
  ModuleRef,
} from '@nestjs/core';
import { BaseRpcExceptionFilter } from '@nestjs/microservices';
import { type Observable, throwError } from 'rxjs';
import { configOf, FILTER_CATCH_EXCEPTIONS, metadataOf } from '../../internals/nest.js';
import { PresenceContext } from '../../presence/presence-context.js';
import { adaptRpcFilters, IS_OWN_FILTER } from './rpc-filters.js';
import { TopicContext } from '../topic-context.js';
import { markTold, toldError, warnOfFilter } from './topic-error.js';

type FilterWithTypes = ExceptionFilter & { constructor: Function };

/**
 * Keeps the code of HTTP exceptions (a validator's, a guard's) and of nestgate's own errors, which Nest's rpc pipeline
 * would mask as "Internal server error", and logs what is masked with its topic. It is the last filter of its class, and it gives
 * way to global filters too, unless they fail: many are written for HTTP only.
 */
@Catch()
export class GateExceptionFilter implements ExceptionFilter {
  constructor(
    private readonly moduleRef: ModuleRef,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    // Also in an app that has such controllers and no gate or worker.
    adaptRpcFilters();
  }

  catch(exception: unknown, host: ArgumentsHost): unknown {
    const globalFilter = this.scopedFilterFor(exception, host) ?? this.globalFilterFor(exception);
    const context = host.getType() === 'rpc' ? host.switchToRpc().getContext<unknown>() : undefined;
    if (context instanceof TopicContext) {
      return globalFilter ? this.ask(globalFilter, exception, host, context.topic) : fail(exception, context.topic);
    }
    // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
    if (globalFilter) return globalFilter.catch(exception, host);
    // No client gets these errors; the caller of the handlers logs them.
    if (context instanceof PresenceContext) return throwError(() => exception);
    // A controller may serve HTTP routes and other transports beside its topics: those get what they would get without this filter.
    // With a Nest that `adaptRpcFilters` knows, only routes come here.
    // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
    if (host.getType() === 'rpc') return new BaseRpcExceptionFilter().catch(exception, host);
    return new BaseExceptionFilter(this.adapterHost.httpAdapter).catch(exception, host);
  }

  /** A global filter may know nothing of topics. What it cannot handle is handled as if it were not there. */
  private ask(filter: FilterWithTypes, exception: unknown, host: ArgumentsHost, topic: string): unknown {
    const passOver = (failure: unknown): Observable<never> => {
      // A filter may throw on what it does not want.
      if (failure !== exception) warnOfFilter(filter, failure, topic);
      return fail(exception, topic);
    };
    try {
      // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
      const answer: unknown = filter.catch(exception, host);
      if (!(answer instanceof Promise)) return isAnswer(answer) ? answer : fail(exception, topic);
      return answer.then((value: unknown) => (isAnswer(value) ? value : fail(exception, topic)), passOver);
    } catch (failure) {
      return passOver(failure);
    }
  }

  /** The global filter that Nest would have asked, were it not for this one. */
  private globalFilterFor(exception: unknown): FilterWithTypes | undefined {
    const filters = (this.config?.getGlobalFilters() ?? []) as FilterWithTypes[];
    return filters.findLast(filter => wants(filter.constructor, exception));
  }

  /**
   * The same for global filters with request scope. For an HTTP request the instance exists already. For a frame Nest does not say
   * which instance is its own, so another one is made, which knows nothing of that frame.
   */
  private scopedFilterFor(exception: unknown, host: ArgumentsHost): FilterWithTypes | undefined {
    const scoped = this.config?.getGlobalRequestFilters() ?? [];
    const found = scoped.findLast(({ metatype }) => typeof metatype === 'function' && wants(metatype, exception));
    if (!found) return undefined;
    if (host.getType() === 'rpc') {
      const type = found.metatype as Type<ExceptionFilter>;
      // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
      const ask = async (): Promise<unknown> => (await this.moduleRef.create(type)).catch(exception, host);
      return { constructor: type, catch: ask };
    }
    const contextId = ContextIdFactory.getByRequest(host.switchToHttp().getRequest<object>());
    return found.getInstanceByContextId(contextId)?.instance as FilterWithTypes | undefined;
  }

  private get config(): ApplicationConfig | undefined {
    return configOf(this.moduleRef);
  }
}

Reflect.set(Reflect.getMetadata(FILTER_CATCH_EXCEPTIONS, GateExceptionFilter) as object, IS_OWN_FILTER, true);

/** Whether a filter is for such an exception. */
function wants(filter: Function, exception: unknown): boolean {
  const types = metadataOf<Function[]>(FILTER_CATCH_EXCEPTIONS, filter) ?? [];
  return types.length === 0 || types.some(type => exception instanceof type);
}

/** A filter that returns nothing has written a response, or meant to: a topic has none. */
function isAnswer(value: unknown): boolean {
  return value !== undefined && value !== null && !(value instanceof TopicContext);
}

function fail(exception: unknown, topic: string): Observable<never> {
  const body = markTold(toldError(exception, topic));
  return throwError(() => body);
}
