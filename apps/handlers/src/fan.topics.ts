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
  async out(@Payload() { group, data }: FanOutDto, @Ctx() context: TopicContext) {
    if (!context.wantsReply) return this.gateway.sendToGroup(group, 'fan/msg', data);
    // A gate that has just died, and may still come back, is no reason to fail.
    const options = { confirm: true, partial: 'allow' } as const;
    const { delivered } = await this.gateway.sendToGroup(group, 'fan/msg', data, undefined, options);
    return { delivered };
  }
}
