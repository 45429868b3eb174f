import { setTimeout as delay } from 'node:timers/promises';
import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import { GatewayApi, OnTopic, TopicContext } from '@nestgate/worker';
import { FailDto, SlowDto } from './dto.js';

/** Gives back what it gets: for trying out a connection, and for measuring one. */
@Controller()
export class EchoTopics {
  constructor(private readonly gateway: GatewayApi) {}

  /** With an id the body is the reply; without one it comes back as a push. */
  @OnTopic('echo/echo', { payload: 'raw' })
  echo(@Payload() body: unknown, @Ctx() context: TopicContext): unknown {
    if (context.wantsReply) return body;
    void this.gateway.sendToClient(context.clientId, context.topic, body);
    return undefined;
  }

  @UsePipes(new ValidationPipe())
  @OnTopic('echo/slow')
  async slow(@Payload() body: SlowDto, @Ctx() context: TopicContext): Promise<unknown> {
    await delay(body.ms);
    if (context.wantsReply) return body;
    return this.gateway.sendToClient(context.clientId, context.topic, body);
  }

  @UsePipes(new ValidationPipe())
  @OnTopic('echo/fail')
  fail(@Payload() body?: FailDto): never {
    if (body?.code === undefined) throw new Error('echo/fail without a code');
    throw new RpcException({ code: body.code, message: 'Failed as asked' });
  }
}
