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

/** What a handshake ended with. */
export type HandshakeOutcome = { readonly accepted: HandshakeResult } | { readonly refused: Refusal };

type Run = (request: HandshakeRequest) => Promise<unknown>;
type NestRun = (request: HandshakeRequest, response: ServerResponse, next: () => void) => Promise<unknown>;

/** What requests and responses of an app on Express inherit from. */
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

  /** Whether each client may connect, without asking any code of the application. */
  get isOpen(): boolean {
    // Looked at with the first handshake, when all global guards have been registered.
    this.run ??= this.createRun();
    return !this.hasEnhancers && isOpenHandshake(this.handler);
  }

  /** A request of an upgrade. Its response is made when it is asked for. */
  requestOf(raw: IncomingMessage, ip: string, codec: string): HandshakeRequest {
    return new HandshakeRequest(raw, ip, codec, this.prototypes?.request, this.createResponse);
  }

  private get prototypes(): Prototypes | undefined {
    if (this.found === undefined) this.found = this.findPrototypes() ?? null;
    return this.found ?? undefined;
  }

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
      // A middleware, or a guard, that has ended the response may never settle.
      const ended = new Promise<void>(resolve => (request.onEnded = resolve));
      await Promise.race([inAsyncScope(() => run(request)), ended]);
      await endOf(request.written);
    } catch (error) {
      const { written } = request;
      await endOf(written);
      // Nest throws on what a filter has caught that returned nothing, though it has answered.
      if (written?.response.writableEnded) return { refused: refusalBy(written) };
      const refused = this.refusalOf(error);
      return { refused: written ? { ...refused, headers: headersOf(written.response) } : refused };
    }
    const result = this.passed.get(request);
    const { written } = request;
    if (result && !written?.response.writableEnded)
      return refusalIn(result) ?? this.expiryFault(result) ?? { accepted: result };
    // An exception filter, or a guard, has answered; it remains a refusal.
    return { refused: written ? refusalBy(written) : FORBIDDEN };
  }

  /** Emits the end of the response, which a log of requests waits for. 101 is an upgrade that was granted. */
  finish(request: HandshakeRequest, status: number): void {
    try {
      if (request.written) finishResponse(request.written.response, status);
    } catch (error) {
      this.log.error(error, 'handshake');
    }
  }

  /** The requests whose handler has run to its end, which is the only thing that lets a client in. */
  private readonly passed = new WeakMap<HandshakeRequest, HandshakeResult>();

  private readonly createResponse = (request: HandshakeRequest): WrittenResponse => {
    const written = createResponse(request.raw, this.prototypes?.response);
    const { response } = written;
    // As the frameworks have it.
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
    // Decorators of the method are looked up on the function that is called.
    const method: object = Reflect.get(handler, 'handshake');
    for (const key of Reflect.getMetadataKeys(method) as string[]) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), callback);
    }
    // With nothing around it, Nest calls it through several promises, and nobody looks at its response.
    this.hasEnhancers = this.isEnhanced(method);
    if (!this.hasEnhancers) return callback;
    const run = this.contexts.create(handler, callback, 'handshake') as NestRun;
    return request => run(request, present(request.res), ignore);
  }

  /** Whether Nest has anything to call around the handler. Pipes are for parameters, which it has none of. */
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
async function endOf(written: WrittenResponse | undefined): Promise<void> {
  if (written?.response.headersSent && !written.response.writableEnded) await written.ended;
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
