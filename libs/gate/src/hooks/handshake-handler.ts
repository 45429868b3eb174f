import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';

/**
 * The HTTP request that asks for the upgrade. Guards get it from `context.switchToHttp().getRequest()`, and may put a
 * `user` on it, as they do with requests of Nest's HTTP routes.
 */
export class HandshakeRequest {
  /** What a guard has found out about the client. */
  user: unknown;
  readonly method: string;
  /** Path and query, as sent. */
  readonly url: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** When it came, as `performance.now()`. */
  readonly arrivedAt: number = performance.now();

  constructor(
    /** The request itself. */
    readonly raw: IncomingMessage,
    /** The client's address. */
    readonly ip: string,
    /** The codec the client will speak, such as `gate.json`. */
    readonly codec: string,
  ) {
    this.method = raw.method ?? 'GET';
    this.url = raw.url ?? '/';
    this.headers = raw.headers;
    const at = this.url.indexOf('?');
    this.path = at < 0 ? this.url : this.url.slice(0, at);
    this.query = Object.fromEntries(new URLSearchParams(at < 0 ? '' : this.url.slice(at + 1)));
  }

  /** The cookies, by name. */
  get cookies(): Readonly<Record<string, string>> {
    const pairs: [string, string][] = [];
    for (const part of (this.headers.cookie ?? '').split(';')) {
      const equals = part.indexOf('=');
      if (equals > 0) pairs.push([part.slice(0, equals).trim(), decode(part.slice(equals + 1).trim())]);
    }
    return Object.fromEntries(pairs);
  }
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** With what a session starts. */
export interface HandshakeResult {
  /** Bind the client to this uid before its first frame. */
  readonly userId?: string | undefined;
  /** Settings the session starts with: an object of whatever JSON can carry. A key that is `undefined` is left out. */
  readonly settings?: object | undefined;
  /** A W3C `traceparent` to go on with. @defaultValue the request's own, or a new one */
  readonly traceParent?: string | undefined;
  /**
   * When the credentials expire, in milliseconds since the epoch (`exp` of a JWT times 1000): the client is closed with 1008
   * then, unless `Session.toExpireAt` says otherwise before. What is over is refused with 401. @defaultValue never
   */
  readonly authExpiresAt?: number | undefined;
  /**
   * When they were issued, in milliseconds since the epoch (`iat` of a JWT times 1000): what was issued before
   * `GatewayApi.revoke` is refused. @defaultValue when the request came
   */
  readonly authIssuedAt?: number | undefined;
  /** Kept with the session on this gate. */
  readonly userData?: unknown;
}

/**
 * Decides who may connect. Guards, interceptors and exception filters work on it as on a route, global ones included:
 *
 * ```ts
 * @UseGuards(JwtGuard)
 * class MyHandshake extends HandshakeHandler {
 *   handshake(request: HandshakeRequest) { return { userId: (request.user as User).id }; }
 * }
 * GateModule.forRoot({ …, providers: [{ provide: HandshakeHandler, useClass: MyHandshake }] })
 * ```
 *
 * A guard that says no is answered with 403; an `HttpException` (here, or of a guard) with its own status; any other
 * error with 500.
 */
export abstract class HandshakeHandler {
  abstract handshake(request: HandshakeRequest): HandshakeResult | void | Promise<HandshakeResult | void>;
}

/** The default: whoever passes the guards may connect. */
@Injectable()
export class OpenHandshakeHandler extends HandshakeHandler {
  override handshake(): void {}
}
