import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { FILTER_CATCH_EXCEPTIONS } from '@nestjs/common/internal';
import { BaseExceptionFilter, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { type ErrorBody, GateError } from '@nestgate/protocol';
import { type Observable, throwError } from 'rxjs';
import { BoundedLog } from '../log/bounded-log.js';
import { gateErrorBody, httpErrorBody } from './error-mapping.js';

type FilterWithTypes = ExceptionFilter & { constructor: Function };

/**
 * Keeps the code of HTTP exceptions (a validator's, a guard's) and of nestgate's own errors, which Nest's rpc pipeline
 * would mask as "Internal server error". It is the last filter of its class, and it gives way to global filters too.
 */
@Catch(HttpException, GateError)
export class GateExceptionFilter implements ExceptionFilter {
  constructor(
    private readonly moduleRef: ModuleRef,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  catch(exception: HttpException | GateError, host: ArgumentsHost): unknown {
    const globalFilter = this.globalFilterFor(exception);
    // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
    if (globalFilter) return globalFilter.catch(exception, host);
    // A controller may serve HTTP routes beside its topics: those get what they would get without this filter.
    if (host.getType() === 'http') return new BaseExceptionFilter(this.adapterHost.httpAdapter).catch(exception, host);
    return this.fail(exception);
  }

  private fail(exception: HttpException | GateError): Observable<never> {
    const body = codedErrorBody(exception);
    return throwError(() => body);
  }

  /** The global filter that Nest would have asked, were it not for this one. */
  private globalFilterFor(exception: unknown): ExceptionFilter | undefined {
    const filters = (this.moduleRef['container'].applicationConfig?.getGlobalFilters() ?? []) as FilterWithTypes[];
    return filters.findLast(filter => {
      const types = (Reflect.getMetadata(FILTER_CATCH_EXCEPTIONS, filter.constructor) ?? []) as Function[];
      return types.length === 0 || types.some(type => exception instanceof type);
    });
  }
}

const log = new BoundedLog(GateExceptionFilter.name);

/** What a client is told of an exception that has a code; one that is masked is told to the log. */
export function codedErrorBody(exception: HttpException | GateError): ErrorBody {
  const body = exception instanceof GateError ? gateErrorBody(exception) : httpErrorBody(exception);
  if (body.code === 'INTERNAL') log.error(exception);
  return body;
}
