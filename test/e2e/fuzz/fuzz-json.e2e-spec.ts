import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { BodyKind, isTopic, JsonFrameDecoder, MAX_JSON_DEPTH } from '@nestgate/protocol';
import fc from 'fast-check';
import { fuzz, fuzzTimeout } from './support/fuzz-support.js';

const SHARE = 4;
const text = new TextDecoder('utf-8', { ignoreBOM: true });

const nested = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth);

const deep = fc
  .tuple(fc.constantFrom<[string, string]>(['[', ']'], ['{"a":[', ']}']), fc.integer({ min: 1, max: 36 }))
  .map(([[open, close], depth]) => nested(open, close, open.length > 1 ? Math.ceil(depth / 2) : depth));

/** Numbers at and beside the places where ids end to be ids, written in all ways. */
const number = fc.oneof(
  fc.constantFrom('0', '-0', '00', '01', '1.0', '1e0', '1E3', '1e-1', '1.5', '-1', '+1', '1e400', '.5', '1.', 'NaN'),
  fc.constantFrom('999999999999999', '1000000000000000', '9007199254740991', '9007199254740992', '90071992547409910'),
  fc.integer({ min: 1, max: 10 ** 9 }).map(String),
);

const string = fc.oneof(
  fc.string({ unit: 'binary' }).map(value => JSON.stringify(value)),
  fc.constantFrom('"', '"\\"', '"\\\\"', '"\\u00"', '"\\u0022"', '"\\x"', '"\t"', '"}],"', '"\u2028🦊"', "'a'", '""'),
);

const value: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 3 }).map(each => JSON.stringify(each)) },
  { weight: 2, arbitrary: string },
  { weight: 2, arbitrary: number },
  { weight: 2, arbitrary: deep },
  fc.constantFrom('', 'tru', 'null', 'True', '[1,]', '{"a":1,}', '[}', '{]', '[[}]', '1 2', '{"__proto__":{"id":1}}'),
);

/** Topics by the grammar and against it, and at its longest; `Aa` and `BB` have the same hash. */
const topic = fc.oneof(
  fc.constantFrom('a', 'a/b', 'Aa', 'BB', 'Aa/BB', 'BB/Aa', '$gate/ping', '$gate/hello', '', '/', 'a//b', 'a/', '*'),
  fc.integer({ min: 126, max: 130 }).map(length => 'x'.repeat(length)),
  fc.string({ unit: fc.constantFrom(...'ab/_.:-$ *é\u0000'.split('')), maxLength: 12 }),
);

const key = fc.constantFrom(
  ...['topic', 'body', 'id', 'Topic', 'extra', '', '__proto__', 'constructor', 'toString'].map(each => `"${each}"`),
  '"\\u0074opic"',
  '"bod\\u0079"',
  '"\\u0069d"',
  'topic',
);

const member = fc.oneof(
  { weight: 4, arbitrary: topic.map(each => `"topic":${JSON.stringify(each)}`) },
  { weight: 3, arbitrary: value.map(each => `"body":${each}`) },
  { weight: 3, arbitrary: number.map(each => `"id":${each}`) },
  { weight: 2, arbitrary: fc.tuple(key, value).map(each => each.join(':')) },
);

/** Frames for the fast path, from valid and almost valid parts. */
const canonical = fc
  .tuple(topic, fc.option(value), fc.option(number))
  .map(([name, body, id]) =>
    [
      `{"topic":${JSON.stringify(name)}`,
      body === null ? '' : `,"body":${body}`,
      id === null ? '' : `,"id":${id}`,
      '}',
    ].join(''),
  );

const shuffled = fc
  .tuple(fc.array(member, { maxLength: 5 }), fc.constantFrom(',', ' , ', ',\n', ',,', ' '))
  .map(([members, comma]) => `{${members.join(comma)}}`);

/** One character more, less or other, at a place where structure is. */
const damaged = fc
  .tuple(
    fc.oneof(canonical, shuffled),
    fc.nat(),
    fc.nat(2),
    fc.constantFrom(
      '',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      ' ',
      '\n',
      '\u0000',
      '\ufeff',
      '0',
      'é',
      '\u00a0',
      '/',
    ),
  )
  .map(([frame, at, removed, piece]) => {
    const places = [...frame.matchAll(/["{}[\],:\\]|$/g)].map(({ index }) => index);
    const start = places[at % places.length] as number;
    return frame.slice(0, start) + piece + frame.slice(start + removed);
  });

const frames = fc
  .oneof({ weight: 3, arbitrary: canonical }, { weight: 2, arbitrary: shuffled }, { weight: 4, arbitrary: damaged })
  // Lone surrogates become what UTF-8 has for them: what is not UTF-8 never comes so far.
  .map(frame => Buffer.from(frame));

/** How deep a text that is JSON nests anywhere, also in what another value of the same key replaces. */
function depthOf(frame: string): number {
  let [depth, deepest] = [0, 0];
  for (const char of frame.replace(/"(?:[^"\\]|\\.)*"/g, '')) {
    if (char === '{' || char === '[') deepest = Math.max(deepest, ++depth);
    else if (char === '}' || char === ']') depth--;
  }
  return deepest;
}

/** What a frame is by the rules of the wire, in terms of `JSON.parse` alone. */
function expected(frame: string): unknown {
  let object: unknown;
  try {
    object = JSON.parse(frame);
  } catch {
    return 'BAD_FRAME';
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return 'BAD_FRAME';
  if (depthOf(frame) > MAX_JSON_DEPTH) return 'BAD_FRAME';
  const own = new Map<string, unknown>(Object.entries(object));
  const [name, id] = [own.get('topic'), own.has('id') ? own.get('id') : undefined];
  if (typeof name !== 'string') return 'BAD_FRAME';
  if (own.has('id') && !(Number.isSafeInteger(id) && (id as number) > 0)) return 'BAD_FRAME';
  const isPing = name === '$gate/ping';
  if (!isPing && !isTopic(name)) return ['BAD_TOPIC', id ?? 0];
  return [isPing ? 'ping' : name, own.has('body') ? JSON.stringify(own.get('body')) : 'no body', id ?? 0];
}

/** Result of a decoder. A body that is not JSON is detected when it is parsed. */
function outcomeOf({ frame }: JsonFrameDecoder, fault: string | undefined): unknown {
  const { topic: name, body, id, control } = frame;
  if (fault === 'BAD_FRAME') return fault;
  if (fault) return [fault, id];
  if (body.kind === BodyKind.none) return [control ?? name, 'no body', id];
  try {
    return [control ?? name, JSON.stringify(JSON.parse(text.decode(body.bytes))), id];
  } catch {
    return 'BAD_FRAME';
  }
}

/** Jest's own comparison takes longer than all the rest. */
function same(frame: string, outcome: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(outcome, wanted)) expect([frame, outcome]).toEqual([frame, wanted]);
}

describe('a fuzzed gate.json frame', () => {
  // One decoder for all of them: what one frame leaves behind must not show in the next.
  const decoder = new JsonFrameDecoder();

  it(
    'gives the same result as JSON.parse, on either path',
    async () => {
      let fast = 0;
      await fuzz({
        name: 'json frames',
        inputs: frames,
        share: SHARE,
        minRuns: 1_000,
        check: data => {
          const frame = data.toString();
          const wanted = expected(frame);
          same(frame, outcomeOf(decoder, decoder.decode(data)), wanted);
          same(frame, outcomeOf(decoder, decoder.parse(data)), wanted);
          if (!decoder.scan(data)) return;
          fast++;
          same(frame, outcomeOf(decoder, undefined), wanted);
        },
      });
      expect(fast).toBeGreaterThan(process.env['NESTGATE_FUZZ_PATH'] === undefined ? 100 : -1);
    },
    fuzzTimeout(SHARE),
  );
});
