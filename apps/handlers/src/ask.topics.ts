import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { ClientSession, GatewayApi, OnTopic, Session } from '@nestgate/worker';
import { AskDto } from './dto.js';

/** Calls the client that asks for it: for trying out calls. */
@Controller()
export class AskTopics {
  constructor(private readonly gateway: GatewayApi) {}

  /** Concurrent: the client's answer, and its next frames, must not wait for it. */
  @UsePipes(new ValidationPipe())
  @OnTopic('ask/me', { concurrent: true })
  me(@Payload() { topic, body, timeoutMs }: AskDto, @ClientSession() { clientId }: Session): Promise<unknown> {
    return this.gateway.call(clientId, topic, body, { timeoutMs });
  }
}
