import { Injectable } from '@nestjs/common';
import type { HandshakeRequest } from './handshake-request.js';

/** The initial session of an accepted client. */
export interface HandshakeResult {
  /** Bind the client to this uid before its first frame. */
  readonly userId?: string | undefined;
  /** Initial settings: any JSON object. A key that is `undefined` is omitted. */
  readonly settings?: object | undefined;
  /** A W3C `traceparent` to continue. @defaultValue the request's own, or a new one */
  readonly traceParent?: string | undefined;
  /**
   * When the credentials expire, in milliseconds since the epoch (`exp` of a JWT times 1000): the gate then closes the client with
   * 1008, unless `Session.toExpireAt` changes the time before. Expired credentials are refused with 401. @defaultValue never
   */
  readonly authExpiresAt?: number | undefined;
  /**
   * When they were issued, in milliseconds since the epoch (`iat` of a JWT times 1000): credentials older than
   * a `GatewayApi.revoke` are refused. @defaultValue the time of the request
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
 * A guard that refuses results in 403, an `HttpException` (here, or of a guard) in its status, any other error in 500.
 */
export abstract class HandshakeHandler {
  abstract handshake(request: HandshakeRequest): HandshakeResult | void | Promise<HandshakeResult | void>;
}

/** The default: every client that passes the guards may connect. */
@Injectable()
export class OpenHandshakeHandler extends HandshakeHandler {
  override handshake(): void {}
}

/** Whether a handler is the default one, so that no call is needed. */
export function isOpenHandshake(handler: HandshakeHandler): boolean {
  return handler.handshake === OpenHandshakeHandler.prototype.handshake;
}
