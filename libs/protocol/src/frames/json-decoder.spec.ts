import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { JsonFrameDecoder } from './json-decoder.js';
import { BodyKind } from './pack.js';

const utf8 = new TextEncoder();
const text = new TextDecoder('utf-8', { ignoreBOM: true });

/** What became of a frame, with the body parsed as a worker would: a broken one is a bad frame then. */
function outcomeOf(decoder: JsonFrameDecoder, refusal: string | undefined): unknown {
  const { topic, body, id, control, stream, target, error } = decoder.frame;
  if (refusal === 'BAD_FRAME') return refusal;
  if (refusal) return [refusal, id];
  const rest = stream ? [id, 'stream'] : [id];
  try {
    const value: unknown = body.kind === BodyKind.none ? 'no body' : JSON.parse(text.decode(body.bytes));
    if (control === 'cancel' || control === 'answer') return [control, target, error ?? value];
    return [topic, value, ...rest];
  } catch {
    return 'BAD_FRAME';
  }
}

function decode(frame: string): unknown {
  const decoder = new JsonFrameDecoder();
  return outcomeOf(decoder, decoder.decode(utf8.encode(frame)));
}

/** Decodes on the slow path, whatever the frame looks like. */
function parse(data: Uint8Array): unknown {
  const decoder = new JsonFrameDecoder();
  return outcomeOf(decoder, decoder.parse(data));
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('JsonFrameDecoder', () => {
  it.each<[string, unknown]>([
    ['{"topic":"a/b"}', ['a/b', 'no body', 0]],
    ['{"topic":"a/b","body":{"x":[1,"}"]},"id":7}', ['a/b', { x: [1, '}'] }, 7]],
    ['{"topic":"a/b","body":null}', ['a/b', null, 0]],
    ['{"topic":"a/b","id":7,"stream":true}', ['a/b', 'no body', 7, 'stream']],
    ['{"topic":"a/b","stream":true,"body":1,"id":7}', ['a/b', 1, 7, 'stream']],
    ['{"topic":"a/b","id":7,"stream":false}', ['a/b', 'no body', 7]],
    ['{"topic":"$gate/cancel","body":7}', ['cancel', 7, 'no body']],
    ['{"answer":41,"body":[1]}', ['answer', 41, [1]]],
    ['{"answer":41}', ['answer', 41, 'no body']],
    ['{"answer":41,"error":{"code":"NO","message":"no"}}', ['answer', 41, { code: 'NO', message: 'no' }]],
    ['{"topic":"a/b","body":"\\"quoted\\\\"}', ['a/b', '"quoted\\', 0]],
    ['{"id":7,"body":1,"topic":"a/b"}', ['a/b', 1, 7]],
    [' { "topic" : "a/b" , "body" : [ 1 ] , "id" : 1e2 } ', ['a/b', [1], 100]],
    ['{"topic":"a/b","extra":{"id":9},"id":7}', ['a/b', 'no body', 7]],
    ['{"topic":"a/b","body":1,"body":2}', ['a/b', 2, 0]],
    ['{"topic":"a/b","b\\u006fdy":3}', ['a/b', 3, 0]],
    ['{"topic":"a\\/b","id":9007199254740991}', ['a/b', 'no body', 9007199254740991]],
    ['{"topic":"$gate/ping","id":3}', ['$gate/ping', 'no body', 3]],
    [`{"topic":"a/b","body":${nested(31)}}`, ['a/b', JSON.parse(nested(31)), 0]],
  ])('reads %s', (frame, expected) => expect(decode(frame)).toEqual(expected));

  it.each([
    '',
    'x',
    '[]',
    'null',
    '"a"',
    '1',
    '{}',
    '{"topic":5}',
    '{"topic":null}',
    '{"body":1}',
    '{"topic":"a/b"',
    '{"topic":"a/b"}x',
    '\ufeff{"topic":"a/b"}',
    '{"topic":"a/b","id":0}',
    '{"topic":"a/b","id":-1}',
    '{"topic":"a/b","id":1.5}',
    '{"topic":"a/b","id":"7"}',
    '{"topic":"a/b","id":null}',
    '{"topic":"a/b","id":9007199254740992}',
    '{"topic":"a/b","id":01}',
    '{"topic":"a/b","id":1e400}',
    '{"topic":"a/b","body":}',
    '{"topic":"a/b","body":{bad}}',
    '{"topic":"a/b","body":[}}',
    '{"topic":"a/b","body":1 2}',
    '{"topic":"a/b","body":"a\nb"}',
    `{"topic":"a/b","body":${nested(32)}}`,
    `{"body":${nested(10_000)},"topic":"a/b"}`,
    '{"__proto__":{"topic":"a/b"}}',
    '{"topic":"a/b","stream":true}',
    '{"topic":"a/b","id":7,"stream":1}',
    '{"topic":"$gate/cancel"}',
    '{"topic":"$gate/cancel","body":"7"}',
    '{"answer":0}',
    '{"answer":1,"error":"no"}',
    '{"answer":1,"error":{"code":1,"message":"no"}}',
  ])('refuses %s', frame => expect(decode(frame)).toBe('BAD_FRAME'));

  it.each(['', 'a//b', '*', 'a b', '$gate/hello', '\\u0000', '\\ud800', 'x'.repeat(129)])(
    'refuses the topic "%s", with its id',
    topic => expect(decode(`{"topic":"${topic}","id":4}`)).toEqual(['BAD_TOPIC', 4]),
  );

  it('does not confuse topics whose hashes are equal', () => {
    const decoder = new JsonFrameDecoder();
    // 'Aa' and 'BB' have the same hash.
    for (const topic of ['Aa', 'BB', 'Aa']) {
      expect(decoder.decode(utf8.encode(`{"topic":"${topic}"}`))).toBeUndefined();
      expect(decoder.frame.topic).toBe(topic);
    }
  });

  describe('on either path', () => {
    const pieces = [
      '{"topic":"',
      'a/b',
      '"',
      ',"body":',
      ',"id":',
      '}',
      '{',
      '[',
      ']',
      ',',
      ':',
      '7',
      '0',
      '"x"',
      '\\',
      'é',
      ' ',
      'null',
      '1e9',
      '"topic"',
      ',"stream":true',
    ];
    const value = fc.jsonValue({ maxDepth: 3 });
    const canonical = fc
      .tuple(
        fc.constantFrom('a', 'a/b', 'chat/say', 'a//b', '$x', ''),
        fc.option(value),
        fc.option(fc.integer({ min: -1, max: 2 ** 53 - 1 })),
        fc.constantFrom({}, {}, { stream: true }),
      )
      .map(([topic, body, id, stream]) =>
        JSON.stringify({ topic, ...(body === null ? {} : { body }), ...(id === null ? {} : { id }), ...stream }),
      );
    const damaged = fc
      .tuple(canonical, fc.nat(), fc.nat(3), fc.constantFrom(...pieces))
      .map(([frame, at, removed, piece]) => {
        const start = at % (frame.length + 1);
        return frame.slice(0, start) + piece + frame.slice(start + removed);
      });
    const assembled = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map(parts => parts.join(''));

    it.each([
      ['canonical frames', canonical],
      ['damaged frames', damaged],
      ['frames of random pieces', assembled],
    ])('has the same outcome for %s', (_name, frames) => {
      fc.assert(
        fc.property(frames, frame => {
          const data = utf8.encode(frame);
          const decoder = new JsonFrameDecoder();
          if (decoder.scan(data)) expect(outcomeOf(decoder, undefined)).toEqual(parse(data));
        }),
        { numRuns: 5_000 },
      );
    });

    it('takes the fast path for the usual frames of clients', () => {
      fc.assert(
        fc.property(value, fc.integer({ min: 1, max: 10 ** 15 - 1 }), (body, id) => {
          expect(new JsonFrameDecoder().scan(utf8.encode(JSON.stringify({ topic: 'a/b', body, id })))).toBe(true);
        }),
      );
    });
  });
});
