import type { ServerResponse } from 'node:http';
import { HttpException, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, ExternalContextCreator, HttpAdapterHost } from '@nestjs/core';
import { inAsyncScope } from '@nestgate/link';
import { BoundedLog, GateError } from '@nestgate/worker';
import { HandshakeHandler, type HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import type { Refusal } from './admission.js';
import { createResponse, finishResponse, headersOf, type WrittenResponse } from './handshake-response.js';
import { unboundEnhancers } from './unbound-enhancers.js';

/** What a handshake ended with. */
export type HandshakeOutcome = { readonly accepted: HandshakeResult } | { readonly refused: Refusal };

type Run = (request: HandshakeRequest, response: ServerResponse, next: () => void) => Promise<unknown>;

/** What requests and responses of an app on Express inherit from. */
export interface Prototypes {
  readonly request: object;
  readonly response: object;
}

const INTERNAL: Refusal = { status: 500, message: 'Internal server error' };

/** Runs the {@link HandshakeHandler} with Nest's guards, interceptors and exception filters around it. */
@Injectable()
export class HandshakePipeline implements OnModuleInit {
  private readonly log = new BoundedLog(HandshakePipeline.name);
  private run: Run | undefined;

  constructor(
    private readonly handler: HandshakeHandler,
    private readonly contexts: ExternalContextCreator,
    private readonly adapterHost: HttpAdapterHost,
    private readonly discovery: DiscoveryService,
  ) {}

  /**
   * Fails closed: a guard that does not run lets everybody in.
   * @throws {GateError} when guards, interceptors or filters of the handler would not run.
   */
  onModuleInit(): void {
    const unbound = unboundEnhancers(this.discovery, this.handler);
    if (unbound.length === 0) return;
    throw new GateError(
      'BAD_ARGUMENT',
      `HandshakeHandler ${this.handler.constructor.name}: ${unbound.join(', ')} would not run, because Nest makes no guards, ` +
        'interceptors and filters for providers of useValue and useFactory: use useClass or useExisting, or pass instances',
    );
  }

  /** Of an app on Express, what its requests and responses have. */
  get prototypes(): Prototypes | undefined {
    const http = this.adapterHost.httpAdapter;
    if (http?.getType() !== 'express') return undefined;
    const { request, response } = http.getInstance<Partial<Prototypes>>();
    return isObject(request) && isObject(response) ? { request, response } : undefined;
  }

  async handshake(request: HandshakeRequest): Promise<HandshakeOutcome> {
    // Made with the first handshake, when all global guards have been registered.
    const run = (this.run ??= this.createRun());
    const written = this.createResponse(request);
    try {
      // A middleware, or a guard, that has ended the response may never settle.
      await Promise.race([inAsyncScope(() => run(request, written.response, ignore)), written.ended]);
      await endOf(written);
    } catch (error) {
      await endOf(written);
      // Nest throws on what a filter has caught that returned nothing, though it has answered.
      if (written.response.writableEnded) return { refused: refusalBy(written) };
      return { refused: { ...this.refusalOf(error), headers: headersOf(written.response) } };
    }
    const result = this.passed.get(request);
    if (result && !written.response.writableEnded)
      return refusalIn(result) ?? this.expiryFault(result) ?? { accepted: result };
    // An exception filter, or a guard, has answered; it remains a refusal.
    return { refused: refusalBy(written) };
  }

  /** Emits the end of the response, which a log of requests waits for. 101 is an upgrade that was granted. */
  finish(request: HandshakeRequest, status: number): void {
    try {
      if (request.res) finishResponse(request.res, status);
    } catch (error) {
      this.log.error(error, 'handshake');
    }
  }

  /** The requests whose handler has run to its end, which is the only thing that lets a client in. */
  private readonly passed = new WeakMap<HandshakeRequest, HandshakeResult>();

  private createResponse(request: HandshakeRequest): WrittenResponse {
    const written = createResponse(request.raw, this.prototypes?.response);
    const { response } = written;
    // As the frameworks have it.
    Object.assign(response, { req: request, request, locals: {} });
    request.res = response;
    return written;
  }

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
      return { refused: INTERNAL };
    }
    if (authExpiresAt === undefined || authExpiresAt > Date.now()) return undefined;
    return { refused: { status: 401, message: 'The credentials have expired' } };
  }

  private refusalOf(error: unknown): Refusal {
    if (error instanceof HttpException) {
      const status: unknown = error.getStatus();
      if (isErrorStatus(status)) return { status, message: error.message };
    }
    this.log.error(error);
    return INTERNAL;
  }
}

/**
 * A result that has the `status` of an HTTP error and no `userId` refuses the client: that is what it is returned for, although an
 * exception is the way to say it. Any other `status` is a field of what was returned, a user's for example, and means nothing.
 */
function refusalIn(
  result: HandshakeResult & { readonly status?: unknown; readonly message?: unknown },
): HandshakeOutcome | undefined {
  const { status, userId } = result;
  if (!isErrorStatus(status) || userId !== undefined) return undefined;
  return { refused: { status, message: textOf(result) } };
}

/** Waits for the end of a response that has begun: middleware may put it off, as that of a session does until it is stored. */
async function endOf({ response, ended }: WrittenResponse): Promise<void> {
  if (response.headersSent && !response.writableEnded) await ended;
}

function textOf(body: unknown): string {
  const message: unknown = typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : body;
  return typeof message === 'string' ? message : 'Forbidden';
}

/** The refusal that a filter has written, or has at least begun. */
function refusalBy({ response, body }: WrittenResponse): Refusal {
  const { statusCode } = response;
  const status = isErrorStatus(statusCode) ? statusCode : 403;
  const headers = headersOf(response);
  return response.writableEnded
    ? { status, message: '', headers, body: body() }
    : { status, message: 'Forbidden', headers };
}

function isErrorStatus(status: unknown): status is number {
  return Number.isInteger(status) && Number(status) >= 400 && Number(status) <= 599;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' || typeof value === 'function') && value !== null;
}

const ignore = (): void => undefined;
