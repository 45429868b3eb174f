import { Controller } from '@nestjs/common';
import { JwtVerifier } from '@nestgate-app/common';
import type { BodyOf, PushesOf } from '@nestgate/contract';
import { ClientSession, GatewayApi, GateError, OnTopic, Session } from '@nestgate/worker';
import { chat } from './chat.contract.js';

type Chat = typeof chat;

/**
 * A chat shows who is there while a gate that has just died may still come back: what the other gates know is good enough
 * for that. A message is different: its sender must know when some members may not have received it.
 */
const FROM_WHOEVER_ANSWERS = { partial: 'allow' } as const;

/** A chat: names are uids, rooms are groups. */
@Controller()
export class ChatTopics {
  constructor(
    private readonly gateway: GatewayApi<PushesOf<Chat>>,
    private readonly tokens: JwtVerifier,
  ) {}

  @OnTopic(chat.login)
  async login({ name }: BodyOf<Chat['login']>, @ClientSession() session: Session) {
    // With tokens, the token determines the uid.
    if (this.tokens.isOn && name !== session.userId) throw new GateError('FORBIDDEN', 'Your token has another name');
    await session.toBind(name);
    return { uid: name };
  }

  @OnTopic(chat.join)
  async join({ room }: BodyOf<Chat['join']>, @ClientSession() session: Session) {
    await this.gateway.joinGroup(session.clientId, room);
    await this.gateway.sendToGroup(room, 'chat/joined', { room, name: session.userId });
    const { result: members } = await this.gateway.getClientCountByGroup(room, FROM_WHOEVER_ANSWERS);
    return { room, members };
  }

  @OnTopic(chat.leave)
  async leave({ room }: BodyOf<Chat['leave']>, @ClientSession() session: Session) {
    await this.gateway.leaveGroup(session.clientId, room);
    return { ok: true } as const;
  }

  @OnTopic(chat.say)
  say({ room, text }: BodyOf<Chat['say']>, @ClientSession() session: Session) {
    const said = { room, from: session.userId, text, at: Date.now() };
    return this.gateway.sendToGroup(room, 'chat/said', said, undefined, { confirm: true });
  }

  @OnTopic(chat.whisper)
  whisper({ to, text }: BodyOf<Chat['whisper']>, @ClientSession() session: Session) {
    return this.gateway.sendToUid(to, 'chat/whispered', { from: session.userId, text }, { confirm: true });
  }

  @OnTopic(chat.rooms)
  async rooms() {
    const { result: rooms } = await this.gateway.getAllGroupClientIdCount(FROM_WHOEVER_ANSWERS);
    return { rooms };
  }

  @OnTopic(chat.who)
  async who({ room }: BodyOf<Chat['who']>) {
    const { result: uids } = await this.gateway.getUidListByGroup(room, FROM_WHOEVER_ANSWERS);
    return { uids: [...uids] };
  }
}
