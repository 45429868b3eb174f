import { describe, expect, it } from '@jest/globals';
import { BodyKind, NO_BODY } from '@nestgate/protocol';
import { assertName, assertSettings, encodeBody, encodeMessage, MAX_PUSH_BYTES } from './message.js';

const BAD_ARGUMENT = expect.objectContaining({ name: 'GateError', code: 'BAD_ARGUMENT' });

function textOf(value: unknown): string {
  const { kind, bytes } = encodeBody(value);
  expect(kind).toBe(BodyKind.json);
  return Buffer.from(bytes).toString();
}

describe('encodeBody', () => {
  it.each([
    [null, 'null'],
    [0, '0'],
    ['', '""'],
    [false, 'false'],
    [{ a: [1, { b: 'é🦊' }], skipped: undefined }, '{"a":[1,{"b":"é🦊"}]}'],
    [{ toJSON: () => 'short' }, '"short"'],
    ['x'.repeat(62), `"${'x'.repeat(62)}"`],
    ['x\u001f~', String.raw`"x\u001f~"`],
    ['a"b\\', String.raw`"a\"b\\"`],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['\ud800', String.raw`"\ud800"`],
  ])('makes compact JSON of %j', (value, text) => {
    expect(textOf(value)).toBe(text);
  });

  it('makes no body of undefined', () => {
    expect(encodeBody(undefined)).toBe(NO_BODY);
  });

  it.each([Buffer.from([0, 255]), new Uint8Array([1, 2, 3]).subarray(1), new Uint8Array(0)])(
    'leaves bytes as they are: %j',
    bytes => {
      const body = encodeBody(bytes);
      expect(body.kind).toBe(BodyKind.bytes);
      expect(body.bytes).toBe(bytes);
    },
  );

  it('refuses what JSON cannot carry', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = { cycle };
    const angry = (reason: unknown) => ({
      toJSON() {
        throw reason;
      },
    });
    const values = [
      () => 1,
      Symbol('s'),
      1n,
      { deep: [1n] },
      cycle,
      { toJSON: () => undefined },
      angry(null),
      angry('x'),
    ];
    for (const value of values) expect(() => encodeBody(value)).toThrow(BAD_ARGUMENT);
  });

  it('tells what is wrong', () => {
    expect(() => encodeBody(() => 1)).toThrow('A function cannot be sent');
    expect(() => encodeBody({ big: 1n })).toThrow('body.big is a BigInt, which cannot be sent as JSON');
  });
});

describe('encodeMessage', () => {
  it('carries the topic and the encoded body', () => {
    const { topic, body } = encodeMessage('chat/said', { x: 1 });
    expect([topic, body.kind, Buffer.from(body.bytes).toString()]).toEqual(['chat/said', BodyKind.json, '{"x":1}']);
  });

  it.each(['', '/a', 'a/', 'a b', '$gate/hello', 'é', 'a"b', 'x'.repeat(129)])('refuses the topic %j', topic => {
    expect(() => encodeMessage(topic, 1)).toThrow(BAD_ARGUMENT);
  });

  it('refuses what is no text as a topic, whatever it says of itself', () => {
    const topics = [1, null, undefined, {}, ['a'], Symbol('s'), Object.create(null), { toString: () => 'a' }];
    for (const topic of topics as string[]) expect(() => encodeMessage(topic, 1)).toThrow(BAD_ARGUMENT);
  });

  it('limits the body in bytes, whatever its kind', () => {
    const quoted = (bytes: number) => 'é'.repeat((bytes - 2) / 2);
    expect(encodeMessage('a', quoted(MAX_PUSH_BYTES)).body.bytes).toHaveLength(MAX_PUSH_BYTES);
    expect(() => encodeMessage('a', quoted(MAX_PUSH_BYTES + 2))).toThrow(BAD_ARGUMENT);
    expect(encodeMessage('a', 'x'.repeat(MAX_PUSH_BYTES - 2)).body.bytes).toHaveLength(MAX_PUSH_BYTES);
    expect(() => encodeMessage('a', 'x'.repeat(MAX_PUSH_BYTES - 1))).toThrow(BAD_ARGUMENT);
    expect(encodeMessage('a', Buffer.alloc(MAX_PUSH_BYTES)).body.bytes).toHaveLength(MAX_PUSH_BYTES);
    expect(() => encodeMessage('a', Buffer.alloc(MAX_PUSH_BYTES + 1))).toThrow(/1048577 bytes.*1048576/);
  });
});

describe('names', () => {
  it.each(['a', '0', 'two words', '*', '__proto__', 'é'.repeat(64), '🦊'.repeat(32)])('may be %j', name => {
    expect(() => assertName('uid', name)).not.toThrow();
  });

  it.each(['', 'x'.repeat(129), 'é'.repeat(65), 'a\nb', '\u007f', '\ud800', 5, null, undefined, {}, ['a']])(
    'may not be %j',
    name => {
      expect(() => assertName('uid', name)).toThrow(BAD_ARGUMENT);
      expect(() => assertName('uid', name)).toThrow(/^A uid must /);
      expect(() => assertSettings([[name as string, 1]])).toThrow(BAD_ARGUMENT);
    },
  );
});

describe('assertSettings', () => {
  it('takes any JSON under any name', () => {
    const entries: [string, unknown][] = [
      ['__proto__', null],
      ['b', [1, { c: '' }]],
      ['c', false],
    ];
    expect(() => assertSettings(entries)).not.toThrow();
  });

  it('refuses what nests deeper than clients may send it', () => {
    const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown;
    expect(() => assertSettings([['key', nested(32)]])).not.toThrow();
    expect(() => assertSettings([['key', nested(33)]])).toThrow(BAD_ARGUMENT);
    expect(() => assertSettings([['key', nested(7_000)]])).toThrow(BAD_ARGUMENT);
  });

  it('refuses what is no JSON', () => {
    for (const value of [undefined, 1n, () => 1, Buffer.from('x'), new Uint8Array(1)]) {
      expect(() =>
        assertSettings([
          ['fine', 1],
          ['key', value],
        ]),
      ).toThrow(BAD_ARGUMENT);
    }
  });
});
