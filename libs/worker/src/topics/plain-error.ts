import { type ArgumentsHost, HttpException } from '@nestjs/common';
import { BaseRpcExceptionFilter } from '@nestjs/microservices';
import { type ErrorBody, GateError } from '@nestgate/protocol';
import { pipelineErrorBody } from './error-mapping.js';
import { codedErrorBody } from './gate-exception.filter.js';

/** What Nest does with what no filter wants: an `RpcException` keeps its code, the rest is masked and told to the log. */
const base = new BaseRpcExceptionFilter();

/** What a client is told of what a handler without a pipeline has thrown: the same as with one. */
export function plainErrorBody(error: unknown): ErrorBody {
  if (error instanceof HttpException || error instanceof GateError) return codedErrorBody(error);
  let body: ErrorBody | undefined;
  // oxlint-disable-next-line promise/valid-params, promise/no-promise-in-callback -- a filter's method, not a promise's
  const failing = base.catch(error, undefined as unknown as ArgumentsHost);
  failing.subscribe({ error: (reason: unknown) => (body = pipelineErrorBody(reason)) });
  return body ?? new GateError('INTERNAL').toBody();
}
