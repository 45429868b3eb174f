import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpException, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  type ApplicationConfig,
  DiscoveryService,
  ExternalContextCreator,
  HttpAdapterHost,
  ModuleRef,
} from '@nestjs/core';
import { inAsyncScope, present } from '@nestgate/link/internal';
import { GateError } from '@nestgate/worker';
import { BoundedLog } from '@nestgate/worker/internal';
import { HandshakeHandler, type HandshakeResult, isOpenHandshake } from '../hooks/handshake-handler.js';
import { HandshakeRequest } from '../hooks/handshake-request.js';
import {
  configOf,
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  metadataOf,
} from '../internals/nest.js';
import type { Refusal } from './admission.js';
import { createResponse, finishResponse, headersOf, type WrittenResponse } from './handshake-response.js';
import { unboundEnhancers } from './unbound-enhancers.js';

/** The result of a handshake. */
export type HandshakeOutcome = { readonly accepted: HandshakeResult } | { readonly refused: Refusal };

type Run = (request: HandshakeRequest) => Promise<unknown>;
type NestRun = (request: HandshakeRequest, response: ServerResponse, next: () => void) => Promise<unknown>;

/** The prototypes of requests and responses of an app on Express. */
interface Prototypes {
  readonly request: object;
  readonly response: object;
}

const FORBIDDEN: Refusal = { status: 403, message: 'Forbidden' };
const INTERNAL: Refusal = { status: 500, message: 'Internal server error' };

/** Runs the {@link HandshakeHandler} with Nest's guards, interceptors and exception filters around it. */
@Injectable()
export class HandshakePipeline implements OnModuleInit {
  private readonly log = new BoundedLog(HandshakePipeline.name);
  private readonly config: ApplicationConfig | undefined;
  private run: Run | undefined;
  private hasEnhancers = true;
  private found: Prototypes | null | undefined;

  constructor(
    private readonly handler: HandshakeHandler,
    private readonly contexts: ExternalContextCreator,
    private readonly adapterHost: HttpAdapterHost,
    private readonly discovery: DiscoveryService,
    moduleRef: ModuleRef,
  ) {
    this.config = configOf(moduleRef);
  }

  /** Whether the handshake runs no code of the application and accepts each client. */
  get isOpen(): boolean {
    // Created with the first handshake, when all global guards are registered.
    this.run ??= this.createRun();
    return !this.hasEnhancers && isOpenHandshake(this.handler);
  }

  /** The request of an upgrade. Its response is created on first access. */
  requestOf(raw: IncomingMessage, ip: string, codec: string): HandshakeRequest {
    return new HandshakeRequest(raw, ip, codec, this.prototypes?.request, this.createResponse);
  }

  private get prototypes(): Prototypes | undefined {
    if (this.found === undefined) this.found = this.findPrototypes() ?? null;
    return this.found ?? undefined;
  }

  /**
   * Fails closed: if a guard did not run, each client could connect.
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

  /** The prototypes of requests and responses, if the app is on Express. */
  private findPrototypes(): Prototypes | undefined {
    const http = this.adapterHost.httpAdapter;
    if (http?.getType() !== 'express') return undefined;
    const { request, response } = http.getInstance<Partial<Prototypes>>();
    return isObject(request) && isObject(response) ? { request, response } : undefined;
  }

  async handshake(request: HandshakeRequest): Promise<HandshakeOutcome> {
    // As in `isOpen`.
    const run = (this.run ??= this.createRun());
    try {
      // Middleware or a guard that has ended the response may never settle.
      const ended = new Promise<void>(resolve => (request.onEnded = resolve));
      await Promise.race([inAsyncScope(() => run(request)), ended]);
      await endOf(request.written);
    } catch (error) {
      const { written } = request;
      await endOf(written);
      // Nest throws after an exception filter without a return value, although the filter has sent an answer.
      if (written?.response.writableEnded) return { refused: refusalBy(written) };
      const refused = this.refusalOf(error);
      return { refused: written ? { ...refused, headers: headersOf(written.response) } : refused };
    }
    const result = this.passed.get(request);
    const { written } = request;
    if (result && !written?.response.writableEnded)
      return refusalIn(result) ?? this.expiryFault(result) ?? { accepted: result };
    // An exception filter or a guard has sent an answer: this is a refusal.
    return { refused: written ? refusalBy(written) : FORBIDDEN };
  }

  /** Emits the `finish` event of the response, for loggers of requests. Status 101 means that the upgrade was accepted. */
  finish(request: HandshakeRequest, status: number): void {
    try {
      if (request.written) finishResponse(request.written.response, status);
    } catch (error) {
      this.log.error(error, 'handshake');
    }
  }

  /** The requests whose handler has returned. Only these clients are accepted. */
  private readonly passed = new WeakMap<HandshakeRequest, HandshakeResult>();

  private readonly createResponse = (request: HandshakeRequest): WrittenResponse => {
    const written = createResponse(request.raw, this.prototypes?.response);
    const { response } = written;
    // The same properties as in Express and Fastify.
    Object.assign(response, { req: request, request, locals: {} });
    void written.ended.then(() => request.onEnded?.());
    return written;
  };

  private createRun(): Run {
    const { handler, passed } = this;
    const callback = async function handshake(...args: unknown[]): Promise<void> {
      const request = args[0] as HandshakeRequest;
      const traceParent = request.headers['traceparent'] as string | undefined;
      passed.set(request, { traceParent, ...(await handler.handshake(request)) });
    };
    // Nest looks up the decorators of the method on the function that it calls.
    const method: object = Reflect.get(handler, 'handshake');
    for (const key of Reflect.getMetadataKeys(method) as string[]) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), callback);
    }
    // Without enhancers the handler is called directly: Nest would use several promises, and the response is not needed.
    this.hasEnhancers = this.isEnhanced(method);
    if (!this.hasEnhancers) return callback;
    const run = this.contexts.create(handler, callback, 'handshake') as NestRun;
    return request => run(request, present(request.res), ignore);
  }

  /** Whether guards, interceptors or filters apply to the handler. Pipes do not, because they apply to decorated parameters. */
  private isEnhanced(method: object): boolean {
    const { config } = this;
    if (!config) return true;
    const globals = [
      config.getGlobalGuards(),
      config.getGlobalInterceptors(),
      config.getGlobalFilters(),
      config.getGlobalRequestGuards(),
      config.getGlobalRequestInterceptors(),
      config.getGlobalRequestFilters(),
    ];
    const own = [GUARDS_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA].flatMap(key =>
      [method, this.handler.constructor].map(target => metadataOf<readonly unknown[]>(key, target)),
    );
    return [...globals, ...own].some(enhancers => enhancers !== undefined && enhancers.length > 0);
  }

  /** Fails closed: an expiry that is not a finite number would never be reached. */
  private expiryFault({ authExpiresAt, authIssuedAt }: HandshakeResult): HandshakeOutcome | undefined {
    for (const moment of [authExpiresAt, authIssuedAt]) {
      if (moment === undefined || Number.isFinite(moment)) continue;
      this.log.error('HandshakeHandler: authExpiresAt and authIssuedAt must be numbers of milliseconds');
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
 * Treats a result with an HTTP error as `status` and without a `userId` as a refusal: the handler has returned an error instead of
 * throwing it. Any other `status`, for example of a user object, has no effect.
 */
function refusalIn(
  result: HandshakeResult & { readonly status?: unknown; readonly message?: unknown },
): HandshakeOutcome | undefined {
  const { status, userId } = result;
  if (!isErrorStatus(status) || userId !== undefined) return undefined;
  return { refused: { status, message: textOf(result) } };
}

/** Waits for the end of a response that was started: middleware may delay it, for example until a session is stored. */
async function endOf(written: WrittenResponse | undefined): Promise<void> {
  if (written?.response.headersSent && !written.response.writableEnded) await written.ended;
}

function textOf(body: unknown): string {
  const message: unknown = typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : body;
  return typeof message === 'string' ? message : 'Forbidden';
}

/** The refusal that a filter has written, completely or in part. */
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
