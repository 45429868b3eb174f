import { IncomingMessage, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { present } from '@nestgate/link/internal';
import { parse } from 'cookie';
import { originForm } from '../admission/handshake-check.js';
import type { WrittenResponse } from '../admission/handshake-response.js';

/**
 * The HTTP request of the upgrade. Guards get it from `context.switchToHttp().getRequest()`, and may set `user`, as on requests
 * of Nest's HTTP routes.
 *
 * It has what guards for HTTP use of a request of Express (`get`, `originalUrl`, `hostname`, `protocol`, …); whatever it has not,
 * such as `socket`, `rawHeaders` or `on`, is the {@link raw} request's. In an app on Express that includes all that Express, or the
 * application, has put on the prototype of its requests. Middleware does not run for upgrades: what it puts on a request, such as
 * `session` or a parsed `body`, is not there.
 */
export class HandshakeRequest {
  /** The user that a guard has authenticated. */
  user: unknown;
  readonly method: string;
  /** Path and query, as sent. */
  readonly url: string;
  readonly originalUrl: string;
  readonly baseUrl: string = '';
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly params: Readonly<Record<string, string>> = {};
  /** Time of arrival, by `performance.now()`. */
  readonly arrivedAt: number = performance.now();
  /** The response, created on first use. @internal */
  written: WrittenResponse | undefined = undefined;
  /** Called when its response has been ended. @internal */
  onEnded: (() => void) | undefined = undefined;

  constructor(
    /** The request itself. */
    readonly raw: IncomingMessage,
    /** The client's address. */
    readonly ip: string,
    /** The codec the client will speak, such as `gate.json`. */
    readonly codec: string,
    /** Prototype of the app's requests; for Express `app.request`. */
    prototype?: object,
    /** Makes its response. */
    private readonly respond?: (request: HandshakeRequest) => WrittenResponse,
  ) {
    this.method = raw.method ?? 'GET';
    this.url = originForm(raw.url);
    this.originalUrl = this.url;
    this.headers = raw.headers;
    const at = this.url.indexOf('?');
    this.path = at < 0 ? this.url : this.url.slice(0, at);
    this.query = at < 0 ? {} : Object.fromEntries(new URLSearchParams(this.url.slice(at + 1)));
    return new Proxy(this, new Inheritance(raw, prototype));
  }

  /** The response for guards and filters. Created on first use, because most handshakes need none. */
  get res(): ServerResponse | undefined {
    return (this.written ??= this.respond?.(this))?.response;
  }

  /** The cookies, by name: of two with one name the first, without quotes, as with Express. */
  get cookies(): Readonly<Record<string, string>> {
    return parse(this.headers.cookie ?? '', { decode: decodeCookie }) as Readonly<Record<string, string>>;
  }

  /** A header's value, whatever the case of its name. */
  get(name: string): string | undefined {
    const value = this.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The same as {@link get}. */
  header(name: string): string | undefined {
    return this.get(name);
  }

  /** The host that the client has asked for, without the port. */
  get hostname(): string {
    return (this.headers.host ?? '').replace(/:\d*$/, '');
  }

  get protocol(): 'http' | 'https' {
    return (this.raw.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http';
  }

  get secure(): boolean {
    return this.protocol === 'https';
  }
}

/** Resolves missing properties from the prototype of the app's requests, and then from the incoming request. */
class Inheritance implements ProxyHandler<HandshakeRequest> {
  constructor(
    private readonly raw: IncomingMessage,
    private readonly prototype: object | undefined,
  ) {}

  has(target: HandshakeRequest, key: PropertyKey): boolean {
    return key in target || this.inherits(key) || key in this.raw;
  }

  get(target: HandshakeRequest, key: PropertyKey, receiver: unknown): unknown {
    if (Object.hasOwn(target, key)) return Reflect.get(target, key, receiver);
    if (this.inherits(key)) return Reflect.get(present(this.prototype), key, receiver);
    if (key in target) return Reflect.get(target, key, receiver);
    const value: unknown = Reflect.get(this.raw, key, this.raw);
    return typeof value === 'function' ? (value.bind(this.raw) as unknown) : value;
  }

  /** Whether a property belongs to the application or its framework, and not to Node. */
  private inherits(key: PropertyKey): boolean {
    if (key === 'constructor') return false;
    let each: object | null = this.prototype ?? null;
    for (; each !== null && each !== IncomingMessage.prototype; each = Object.getPrototypeOf(each) as object | null) {
      if (Object.hasOwn(each, key)) return true;
    }
    return false;
  }
}

function decodeCookie(value: string): string {
  const plain = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}
