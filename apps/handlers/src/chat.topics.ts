import { Controller, UsePipes, ValidationPipe } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { JwtVerifier } from '@nestgate-app/common';
import { ClientSession, GatewayApi, GateError, OnTopic, Session } from '@nestgate/worker';
import { LoginDto, RoomDto, SayDto, WhisperDto } from './dto.js';

/**
 * A chat shows who is there while a gate that has just died may still come back: what the other gates know is good enough
 * for that. What is said is another matter: whoever says it should know when it may not have reached everybody.
 */
const FROM_WHOEVER_ANSWERS = { partial: 'allow' } as const;

/** A chat: names are uids, rooms are groups. */
@Controller()
@UsePipes(new ValidationPipe())
export class ChatTopics {
  constructor(
    private readonly gateway: GatewayApi,
    private readonly tokens: JwtVerifier,
  ) {}

  @OnTopic('chat/login')
  async login(@Payload() { name }: LoginDto, @ClientSession() session: Session) {
    // With tokens, who somebody is is theirs to say.
    if (this.tokens.isOn && name !== session.userId) throw new GateError('FORBIDDEN', 'Your token has another name');
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
  say(@Payload() { room, text }: SayDto, @ClientSession() session: Session) {
    const said = { room, from: session.userId, text, at: Date.now() };
    return this.gateway.sendToGroup(room, 'chat/said', said, undefined, { confirm: true });
  }

  @OnTopic('chat/whisper')
  whisper(@Payload() { to, text }: WhisperDto, @ClientSession() session: Session) {
    return this.gateway.sendToUid(to, 'chat/whispered', { from: session.userId, text }, { confirm: true });
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
