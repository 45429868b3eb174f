import { describe, expect, it } from '@jest/globals';
import { isTopic, moduleOf } from './topic.js';

describe('isTopic', () => {
  it.each(['a', 'chat/say', 'a/b/c', 'A-b_c.d:e/9', 'x'.repeat(128), `${'m'.repeat(60)}/${'n'.repeat(67)}`])(
    'accepts %j',
    topic => expect(isTopic(topic)).toBe(true),
  );

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '*',
    'a/*',
    '>',
    'a b',
    ' a',
    'a\n',
    'a\r\n',
    '\u0000',
    'a\u00a0b',
    'a\u200bb',
    '\ud800',
    'é',
    '\u001b[31m',
    '$gate/ping',
    'x'.repeat(129),
    'x'.repeat(5_000),
    'a\\b',
    'a"b',
    5,
    null,
    undefined,
    {},
    ['a'],
  ])('refuses %j', topic => expect(isTopic(topic)).toBe(false));
});

describe('moduleOf', () => {
  it.each([
    ['chat/say', 'chat'],
    ['chat/say/more', 'chat'],
    ['chat', 'chat'],
  ])('of %s is %s', (topic, module) => expect(moduleOf(topic)).toBe(module));
});
