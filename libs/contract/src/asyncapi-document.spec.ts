import { describe, expect, it } from '@jest/globals';
import { Parser } from '@asyncapi/parser';
import { toJsonSchema } from '@valibot/to-json-schema';
import { type as arktype } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import { toAsyncApi } from './asyncapi.js';
import { call, contract, message, push, request, stream, type } from './index.js';

const Node = z.object({
  name: z.string(),
  get children() {
    return z.array(Node).optional();
  },
});

const chat = contract('chat', {
  say: request({
    body: z.object({ room: z.string(), text: z.string().max(100).default('') }),
    reply: z.object({ delivered: z.number() }),
    errors: ['NOT_MEMBER', 'MUTED'],
  }),
  typing: message({ body: arktype({ room: 'string' }) }),
  ask: stream({ body: v.object({ prompt: v.string() }), item: z.string() }),
  said: push({ body: type<{ text: string }>() }),
  cleared: push(),
  confirm: call({ body: z.object({ question: z.string() }), reply: z.boolean() }),
  tree: request({ body: Node, reply: Node, topic: 'legacy.tree/x' }),
});
const news = contract('news', { flash: push({ body: z.string() }) });
const info = { title: 'Chat', version: '1.0.0' };

/** What the parser finds in a document, of every severity but hints on style. */
async function faultsOf(document: object): Promise<string[]> {
  const { document: parsed, diagnostics } = await new Parser().parse(JSON.stringify(document));
  const faults = diagnostics
    // Of 4 severities the first two are errors and warnings.
    .filter(({ severity }) => [0, 1].includes(severity))
    .map(({ message, path }) => `${path.join('.')}: ${message}`);
  return parsed ? faults : [...faults, 'not parsed'];
}

describe('toAsyncApi', () => {
  it('is a document that the parser of AsyncAPI takes', async () => {
    const document = toAsyncApi(
      [chat, news],
      { ...info, description: 'A chat' },
      {
        servers: { production: { host: 'example.com', protocol: 'wss', pathname: '/gate' } },
        toJsonSchema: schema =>
          schema['~standard'].vendor === 'valibot' ? (toJsonSchema(schema as never) as never) : undefined,
      },
    );
    expect(await faultsOf(document)).toEqual([]);
    // The parser does find what is wrong.
    const broken = { ...document, operations: { x: { action: 'listen', channel: { $ref: '#/channels/none' } } } };
    expect(await faultsOf(broken)).not.toEqual([]);
  });

  it('has a channel and an operation for each topic, in their order', () => {
    const { channels, operations } = toAsyncApi(chat, info);
    const topics = [
      'chat/ask',
      'chat/cleared',
      'chat/confirm',
      'chat/said',
      'chat/say',
      'chat/typing',
      'legacy.tree/x',
    ];
    expect(Object.keys(channels)).toEqual(topics);
    expect(Object.values(operations).map(operation => [operation.action, operation['x-nestgate-kind']])).toEqual([
      ['receive', 'stream'],
      ['send', 'push'],
      ['send', 'call'],
      ['send', 'push'],
      ['receive', 'request'],
      ['receive', 'message'],
      ['receive', 'request'],
    ]);
    expect(operations['chat/say']).toEqual({
      action: 'receive',
      channel: { $ref: '#/channels/chat~1say' },
      messages: [{ $ref: '#/channels/chat~1say/messages/body' }],
      reply: {
        channel: { $ref: '#/channels/chat~1say' },
        messages: [{ $ref: '#/channels/chat~1say/messages/reply' }],
      },
      'x-nestgate-kind': 'request',
      'x-nestgate-errors': ['MUTED', 'NOT_MEMBER'],
    });
    expect(operations['chat/ask']?.reply?.messages).toEqual([{ $ref: '#/channels/chat~1ask/messages/item' }]);
    expect(operations['chat/typing']).not.toHaveProperty('reply');
  });

  it('has the schemas of what travels: what goes into them', () => {
    const { channels } = toAsyncApi(chat, info);
    const payload = (topic: string, name: string) => channels[topic]?.messages[name]?.payload;
    expect(payload('chat/say', 'body')).toEqual({
      type: 'object',
      properties: { room: { type: 'string' }, text: { type: 'string', maxLength: 100, default: '' } },
      required: ['room'],
    });
    expect(payload('chat/typing', 'body')).toMatchObject({ properties: { room: { type: 'string' } } });
    // Schemas of valibot need a function of another package.
    for (const [topic, vendor] of [
      ['chat/ask', 'valibot'],
      ['chat/said', 'nestgate'],
    ] as const) {
      expect(payload(topic, 'body')).toEqual({
        description: `A ${vendor} schema that has no JSON Schema`,
        'x-nestgate-unknown': true,
      });
    }
    expect(payload('chat/cleared', 'body')).toEqual({ description: 'There is no body' });
    expect(payload('legacy.tree/x', 'reply')).toMatchObject({
      properties: { children: { items: { $ref: '#/channels/legacy.tree~1x/messages/reply/payload' } } },
    });
  });

  it('is the same text for the same contract', () => {
    const text = JSON.stringify(toAsyncApi([chat, news], info));
    expect(JSON.stringify(toAsyncApi([news, chat], info))).toBe(text);
  });

  it('has a placeholder for what JSON Schema cannot express', () => {
    const dates = contract('dates', { at: push({ body: z.object({ at: z.date() }) }) });
    expect(toAsyncApi(dates, info).channels['dates/at']?.messages['body']?.payload).toMatchObject({
      'x-nestgate-unknown': true,
    });
  });

  it('refuses what is no contract', () => {
    expect(() => toAsyncApi({ say: request() } as never, info)).toThrow('A contract has a value that is no entry');
  });
});
