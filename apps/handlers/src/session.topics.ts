import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { JwtVerifier } from '@nestgate-app/common';
import { ClientSession, GateError, type JsonValue, OnTopic, Session } from '@nestgate/worker';
import { SessionSetDto } from './dto.js';

/** What a client's own session holds. */
@Controller()
@UsePipes(new ValidationPipe())
export class SessionTopics {
  constructor(private readonly tokens: JwtVerifier) {}

  @OnTopic('session/get')
  get(@ClientSession() session: Session) {
    return describe(session);
  }

  @OnTopic('session/set')
  async set(@Payload() { key, value }: SessionSetDto, @ClientSession() session: Session) {
    // With tokens, roles are theirs to say.
    if (this.tokens.isOn && key === 'roles') throw new GateError('FORBIDDEN', 'Roles come from your token');
    await session.toSet(key, value as JsonValue);
    return describe(session);
  }
}

function describe(session: Session) {
  return { clientId: session.clientId, userId: session.userId, settings: session.cloneSettings() };
}
