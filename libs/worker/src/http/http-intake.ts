import { Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { BoundedLog } from '../log/bounded-log.js';
import { type HttpAnswer, refusal } from './http-answer.js';
import type { HttpCaller } from './http-api.js';
import { HttpMetrics } from './http-counters.js';
import { HTTP_SCOPES, isHttpOperation } from './http-operations.js';
import type { HttpKey, ResolvedHttpOptions } from './http-options.js';
import { isLocal } from './loopback.js';

/** Largest body of a request in bytes. */
export const MAX_REQUEST_BYTES = 1024 * 1024;
/** Bodies that are being read, in bytes of all requests. */
const MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024;
/** Bytes of a refused request that are still read, so that the client reads the answer before its connection ends. */
const MAX_DISCARDED = 16 * 1024 * 1024;

/** The path of the OpenAPI document. */
export const OPENAPI_PATH = 'openapi.json';

/** A request that may go on to the guards, and to its operation. */
export interface AcceptedRequest {
  readonly operation: string;
  readonly caller: HttpCaller;
  /** The body as it came, and what it holds. */
  readonly raw: Buffer;
  readonly input: unknown;
}

/**
 * Takes the requests of the HTTP API before the body parser of the app: checks the key before it reads a byte of the body, and reads bodies
 * up to 1 MiB, which parsers of apps refuse by default.
 */
@Injectable()
export class HttpIntake {
  private readonly log = new BoundedLog('GatewayHttp');
  private readonly keys: ApiKeys;
  private readonly accepted = new WeakMap<IncomingMessage, AcceptedRequest>();
  private bytesInFlight = 0;

  constructor(
    private readonly options: ResolvedHttpOptions,
    private readonly hasGuard: boolean,
    private readonly metrics: HttpMetrics,
  ) {
    this.keys = new ApiKeys(options.keys);
  }

  /** Whether requests are identified, by keys or by a guard of the application. */
  get isProtected(): boolean {
    return this.keys.isRequired || this.hasGuard;
  }

  /** What was accepted of a request; once. `undefined` for one that came on another way, such as a path in other letters. */
  take(request: IncomingMessage): AcceptedRequest | undefined {
    const accepted = this.accepted.get(request);
    this.accepted.delete(request);
    return accepted;
  }

  /**
   * Decides about a request under the path of the API. Answers it, or resolves with true when it may go on.
   * @param name what follows the path of the API, without the query.
   */
  async admit(name: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (name === OPENAPI_PATH && request.method === 'GET') return true;
    const caller = this.callerOf(request);
    if ('status' in caller) return this.answer(request, response, caller);
    const refused = this.check(name, request);
    if (refused) return this.answer(request, response, refused);
    this.metrics.inFlight++;
    response.once('close', () => this.metrics.inFlight--);
    const body = await this.read(request);
    if ('status' in body) return this.answer(request, response, body);
    let input: unknown;
    try {
      input = body.length === 0 ? {} : JSON.parse(body.toString());
    } catch {
      return this.answer(request, response, refusal('BAD_ARGUMENT', 'The body is not JSON'));
    }
    this.accepted.set(request, { operation: name, caller, raw: body, input });
    return true;
  }

  private callerOf(request: IncomingMessage): HttpCaller | HttpAnswer {
    if (!this.keys.isRequired) {
      if (this.hasGuard) return { name: 'guard', scopes: HTTP_SCOPES };
      if (isLocal(request)) return { name: 'loopback', scopes: HTTP_SCOPES };
      this.log.warn('The HTTP API has no keys and no guard: a request that is not of this host was refused');
      return refusal('FORBIDDEN', 'Without keys only requests of the same host are allowed');
    }
    const key = this.keys.check(request.headers);
    if (typeof key === 'object') return key;
    this.log.warn(`A request of ${request.socket.remoteAddress} was refused: its key is ${key}`);
    const { headers, ...answer } = refusal('UNAUTHORIZED', `The key is ${key}`);
    return { ...answer, headers: { ...headers, 'WWW-Authenticate': 'Bearer realm="nestgate"' } };
  }

  private check(name: string, { method, headers }: IncomingMessage): HttpAnswer | undefined {
    if (name === OPENAPI_PATH) {
      return { ...refusal('METHOD_NOT_ALLOWED', 'Use GET'), headers: { Allow: 'GET' } };
    }
    if (name !== 'batch' && !isHttpOperation(name)) return refusal('UNKNOWN_OPERATION', 'There is no such operation');
    if (method !== 'POST') return { ...refusal('METHOD_NOT_ALLOWED', 'Use POST'), headers: { Allow: 'POST' } };
    // A page of another site can send other types without asking.
    if (!/^application\/json *(;|$)/i.test(headers['content-type'] ?? '')) {
      return refusal('UNSUPPORTED_MEDIA_TYPE', 'The type of the body must be application/json');
    }
    if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
      return refusal('UNSUPPORTED_MEDIA_TYPE', 'Compressed bodies are not supported');
    }
    if (Number(headers['content-length'] ?? 0) > MAX_REQUEST_BYTES) return tooLarge();
    if (this.metrics.inFlight >= this.options.maxConcurrent) {
      return refusal('RATE_LIMITED', `More than ${this.options.maxConcurrent} requests at once`);
    }
    return undefined;
  }

  private read(request: IncomingMessage): Promise<Buffer | HttpAnswer> {
    return new Promise(resolve => {
      const chunks: Buffer[] = [];
      let size = 0;
      const onData = (chunk: Buffer): void => {
        size += chunk.length;
        this.bytesInFlight += chunk.length;
        chunks.push(chunk);
        if (size > MAX_REQUEST_BYTES) settle(tooLarge());
        else if (this.bytesInFlight > MAX_BYTES_IN_FLIGHT) settle(refusal('RATE_LIMITED', 'Too many bytes at once'));
      };
      const onEnd = (): void => settle(Buffer.concat(chunks));
      const onClose = (): void => settle(refusal('BAD_REQUEST', 'The request was not complete'));
      const timer = setTimeout(
        () => settle(refusal('TIMEOUT', 'The body has not arrived in time', 408)),
        this.options.bodyTimeout,
      ).unref();
      const settle = (outcome: Buffer | HttpAnswer): void => {
        clearTimeout(timer);
        request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
        this.bytesInFlight -= size;
        resolve(outcome);
      };
      request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
    });
  }

  /** Answers a refused request, and discards what it still sends. */
  private answer(request: IncomingMessage, response: ServerResponse, refused: HttpAnswer): false {
    this.metrics.refuse((refused.body as { error: { code: string } }).error.code);
    const text = JSON.stringify(refused.body);
    // Nobody listens any more to what a request that is cut off reports.
    request.on('error', () => undefined);
    if (refused.status === 408) response.once('finish', () => request.destroy());
    let discarded = 0;
    request.on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > MAX_DISCARDED) request.destroy();
    });
    response.writeHead(refused.status, {
      ...refused.headers,
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'no-store',
    });
    response.end(text);
    return false;
  }
}

function tooLarge(): HttpAnswer {
  return refusal('PAYLOAD_TOO_LARGE', `A request has at most ${MAX_REQUEST_BYTES} bytes`);
}

/** Longest key in characters. */
const MAX_KEY_LENGTH = 512;

/** The keys of the HTTP API. A key is looked up by its hash, so that the time of a look-up discloses nothing of other keys. */
export class ApiKeys {
  private readonly byHash: ReadonlyMap<string, HttpKey>;

  constructor(keys: readonly HttpKey[]) {
    this.byHash = new Map(keys.map(key => [key.sha256.toLowerCase(), key]));
  }

  /** Whether a request needs a key. */
  get isRequired(): boolean {
    return this.byHash.size > 0;
  }

  /** The key of a request, or why it is refused. */
  check(headers: IncomingHttpHeaders): HttpKey | 'missing' | 'unknown' | 'expired' {
    const given = bearerOf(headers);
    if (given === undefined) return 'missing';
    const key = this.byHash.get(createHash('sha256').update(given).digest('hex'));
    if (!key) return 'unknown';
    return key.expiresAt !== undefined && Date.now() >= key.expiresAt ? 'expired' : key;
  }
}

function bearerOf({ authorization }: IncomingHttpHeaders): string | undefined {
  if (authorization === undefined || authorization.length > MAX_KEY_LENGTH) return undefined;
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
}
