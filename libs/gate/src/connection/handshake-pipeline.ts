import { HttpException, Injectable } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { inAsyncScope } from '@nestgate/link';
import { BoundedLog } from '@nestgate/worker';
import { HandshakeHandler, type HandshakeRequest, type HandshakeResult } from '../hooks/handshake-handler.js';
import type { Refusal } from './admission.js';

/** The little of a response that exception filters and guards written for HTTP use. */
class HandshakeResponse {
  statusCode = 200;
  body: unknown;

  status(code: number): this {
    this.statusCode = code;
    return this;
  }

  json(body: unknown): this {
    this.body = body;
    return this;
  }

  send(body: unknown): this {
    return this.json(body);
  }

  /** Headers of a refused upgrade are the gate's own. */
  setHeader(): this {
    return this;
  }
}

/** What a handshake ended with. */
export type HandshakeOutcome = { readonly accepted: HandshakeResult } | { readonly refused: Refusal };

type Run = (request: HandshakeRequest, response: HandshakeResponse) => Promise<unknown>;

/** Runs the {@link HandshakeHandler} with Nest's guards, interceptors and exception filters around it. */
@Injectable()
export class HandshakePipeline {
  private readonly log = new BoundedLog(HandshakePipeline.name);
  private run: Run | undefined;

  constructor(
    private readonly handler: HandshakeHandler,
    private readonly contexts: ExternalContextCreator,
  ) {}

  async handshake(request: HandshakeRequest): Promise<HandshakeOutcome> {
    // Made with the first handshake, when all global guards have been registered.
    const run = (this.run ??= this.createRun());
    const response = new HandshakeResponse();
    try {
      await inAsyncScope(() => run(request, response));
    } catch (error) {
      return { refused: this.refusalOf(error) };
    }
    const result = this.passed.get(request);
    if (result) return refusalIn(result) ?? this.expiryFault(result) ?? { accepted: result };
    // An exception filter has dealt with a refusal; it remains one.
    const { statusCode } = response;
    return { refused: { status: isErrorStatus(statusCode) ? statusCode : 403, message: textOf(response.body) } };
  }

  /** The requests whose handler has run to its end, which is the only thing that lets a client in. */
  private readonly passed = new WeakMap<HandshakeRequest, HandshakeResult>();

  private createRun(): Run {
    const { handler, passed } = this;
    const callback = async function handshake(...args: unknown[]): Promise<void> {
      const request = args[0] as HandshakeRequest;
      const traceParent = request.headers['traceparent'] as string | undefined;
      passed.set(request, { traceParent, ...(await handler.handshake(request)) });
    };
    // Decorators of the method are looked up on the function that is called.
    const method: object = Reflect.get(handler, 'handshake');
    for (const key of Reflect.getMetadataKeys(method) as string[]) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), callback);
    }
    return this.contexts.create(handler, callback, 'handshake') as Run;
  }

  /** Fails closed: an expiry that is no moment would never come. */
  private expiryFault({ authExpiresAt, authIssuedAt }: HandshakeResult): HandshakeOutcome | undefined {
    for (const moment of [authExpiresAt, authIssuedAt]) {
      if (moment === undefined || Number.isFinite(moment)) continue;
      this.log.error('The HandshakeHandler gave an authExpiresAt or authIssuedAt that is no number of milliseconds');
      return { refused: { status: 500, message: 'Internal server error' } };
    }
    if (authExpiresAt === undefined || authExpiresAt > Date.now()) return undefined;
    return { refused: { status: 401, message: 'The credentials have expired' } };
  }

  private refusalOf(error: unknown): Refusal {
    if (error instanceof HttpException) {
      const status = error.getStatus();
      if (isErrorStatus(status)) return { status, message: error.message };
    }
    this.log.error(error);
    return { status: 500, message: 'Internal server error' };
  }
}

/**
 * A result that has the `status` of an HTTP error and no `userId` refuses the client: whoever returns it means that, although an
 * exception is the way to say it. Any other `status` is a field of what was returned, a user's for example, and means nothing.
 */
function refusalIn(
  result: HandshakeResult & { readonly status?: unknown; readonly message?: unknown },
): HandshakeOutcome | undefined {
  const { status, userId } = result;
  if (!isErrorStatus(status) || userId !== undefined) return undefined;
  return { refused: { status, message: textOf(result) } };
}

/** Whether a value is the status of an HTTP error. */
function isErrorStatus(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}

function textOf(body: unknown): string {
  const message: unknown = typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : body;
  return typeof message === 'string' ? message : 'Forbidden';
}
