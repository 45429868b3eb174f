import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { ClientSession, GatewayApi, OnTopic, Session } from '@nestgate/worker';
import { LoginDto, RoomDto, SayDto, WhisperDto } from './dto.js';

/** A chat goes on while a gate that has just died may still come back: what the other gates know is good enough. */
const FROM_WHOEVER_ANSWERS = { partial: 'allow' } as const;

/** A chat: names are uids, rooms are groups. */
@Controller()
@UsePipes(new ValidationPipe())
export class ChatTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('chat/login')
  async login(@Payload() { name }: LoginDto, @ClientSession() session: Session) {
    await session.toBind(name);
    return { uid: name };
  }

  @OnTopic('chat/join')
  async join(@Payload() { room }: RoomDto, @ClientSession() session: Session) {
    await this.gateway.joinGroup(session.clientId, room);
    await this.gateway.sendToGroup(room, 'chat/joined', { room, name: session.userId });
    const { result: members } = await this.gateway.getClientCountByGroup(room, FROM_WHOEVER_ANSWERS);
    return { room, members };
  }

  @OnTopic('chat/leave')
  async leave(@Payload() { room }: RoomDto, @ClientSession() session: Session) {
    await this.gateway.leaveGroup(session.clientId, room);
    return { ok: true };
  }

  @OnTopic('chat/say')
  async say(@Payload() { room, text }: SayDto, @ClientSession() session: Session) {
    const said = { room, from: session.userId, text, at: Date.now() };
    const options = { confirm: true, ...FROM_WHOEVER_ANSWERS } as const;
    const { delivered } = await this.gateway.sendToGroup(room, 'chat/said', said, undefined, options);
    return { delivered };
  }

  @OnTopic('chat/whisper')
  async whisper(@Payload() { to, text }: WhisperDto, @ClientSession() session: Session) {
    const options = { confirm: true, ...FROM_WHOEVER_ANSWERS } as const;
    const whispered = { from: session.userId, text };
    const { delivered } = await this.gateway.sendToUid(to, 'chat/whispered', whispered, options);
    return { delivered };
  }

  @OnTopic('chat/rooms')
  async rooms() {
    const { result: rooms } = await this.gateway.getAllGroupClientIdCount(FROM_WHOEVER_ANSWERS);
    return { rooms };
  }

  @OnTopic('chat/who')
  async who(@Payload() { room }: RoomDto) {
    const { result: uids } = await this.gateway.getUidListByGroup(room, FROM_WHOEVER_ANSWERS);
    return { uids };
  }
}
