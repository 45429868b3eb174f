import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Maximum size of the body of a refusal. */
const MAX_BODY = 64 * 1024;
/** Hop-by-hop headers, and headers that the gate sets itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  'connection content-length date keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(' '),
);

/** A response with the methods of Fastify's `Reply` and Express's `Response` that guards and filters use. */
export class HandshakeReply extends ServerResponse {
  request: unknown;

  get raw(): this {
    return this;
  }

  get sent(): boolean {
    return this.headersSent || this.writableEnded;
  }

  status(code: number): this {
    this.statusCode = code;
    return this;
  }

  code(code: number): this {
    return this.status(code);
  }

  header(name: string, value: number | string | readonly string[] = ''): this {
    return this.setHeader(name, value);
  }

  set(name: string | OutgoingHttpHeaders, value: number | string | readonly string[] = ''): this {
    return typeof name === 'string' ? this.setHeader(name, value) : this.headers(name);
  }

  headers(headers: OutgoingHttpHeaders): this {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) this.setHeader(name, value);
    return this;
  }

  get(name: string): ReturnType<ServerResponse['getHeader']> {
    return this.getHeader(name);
  }

  type(type: string): this {
    return this.setHeader('Content-Type', type);
  }

  json(body: unknown): this {
    if (!this.hasHeader('Content-Type')) this.type('application/json; charset=utf-8');
    return this.end(JSON.stringify(body));
  }

  send(body?: unknown): this {
    if (body === undefined || body === null) return this.end();
    if (body instanceof Uint8Array) return this.end(body);
    if (typeof body !== 'string') return this.json(body);
    if (!this.hasHeader('Content-Type')) this.type('text/plain; charset=utf-8');
    return this.end(body);
  }

  redirect(target: string | number, ...more: (string | number)[]): this {
    const url = [target, ...more].find(each => typeof each === 'string') ?? '/';
    const code = [target, ...more].find(each => typeof each === 'number') ?? 302;
    return this.status(code).setHeader('Location', url).end();
  }

  hijack(): this {
    return this;
  }
}

/** A response without a connection, and what was written to it. */
export interface WrittenResponse {
  readonly response: ServerResponse;
  /** The body so far; empty when it is larger than 64 KiB. */
  readonly body: () => Buffer;
  /** Resolves when the response has ended, which may never happen. */
  readonly ended: Promise<void>;
}

/**
 * Creates the response of a handshake for guards, interceptors and exception filters: a response of Node, with the methods of the
 * app's framework, that is not written to a connection. When the upgrade is refused, the answer has its headers, and its body if it was
 * ended.
 *
 * @param prototype The prototype of the app's responses; on Express, `app.response`.
 */
export function createResponse(raw: IncomingMessage, prototype: object | undefined): WrittenResponse {
  const response: ServerResponse = prototype ? new ServerResponse(raw) : new HandshakeReply(raw);
  if (prototype) Object.setPrototypeOf(response, prototype);
  const chunks: Buffer[] = [];
  let size = 0;
  const keep = (chunk: unknown, encoding: unknown): void => {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk);
    size += bytes.length;
    if (size <= MAX_BODY) chunks.push(bytes);
  };
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  const end = response.end.bind(response) as (...args: unknown[]) => unknown;
  response.write = (...args: unknown[]): boolean => {
    keep(args[0], args[1]);
    // There is no connection and therefore no backpressure.
    write(...args);
    return true;
  };
  let noteEnd = (): void => undefined;
  const ended = new Promise<void>(resolve => (noteEnd = resolve));
  response.end = ((...args: unknown[]): ServerResponse => {
    if (!response.writableEnded) keep(args[0], args[1]);
    end(...args);
    noteEnd();
    return response;
  }) as ServerResponse['end'];
  return { response, ended, body: () => (size > MAX_BODY ? Buffer.alloc(0) : Buffer.concat(chunks)) };
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8';
}

/** The headers of a response that may be sent with a refusal. */
export function headersOf(response: ServerResponse): Record<string, string | readonly string[]> {
  const headers: Record<string, string | readonly string[]> = {};
  for (const name of response.getHeaderNames()) {
    const value = response.getHeader(name);
    if (value === undefined || OWN_HEADERS.has(name)) continue;
    headers[name] = typeof value === 'number' ? String(value) : value;
  }
  return headers;
}

/** Emits the events of a response that is done. Listeners may throw. */
export function finishResponse(response: ServerResponse, status: number): void {
  if (!response.headersSent) response.statusCode = status;
  response.emit('finish');
  response.emit('close');
}
