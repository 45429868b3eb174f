import { describe, expect, it } from '@jest/globals';
import { Controller, Injectable } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { of, type Observable } from 'rxjs';
import {
  type BodyOf,
  call,
  contract,
  entryError,
  message,
  type PushesOf,
  push,
  type ReplyOf,
  request,
  stream,
  type,
} from '@nestgate/contract';
import { z } from 'zod';
import type { GatewayApi } from '../../gateway/gateway-api.js';
import type { Session } from '../../session/session.js';
import { ClientSession } from '../client-session.decorator.js';
import { OnTopic } from '../on-topic.decorator.js';

/** Checked by the compiler (`tsc -p tsconfig.test.json`): what follows `@ts-expect-error` must not compile, all else must. */
const chat = contract('chat', {
  say: request({
    body: z.object({ room: z.string(), text: z.string().default('') }),
    reply: z.object({ delivered: z.number() }),
    errors: ['NOT_MEMBER'],
  }),
  rooms: request({ reply: type<readonly string[]>() }),
  clear: request({ body: type<{ room: string }>() }),
  typing: message({ body: z.object({ room: z.string() }) }),
  ask: stream({ body: z.object({ prompt: z.string() }), item: z.string() }),
  said: push({ body: z.object({ room: z.string(), from: z.string(), text: z.string() }) }),
  cleared: push(),
  confirm: call({ body: z.object({ question: z.string() }), reply: z.boolean() }),
});

type Said = BodyOf<typeof chat.said>;
declare const said: Said;

/** Never decorated at run time: what does not compile would be refused there too. */
const typesOnly = (_define: () => unknown): void => undefined;

describe('handlers of a contract', () => {
  it('have the body as their first parameter, and return the reply', () => {
    typesOnly(() => {
      @Controller()
      class Fits {
        @OnTopic(chat.say)
        say(body: BodyOf<typeof chat.say>, @ClientSession() session: Session): ReplyOf<typeof chat.say> {
          // The default of the schema has been filled in.
          return { delivered: body.text.length + session.clientId.length };
        }

        @OnTopic(chat.say, { concurrent: true })
        async later(@Payload() { room }: { room: string }): Promise<{ delivered: number }> {
          if (room === '') throw entryError(chat.say, 'NOT_MEMBER', 'Join the room first');
          if (room === 'x') throw entryError(chat.say, 'FORBIDDEN');
          return { delivered: 1 };
        }

        @OnTopic(chat.say)
        streamed(): Observable<{ delivered: number }> {
          return of({ delivered: 1 });
        }

        @OnTopic(chat.rooms)
        rooms(@ClientSession() _session: Session): readonly string[] {
          return ['lobby'];
        }

        @OnTopic(chat.clear)
        async clear(_body: unknown): Promise<void> {}

        @OnTopic(chat.typing)
        typing({ room }: { room: string }): void {
          room.trim();
        }

        @OnTopic(chat.ask)
        ask({ prompt }: BodyOf<typeof chat.ask>): Observable<string> {
          return of(prompt);
        }

        @OnTopic(chat.ask)
        async *tokens({ prompt }: BodyOf<typeof chat.ask>): AsyncIterable<string> {
          yield prompt;
        }

        @OnTopic('chat/other')
        other(@Payload() _body: number): string {
          return 'a topic that is a string has any types';
        }
      }
      return Fits;
    });
    expect(typesOnly).toBeInstanceOf(Function);
  });

  it('do not compile with another body', () => {
    typesOnly(() => {
      class Wrong {
        // @ts-expect-error the room is a string
        @OnTopic(chat.say)
        say({ room }: { room: number }): { delivered: number } {
          return { delivered: room };
        }

        // @ts-expect-error there is no such property
        @OnTopic(chat.typing)
        typing({ rooms }: { rooms: string }): void {
          rooms.trim();
        }

        // @ts-expect-error the session is not the body
        @OnTopic(chat.typing)
        session(@ClientSession() _session: Session): void {}
      }
      return Wrong;
    });
    expect(typesOnly).toBeInstanceOf(Function);
  });

  it('do not compile with another result', () => {
    typesOnly(() => {
      class Wrong {
        // @ts-expect-error the count is a number
        @OnTopic(chat.say)
        say(_body: BodyOf<typeof chat.say>): { delivered: string } {
          return { delivered: '1' };
        }

        // @ts-expect-error nothing comes back
        @OnTopic(chat.say)
        async nothing(): Promise<void> {}

        // @ts-expect-error a message has no reply
        @OnTopic(chat.typing)
        typing(): number {
          return 1;
        }

        // @ts-expect-error a stream has items
        @OnTopic(chat.ask)
        ask(): string {
          return 'all at once';
        }

        // @ts-expect-error its items are strings
        @OnTopic(chat.ask)
        numbers(): Observable<number> {
          return of(1);
        }
      }
      return Wrong;
    });
    expect(typesOnly).toBeInstanceOf(Function);
  });

  it('do not compile for what the server sends, and are refused where they are written', () => {
    const decorate = (entry: unknown) => () => OnTopic(entry as string);
    expect(decorate(chat.said)).toThrow("@OnTopic: 'chat/said' is a push, which the server sends");
    expect(decorate(chat.confirm)).toThrow("@OnTopic: 'chat/confirm' is a call, which the server sends");
    expect(decorate({})).toThrow('@OnTopic needs a topic, or an entry of a contract');
    expect(decorate(undefined)).toThrow('@OnTopic needs a topic, or an entry of a contract');
    typesOnly(() => {
      class Wrong {
        // @ts-expect-error a push is not handled
        @OnTopic(chat.said)
        said(_body: Said): void {}

        // @ts-expect-error a call is not handled
        @OnTopic(chat.confirm)
        confirm(): boolean {
          return true;
        }

        // @ts-expect-error no such entry
        @OnTopic(chat.sayed)
        sayed(): void {}
      }
      return Wrong;
    });
  });

  it('throw declared codes only', () => {
    typesOnly(() => {
      // @ts-expect-error no such code
      entryError(chat.say, 'NO_MEMBER');
      // @ts-expect-error the code of another entry
      entryError(chat.rooms, 'NOT_MEMBER');
      return entryError(chat.rooms, 'FORBIDDEN');
    });
    expect(entryError(chat.say, 'NOT_MEMBER')).toMatchObject({ code: 'NOT_MEMBER', message: 'NOT_MEMBER' });
    expect(entryError(chat.say, 'FORBIDDEN')).toMatchObject({ code: 'FORBIDDEN', message: 'Not allowed' });
  });
});

describe('pushes of a contract', () => {
  it('are the topics of a GatewayApi', () => {
    @Injectable()
    class Chat {
      constructor(readonly gateway: GatewayApi<PushesOf<typeof chat>>) {}
    }
    const news = contract('news', { flash: push({ body: type<string>() }) });
    const check = async ({ gateway }: Chat, both: GatewayApi<PushesOf<typeof chat | typeof news>>): Promise<void> => {
      await gateway.sendToAll('chat/said', said);
      await gateway.sendToClient('id', chat.said.topic, said, { confirm: true });
      await gateway.sendToUid('ada', 'chat/cleared');
      await both.sendToGroup('lobby', 'news/flash', 'text');
      await both.sendToGroup('lobby', 'chat/said', said, undefined, { confirm: true });
      // @ts-expect-error no such topic
      await gateway.sendToAll('chat/sayed', said);
      // @ts-expect-error a request is not pushed
      await gateway.sendToAll('chat/say', { room: 'a', text: 'b' });
      // @ts-expect-error a call is not pushed
      await gateway.sendToUid('ada', 'chat/confirm', { question: '?' });
      // @ts-expect-error no such body
      await gateway.sendToGroup('lobby', 'chat/said', { room: 'a' });
      // @ts-expect-error a body is needed
      await gateway.sendToAll('chat/said');
      // @ts-expect-error the body of the other contract
      await both.sendToAll('news/flash', said);
    };
    expect(check).toBeInstanceOf(Function);
  });
});
