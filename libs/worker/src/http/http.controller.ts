import type { IncomingMessage } from 'node:http';
import { type CanActivate, Controller, Get, Inject, Post, Req, Res, type Type, UseGuards } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type HttpAnswer, refusal } from './http-answer.js';
import { HttpApi } from './http-api.js';
import { HttpMetrics } from './http-counters.js';
import { HttpIntake } from './http-intake.js';
import type { HttpOperationName } from './http-operations.js';
import { Idempotency } from './idempotency.js';
import { openApiDocument } from './openapi.js';

/** The path of the API. */
export const HTTP_PATH = Symbol('nestgate:http-path');

/** A request as Express gives it, or as Fastify does, with Node's under `raw`. */
type AnyRequest = IncomingMessage & { readonly raw?: IncomingMessage };

/** The routes of the HTTP API. {@link HttpIntake} has read the requests before; guards, global ones too, have passed them. */
export abstract class HttpController {
  private readonly document: object;

  constructor(
    private readonly api: HttpApi,
    private readonly intake: HttpIntake,
    private readonly idempotency: Idempotency,
    private readonly metrics: HttpMetrics,
    private readonly adapterHost: HttpAdapterHost,
    @Inject(HTTP_PATH) path: string,
  ) {
    this.document = openApiDocument(path);
  }

  @Get('openapi.json')
  openApi(): object {
    return this.document;
  }

  @Post(':operation')
  async call(@Req() request: AnyRequest, @Res({ passthrough: true }) response: unknown): Promise<object> {
    const answer = await this.answer(request.raw ?? request);
    const { httpAdapter } = this.adapterHost;
    httpAdapter.status(response, answer.status);
    httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
    for (const [name, value] of Object.entries(answer.headers ?? {})) httpAdapter.setHeader(response, name, value);
    return answer.body;
  }

  private async answer(request: IncomingMessage): Promise<HttpAnswer> {
    const accepted = this.intake.take(request);
    // Routers take paths for the same that differ in letters; what the intake has not seen is not answered.
    if (!accepted) return this.refused(refusal('UNKNOWN_OPERATION', 'There is no such operation'));
    const { operation, caller, input, raw } = accepted;
    const run = (): Promise<HttpAnswer> =>
      operation === 'batch'
        ? this.api.runBatch(input, caller)
        : this.api.run(operation as HttpOperationName, input, caller);
    const key = request.headers['idempotency-key'];
    const answer =
      key === undefined ? await run() : await this.idempotency.once(String(key), caller.name, [operation, raw], run);
    if (answer.status < 400) this.metrics.handled++;
    return answer;
  }

  private refused(answer: HttpAnswer): HttpAnswer {
    this.metrics.refuse('UNKNOWN_OPERATION');
    return answer;
  }
}

/** A controller at a path, behind a guard. */
export function httpControllerAt(path: string, guard: Type<CanActivate> | undefined): Type {
  class GatewayHttpController extends HttpController {}
  Controller(path)(GatewayHttpController);
  if (guard) UseGuards(guard)(GatewayHttpController);
  return GatewayHttpController;
}
