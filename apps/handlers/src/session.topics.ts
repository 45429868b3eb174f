import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { ClientSession, type JsonValue, OnTopic, Session } from '@nestgate/worker';
import { SessionSetDto } from './dto.js';

/** What a client's own session holds. */
@Controller()
@UsePipes(new ValidationPipe())
export class SessionTopics {
  @OnTopic('session/get')
  get(@ClientSession() session: Session) {
    return describe(session);
  }

  @OnTopic('session/set')
  async set(@Payload() { key, value }: SessionSetDto, @ClientSession() session: Session) {
    await session.toSet(key, value as JsonValue);
    return describe(session);
  }
}

function describe(session: Session) {
  return { clientId: session.clientId, userId: session.userId, settings: session.cloneSettings() };
}
