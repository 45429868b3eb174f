import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { errorText, logText, MAX_LOG_TEXT, urlForLog } from './log-text.js';

/** What no line of a log may hold. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

describe('logText', () => {
  it('leaves readable text alone', () => {
    for (const text of ['', 'ada', 'chat/say', 'Жé 日本', '🦊', 'a "b" \\ c', '50 % <b>'])
      expect(logText(text)).toBe(text);
  });

  it.each([
    ['a\r\nb', 'a\\u000d\\u000ab'],
    ['\x1b[31m', '\\u001b[31m'],
    ['\u2028\u2029\u0085', '\\u2028\\u2029\\u0085'],
    ['\u202eevil\u2066', '\\u202eevil\\u2066'],
    ['\u200b\ufeff\u00ad', '\\u200b\\ufeff\\u00ad'],
    ['\ud800x\udc00', '\\ud800x\\udc00'],
    ['\x7f\x9b', '\\u007f\\u009b'],
  ])('escapes %j', (text, clean) => {
    expect(logText(text)).toBe(clean);
  });

  it('is short, whatever it is given, and says what it has left out', () => {
    expect(logText('x'.repeat(1_000))).toBe(`${'x'.repeat(MAX_LOG_TEXT)}… (${1_000 - MAX_LOG_TEXT} more)`);
    expect(logText('\x1b'.repeat(100_000)).length).toBeLessThan(MAX_LOG_TEXT * 6 + 32);
    expect(logText('abc', 2)).toBe('ab… (1 more)');
  });

  it('takes any value, and never throws', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const bad = { toJSON: () => JSON.parse('{') as unknown };
    for (const value of [undefined, null, 1n, Symbol('s\n'), () => 1, cycle, bad, { a: '\n' }, [1]]) {
      expect(logText(value)).not.toMatch(/[\n\x1b]/);
    }
    expect(logText({ a: 1 })).toBe('{"a":1}');
    expect(logText(new Error('a\nb'))).toBe('Error: a\\u000ab');
  });

  it('holds nothing hostile, cut anywhere', () => {
    const unit = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\ud83e', '\udd8a', '\u202e', '\x1b[2J', '🦊'),
    );
    fc.assert(
      fc.property(fc.array(unit), fc.nat(20), (parts, max) => {
        expect(logText(parts.join(''), max)).not.toMatch(
          /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])/,
        );
      }),
    );
  });
});

describe('errorText', () => {
  it('is name and message on one line, and the frames below it', () => {
    const { line, stack } = errorText(new TypeError('no\r\n\x1b[31msuch'));
    expect(line).toBe('TypeError: no\\u000d\\u000a\\u001b[31msuch');
    const [first, ...frames] = (stack ?? '').split('\n');
    expect(first).toBe(line);
    expect(frames.length).toBeGreaterThan(2);
    expect(frames.filter(frame => !/^ +at /.test(frame) || HOSTILE.test(frame))).toEqual([]);
  });

  it('takes no line of a message for a frame', () => {
    const fake = 'x\n    at fake (/etc/passwd:1:1)';
    expect(errorText(new Error(fake)).stack?.split('\n').slice(1).join()).not.toContain('fake');
    const changed = new Error(fake);
    // The stack is written when it is first asked for.
    expect(changed.stack).toContain('fake');
    changed.message = 'other';
    expect(errorText(changed)).toEqual({ line: 'Error: other', stack: undefined });
  });

  it('shows no other property, but why it came to it', () => {
    const error = Object.assign(new Error('refused', { cause: new Error('closed\n') }), {
      command: { name: 'auth', args: ['hunter2'] },
    });
    expect(errorText(error).line).toBe('Error: refused (because of closed\\u000a)');
    expect(errorText(error).stack).not.toContain('hunter2');
  });

  it('takes what is no error', () => {
    expect(errorText('a\nb')).toEqual({ line: 'a\\u000ab', stack: undefined });
    expect(errorText(undefined)).toEqual({ line: 'undefined', stack: undefined });
  });
});

describe('urlForLog', () => {
  it.each([
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
    ['redis://:hunter2@host:1', 'redis://…@host:1'],
    ['nats://user:hunter2@a,user:hunter2@b', 'nats://…@b'],
    ['tcp://u:hun/ter2@host:1?key=file', 'tcp://…@host:1?key=file'],
    ['redis://h?db=1&password=hunter2&x=1', 'redis://h?db=1&password=…&x=1'],
    ['nats://h?authToken=hunter2', 'nats://h?authToken=…'],
    ['hunter2@host', '…@host'],
    ['amqp:hunter2@h', 'amqp:…@h'],
    ['tcp://h:1?p=a@hunter2', 'tcp://…@hunter2'],
    ['a\nb', 'a\\u000ab'],
  ])('shows %j as %j', (url, shown) => {
    expect(urlForLog(url)).toBe(shown);
  });
});
