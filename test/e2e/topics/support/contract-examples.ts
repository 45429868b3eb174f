/** The examples of `docs/contract.md`: what stands between the markers stands there too, and `contract-docs.e2e-spec.ts` runs it. */
// example: contract
import {
  type BodyOf,
  call,
  contract,
  entryError,
  message,
  type PushesOf,
  push,
  request,
  stream,
  type,
} from '@nestgate/contract';
import { z } from 'zod';

export const chat = contract('chat', {
  say: request({
    body: z.object({ room: z.string(), text: z.string().max(2000) }),
    reply: z.object({ delivered: z.number() }),
    errors: ['NOT_MEMBER'],
  }),
  typing: message({ body: z.object({ room: z.string() }) }),
  ask: stream({ body: z.object({ prompt: z.string() }), item: z.string() }),
  said: push({ body: z.object({ room: z.string(), from: z.string(), text: z.string() }) }),
  confirm: call({ body: type<{ question: string }>(), reply: z.boolean() }),
  rooms: request({ reply: type<string[]>(), topic: 'legacy/rooms' }),
});
// end

import { Controller, Module } from '@nestjs/common';
import { from } from 'rxjs';
import { ClientSession, GatewayApi, OnTopic, Session, WorkerModule } from '@nestgate/worker';

// example: handlers
@Controller()
export class ChatTopics {
  constructor(private readonly gateway: GatewayApi<PushesOf<typeof chat>>) {}

  @OnTopic(chat.say)
  async say({ room, text }: BodyOf<typeof chat.say>, @ClientSession() session: Session) {
    if (!session.get('member')) throw entryError(chat.say, 'NOT_MEMBER', 'Join the room first');
    const said = { room, from: session.userId, text };
    return this.gateway.sendToGroup(room, chat.said.topic, said, { confirm: true }); // { delivered }
  }

  @OnTopic(chat.typing)
  typing({ room }: BodyOf<typeof chat.typing>) {
    console.log(`Typing in ${room}`);
  }

  @OnTopic(chat.ask)
  ask({ prompt }: BodyOf<typeof chat.ask>) {
    return from(prompt.split(' '));
  }

  @OnTopic(chat.rooms)
  rooms() {
    return ['lobby'];
  }
}

@Module({ imports: [WorkerModule.forRoot({ contracts: [chat], strict: true })], controllers: [ChatTopics] })
export class ChatApp {}
// end

import { pick } from '@nestgate/contract';

// example: part
export const partOfChat = WorkerModule.forRoot({ contracts: [pick(chat, 'say', 'typing')] });
// end

import { dto } from '@nestgate/contract/dto';
import { IsString, MaxLength } from 'class-validator';

// example: dto
export class SayDto {
  @IsString()
  room!: string;

  @IsString()
  @MaxLength(2000)
  text!: string;
}

export const dtoChat = contract('chat', { say: request({ body: dto(SayDto, { whitelist: true }) }) });
// end

// example: asyncapi
import { compareContracts, toAsyncApi } from '@nestgate/contract/asyncapi';

export const document = toAsyncApi(chat, { title: 'Chat', version: '1.0.0' });

export function breaking(before: typeof document) {
  return compareContracts(before, document).map(({ topic, path, message: what }) => `${topic} ${path}: ${what}`);
}
// end
