/** The shape of an entry of a contract: what `@nestgate/contract` makes has it. */
interface Entry<K extends string, T extends string, Types> {
  readonly kind: K;
  readonly topic: T;
  readonly '~types'?: Types | undefined;
}

export interface Chat {
  readonly say: Entry<
    'request',
    'chat/say',
    { body: { room: string; text: string }; reply: { delivered: number }; item: undefined; code: 'NOT_MEMBER' }
  >;
  readonly typing: Entry<
    'message',
    'chat/typing',
    { body: { room: string }; reply: undefined; item: undefined; code: never }
  >;
  readonly said: Entry<
    'push',
    'chat/said',
    { body: { from: string; text: string }; reply: undefined; item: undefined; code: never }
  >;
  readonly ask: Entry<'stream', 'ai/ask', { body: { prompt: string }; reply: undefined; item: string; code: never }>;
  readonly confirm: Entry<
    'call',
    'ui/confirm',
    { body: { question: string }; reply: boolean; item: undefined; code: never }
  >;
}
