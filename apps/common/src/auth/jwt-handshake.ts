import type { IncomingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import {
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  RouteHandler,
  SessionLearner,
} from '@nestgate/gate';
import { GateError, type Session } from '@nestgate/worker';
import { JwtVerifier } from './jwt-verifier.js';

/** What a subprotocol that carries a token starts with. */
export const TOKEN_PROTOCOL = 'bearer.';
/** The topic with which a token is shown on a connection that is open. */
export const REFRESH_TOPIC = 'auth/refresh';
/** How long a TCP client may take to show its token, in milliseconds. */
const GUEST_MS = 10_000;

/**
 * The token of a handshake. Clients that can set headers send `Authorization: Bearer …`. Browsers cannot: all that their
 * `WebSocket` takes is a URL and subprotocols, and URLs end up in access logs and histories; so they offer the token as a second
 * subprotocol: `new WebSocket(url, ['gate.json', 'bearer.' + token])`. The gate chooses the first one, so that the token is not sent back.
 */
export function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const tokens: string[] = [];
  const { authorization } = headers;
  if (authorization !== undefined) tokens.push(/^Bearer +([^\s,]+) *$/i.exec(authorization)?.[1] ?? '');
  for (const offered of headers['sec-websocket-protocol']?.split(',') ?? []) {
    const name = offered.trim();
    if (name.startsWith(TOKEN_PROTOCOL)) tokens.push(name.slice(TOKEN_PROTOCOL.length));
  }
  // Of two tokens it would depend on who looks which one counts.
  return tokens.length === 1 ? tokens[0] : undefined;
}

/** Lets in who brings a good token: as the user whom it names, for as long as it is good. */
@Injectable()
export class JwtHandshake extends HandshakeHandler {
  constructor(private readonly tokens: JwtVerifier) {
    super();
  }

  override async handshake({ headers }: HandshakeRequest): Promise<HandshakeResult> {
    const { userId, roles, issuedAt, expiresAt } = await this.tokens.verify(tokenOf(headers));
    // The roles also when there are none: what was stored of the user must not bring back those of an older token.
    return { userId, settings: { roles }, authIssuedAt: issuedAt, authExpiresAt: expiresAt };
  }
}

/** A client without a token may only show one. */
@Injectable()
export class TokenFirst extends RouteHandler {
  override onRoute(session: Session, topic: string): boolean {
    if (session.isGuest && topic !== REFRESH_TOPIC) throw new GateError('UNAUTHORIZED', 'A valid token is needed');
    return false;
  }
}

/** A client without a token may not stay. */
@Injectable()
export class GuestDeadline extends SessionLearner {
  override async onConnect(session: Session): Promise<void> {
    if (session.isGuest) await session.toExpireAt(Date.now() + GUEST_MS);
  }

  override onDisconnect(): void {}
}
