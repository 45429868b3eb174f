import { describe, expect, it } from '@jest/globals';
import { type as arktype } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import type {
  BodyOf,
  CallsOf,
  ClientBodyOf,
  ErrorCodeOf,
  ItemOf,
  MessagesOf,
  PushesOf,
  ReplyOf,
  RequestsOf,
  StreamsOf,
  TopicsOf,
} from './index.js';
import { call, contract, message, pick, push, request, stream, type } from './index.js';

/** Checked by the compiler (`tsc -p tsconfig.test.json`): each line compiles only when the types are exactly these. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_same: Same<A, B>): void => undefined;

const chat = contract('chat', {
  say: request({
    body: z.object({ room: z.string(), text: z.string().default('') }),
    reply: z.object({ delivered: z.number() }),
    errors: ['NOT_MEMBER', 'MUTED'],
  }),
  rooms: request({ reply: type<string[]>(), topic: 'legacy/rooms' }),
  typing: message({ body: v.object({ room: v.string() }) }),
  ask: stream({ body: arktype({ prompt: 'string' }), item: z.string(), errors: ['BUSY'] }),
  said: push({ body: type<{ text: string }>() }),
  cleared: push(),
  confirm: call({ body: type<{ question: string }>(), reply: z.string().transform(text => text.length) }),
});
type Chat = typeof chat;

describe('the types of a contract', () => {
  it('are those of its schemas, for each side', () => {
    same<BodyOf<Chat['say']>, { room: string; text: string }>(true);
    same<ClientBodyOf<Chat['say']>, { room: string; text?: string | undefined }>(true);
    same<ReplyOf<Chat['say']>, { delivered: number }>(true);
    same<ErrorCodeOf<Chat['say']>, 'NOT_MEMBER' | 'MUTED'>(true);
    same<ErrorCodeOf<Chat['rooms']>, never>(true);
    same<BodyOf<Chat['rooms']>, undefined>(true);
    same<BodyOf<Chat['typing']>, { room: string }>(true);
    same<BodyOf<Chat['ask']>, { prompt: string }>(true);
    same<ItemOf<Chat['ask']>, string>(true);
    same<BodyOf<Chat['said']>, { text: string }>(true);
    same<BodyOf<Chat['cleared']>, undefined>(true);
    expect(same).toBeInstanceOf(Function);
  });

  it('have topics of their prefix and key, or of their own', () => {
    same<Chat['say']['topic'], 'chat/say'>(true);
    same<Chat['rooms']['topic'], 'legacy/rooms'>(true);
    same<TopicsOf<Chat, 'push'>, 'chat/said' | 'chat/cleared'>(true);
    same<TopicsOf<Chat, 'request' | 'message'>, 'chat/say' | 'legacy/rooms' | 'chat/typing'>(true);
    const topic: 'chat/say' = chat.say.topic;
    expect(topic).toBe('chat/say');
  });

  it('are there by topic, for those who send and get them', () => {
    same<PushesOf<Chat>, { 'chat/said': { text: string }; 'chat/cleared': undefined }>(true);
    same<MessagesOf<Chat>, { 'chat/typing': { room: string } }>(true);
    same<RequestsOf<Chat>['chat/say']['reply'], { delivered: number }>(true);
    same<RequestsOf<Chat>['chat/say']['code'], 'NOT_MEMBER' | 'MUTED'>(true);
    same<keyof RequestsOf<Chat>, 'chat/say' | 'legacy/rooms'>(true);
    same<StreamsOf<Chat>['chat/ask']['item'], string>(true);
    same<CallsOf<Chat>['chat/confirm']['reply'], string>(true);
    same<CallsOf<Chat>['chat/confirm']['answered'], number>(true);
    expect(same).toBeInstanceOf(Function);
  });

  it('may be of several contracts, and of a part of one', () => {
    const news = contract('news', { flash: push({ body: type<number>() }) });
    same<PushesOf<Chat | typeof news>['news/flash'], number>(true);
    same<TopicsOf<Chat | typeof news, 'push'>, 'chat/said' | 'chat/cleared' | 'news/flash'>(true);
    const part = pick(chat, 'say', 'said');
    same<TopicsOf<typeof part>, 'chat/say' | 'chat/said'>(true);
    // @ts-expect-error no such entry
    expect(() => pick(chat, 'sayed')).toThrow('pick(): the contract has no entry "sayed"');
  });

  it('refuse options that an entry does not have', () => {
    // @ts-expect-error a message has no reply
    expect(() => message({ reply: z.string() })).toThrow('message(): unknown option "reply"; known: body, topic');
    // @ts-expect-error not a schema
    expect(() => request({ body: 'text' })).toThrow('request(): body must be a Standard Schema');
    // @ts-expect-error codes are strings
    expect(() => request({ errors: [1] })).toThrow('request(): errors must be a list of codes');
  });
});
