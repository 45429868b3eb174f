import { Injectable } from '@nestjs/common';
import type { HandshakeRequest } from './handshake-request.js';

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
