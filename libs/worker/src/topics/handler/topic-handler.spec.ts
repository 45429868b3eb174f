import { describe, expect, it } from '@jest/globals';
import { MALFORMED_BODY } from '@nestgate/link/internal';
import { type Body, BodyKind, MAX_JSON_DEPTH, NO_BODY } from '@nestgate/protocol';
import type { OnTopicOptions } from '../on-topic.decorator.js';
import { TopicHandler } from './topic-handler.js';

function create(options?: OnTopicOptions): TopicHandler {
  return new TopicHandler(() => Promise.resolve(), options && { topic: 'a/b', ...options });
}

const json = (text: string): Body => ({ kind: BodyKind.json, bytes: Buffer.from(text) });
const bytes = (content: string | number[]): Body => ({ kind: BodyKind.bytes, bytes: Buffer.from(content as string) });
const coded = (code: string) => expect.objectContaining({ name: 'GateError', code });

describe('TopicHandler', () => {
  it('runs one after another unless told otherwise', () => {
    expect([create().concurrent, create({}).concurrent, create({ concurrent: true }).concurrent]).toEqual([
      false,
      false,
      true,
    ]);
  });

  describe.each([{ payload: undefined }, { payload: 'json' as const }, { payload: 'raw' as const }])(
    'of payload $payload',
    options => {
      const handler = create(options);

      it('gets no body as undefined', () => {
        expect(handler.decode(NO_BODY)).toBeUndefined();
      });

      it('gets the value that a json client sent', () => {
        expect(handler.decode(json(' {"a":[null,"é🦊"]} '))).toEqual({ a: [null, 'é🦊'] });
        expect(handler.decode(json('null'))).toBeNull();
      });

      it.each(['', '{', '{"a":1', '01', 'undefined', "'a'", '1 2'])(
        'refuses the broken JSON %j of a json client',
        text => {
          expect(() => handler.decode(json(text))).toThrow(coded(MALFORMED_BODY));
        },
      );
    },
  );

  it('parses the bytes of other clients', () => {
    const handler = create({ payload: 'json' });
    expect(handler.decode(bytes('{"a":"é"}'))).toEqual({ a: 'é' });
    expect(handler.decode(bytes(''))).toBeUndefined();
  });

  it.each<[string, string | number[]]>([
    ['are not JSON', '{'],
    ['begin with a byte order mark', [0xef, 0xbb, 0xbf, 0x31]],
    ['are not UTF-8', [0x22, 0xff, 0x22]],
    ['nest too deep', '['.repeat(MAX_JSON_DEPTH + 1) + ']'.repeat(MAX_JSON_DEPTH + 1)],
  ])('answers bytes that %s with BAD_REQUEST', (_what, content) => {
    expect(() => create().decode(bytes(content))).toThrow(coded('BAD_REQUEST'));
  });

  it('takes JSON as deep as a json client may send it', () => {
    const text = '['.repeat(MAX_JSON_DEPTH) + ']'.repeat(MAX_JSON_DEPTH);
    expect(JSON.stringify(create().decode(bytes(text)))).toBe(text);
  });

  it('hands bytes on as they are when it wants them raw', () => {
    const body = bytes([0, 255, 0x7b]);
    expect(create({ payload: 'raw' }).decode(body)).toBe(body.bytes);
    expect(create({ payload: 'raw' }).decode(bytes(''))).toHaveLength(0);
  });
});
