import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { JwtVerifier } from '@nestgate-app/common';
import { ClientSession, GateError, OnTopic, Session } from '@nestgate/worker';
import { RefreshDto } from './dto.js';

/** Tokens on connections that are open. */
@Controller()
@UsePipes(new ValidationPipe())
export class AuthTopics {
  constructor(private readonly tokens: JwtVerifier) {}

  /** Extends the session with a newer token of the same user. A client that has shown none yet is bound by it. */
  @OnTopic('auth/refresh')
  async refresh(@Payload() { token }: RefreshDto, @ClientSession() session: Session) {
    const { userId, roles, issuedAt, expiresAt } = await this.tokens.verify(token);
    if (!session.isGuest && session.userId !== userId) throw new GateError('FORBIDDEN', 'The token is of another user');
    // Also when it is bound already: the gate compares the token with what was revoked.
    await session.toBind(userId, { issuedAt, expiresAt });
    await session.toSet('roles', roles);
    return { uid: userId, expiresAt };
  }
}
