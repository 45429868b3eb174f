import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import { ClientSession, GatewayApi, OnTopic, Session, TopicContext } from '@nestgate/worker';
import { FanDto, FanOutDto } from './dto.js';

/** One message to many clients. */
@Controller()
@UsePipes(new ValidationPipe())
export class FanTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('fan/join')
  async join(@Payload() { group }: FanDto, @ClientSession() session: Session) {
    await this.gateway.joinGroup(session.clientId, group);
    return { ok: true };
  }

  @OnTopic('fan/out')
  out(@Payload() { group, data }: FanOutDto, @Ctx() context: TopicContext) {
    if (!context.wantsReply) return this.gateway.sendToGroup(group, 'fan/msg', data);
    return this.gateway.sendToGroup(group, 'fan/msg', data, undefined, { confirm: true });
  }
}
