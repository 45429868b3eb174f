import { describe, expect, it } from '@jest/globals';
import { call, contract, isEntry, message, pick, push, request, stream, type } from './index.js';

describe('contract', () => {
  const body = type<string>();
  const chat = contract('chat', {
    say: request({ body, reply: body, errors: ['NOT_MEMBER'] }),
    typing: message(),
    ask: stream({ item: body }),
    said: push({ body, topic: 'legacy/said' }),
    confirm: call({ reply: body }),
    'rooms/list': request(),
  });

  it('gives each entry its topic', () => {
    expect(Object.values(chat).map(({ kind, topic }) => [kind, topic])).toEqual([
      ['request', 'chat/say'],
      ['message', 'chat/typing'],
      ['stream', 'chat/ask'],
      ['push', 'legacy/said'],
      ['call', 'chat/confirm'],
      ['request', 'chat/rooms/list'],
    ]);
    expect(chat.say).toEqual({ kind: 'request', topic: 'chat/say', body, reply: body, errors: ['NOT_MEMBER'] });
  });

  it('cannot be changed', () => {
    for (const value of [chat, chat.say, chat.say.errors]) expect(Object.isFrozen(value)).toBe(true);
    const part = pick(chat, 'say', 'said');
    expect(part).toEqual({ say: chat.say, said: chat.said });
    expect(Object.isFrozen(part)).toBe(true);
  });

  it.each([
    ['', 'say', '/say'],
    ['chat', 'say it', 'chat/say it'],
    ['$gate', 'ping', '$gate/ping'],
    ['chat', 'x'.repeat(128), `chat/${'x'.repeat(128)}`],
  ])('refuses the prefix %j with the key %j', (prefix, key, topic) => {
    expect(() => contract(prefix, { [key]: message() })).toThrow(
      expect.objectContaining({ code: 'BAD_TOPIC', message: expect.stringContaining(`"${topic}" is not a topic`) }),
    );
  });

  it('refuses two entries with one topic', () => {
    expect(() => contract('chat', { say: message(), speak: request({ topic: 'chat/say' }) })).toThrow(
      `contract("chat"): say and speak have the same topic 'chat/say'`,
    );
  });

  it('tells entries from other values', () => {
    expect(Object.values(chat).every(isEntry)).toBe(true);
    for (const value of [undefined, null, 'chat/say', {}, message(), { kind: 'other', topic: 'a/b' }]) {
      expect(isEntry(value)).toBe(false);
    }
  });
});

describe('type', () => {
  it('lets everything through', () => {
    const { validate } = type<number>()['~standard'];
    for (const value of [undefined, 'text', { a: 1 }]) expect(validate(value)).toEqual({ value });
  });
});
