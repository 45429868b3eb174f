import { describe, expect, it } from '@jest/globals';
import { type as arktype } from 'arktype';
import { z } from 'zod';
import { compareContracts, toAsyncApi } from './asyncapi.js';
import { call, contract, message, push, request, stream, type } from './index.js';

const info = { title: 'Test', version: '1.0.0' };

/** The breaking changes from one contract to another, as short texts. */
function changes(before: Parameters<typeof contract>[1], after: Parameters<typeof contract>[1]): string[] {
  const documents = [before, after].map(each => toAsyncApi(contract('t', each), info));
  return compareContracts(documents[0] as never, documents[1] as never).map(
    ({ code, topic, path, message: text }) => `${code} ${topic} ${path} (${text})`,
  );
}

type Schema = NonNullable<Parameters<typeof request>[0]>['body'];
/** Changes of what clients send, and of what they receive. */
const sent = (before: Schema, after: Schema) =>
  changes({ a: message({ body: before }) }, { a: message({ body: after }) });
const received = (before: Schema, after: Schema) =>
  changes({ a: push({ body: before }) }, { a: push({ body: after }) });

const text = z.object({ text: z.string() });

describe('compareContracts', () => {
  it('finds nothing in the same contract, and in what only adds', () => {
    const one = { a: request({ body: text, reply: text, errors: ['X'] }), b: push({ body: text }) };
    expect(changes(one, one)).toEqual([]);
    expect(changes(one, { ...one, c: message(), a: request({ body: text, reply: text }) })).toEqual([]);
    expect(sent(text, text.extend({ more: z.string().optional(), other: z.number().default(1) }))).toEqual([]);
    expect(received(text, text.extend({ more: z.string() }))).toEqual([]);
  });

  it('finds topics that are gone or of another kind, and new error codes', () => {
    expect(
      changes(
        { a: request(), b: message(), c: request({ errors: ['X'] }), d: stream() },
        { b: push(), c: request({ errors: ['X', 'Y'] }), d: request() },
      ),
    ).toEqual([
      'topic-removed t/a  (the topic is gone)',
      'kind-changed t/b  (it was a message, and is a push)',
      'error-added t/c  (the error Y is new)',
      'kind-changed t/d  (it was a stream, and is a request)',
    ]);
  });

  it('looks at each message from the side of the client', () => {
    const more = text.extend({ more: z.string() });
    const required = '(the field is new and required)';
    const gone = '(the field is gone)';
    expect(changes({ a: request({ body: text }) }, { a: request({ body: more }) })).toEqual([
      `field-required t/a body.more ${required}`,
    ]);
    expect(changes({ a: stream({ body: text }) }, { a: stream({ body: more }) })).toEqual([
      `field-required t/a body.more ${required}`,
    ]);
    expect(changes({ a: call({ reply: text }) }, { a: call({ reply: more }) })).toEqual([
      `field-required t/a reply.more ${required}`,
    ]);
    expect(changes({ a: request({ reply: more }) }, { a: request({ reply: text }) })).toEqual([
      `field-removed t/a reply.more ${gone}`,
    ]);
    expect(changes({ a: stream({ item: more }) }, { a: stream({ item: text }) })).toEqual([
      `field-removed t/a item.more ${gone}`,
    ]);
    expect(changes({ a: call({ body: more }) }, { a: call({ body: text }) })).toEqual([
      `field-removed t/a body.more ${gone}`,
    ]);
    expect(changes({ a: push({ body: more }) }, { a: push({ body: text }) })).toEqual([
      `field-removed t/a body.more ${gone}`,
    ]);
  });

  it('finds fields that are required, optional or refused now', () => {
    const optional = z.object({ text: z.string().optional() });
    expect(sent(optional, text)).toEqual(['field-required t/a body.text (the field is required now)']);
    expect(sent(text, optional)).toEqual([]);
    expect(received(text, optional)).toEqual(['field-optional t/a body.text (the field may be missing now)']);
    expect(received(optional, text)).toEqual([]);
    const more = text.extend({ more: z.string().optional() });
    expect(sent(more, text)).toEqual([]);
    expect(sent(more, text.strict())).toEqual(['field-refused t/a body.more (the field is no longer accepted)']);
    expect(received(text.strict(), more)).toEqual([]);
    expect(sent(z.record(z.string(), z.number()), z.record(z.string(), z.string()))).toEqual([
      'type-changed t/a body.* (it was number, and is string)',
    ]);
  });

  it('finds other types, deep in objects and lists', () => {
    const list = (item: z.ZodType) => z.object({ items: z.array(z.object({ id: item })) });
    expect(sent(list(z.string()), list(z.number()))).toEqual([
      'type-changed t/a body.items[].id (it was string, and is number)',
    ]);
    expect(received(list(z.string()), list(z.number()))).toEqual([
      'type-changed t/a body.items[].id (it was string, and may be number)',
    ]);
    // Whole numbers are numbers.
    expect(sent(z.int(), z.number().min(-1e300))).toEqual([]);
    expect(received(z.number(), z.int())).toEqual([]);
    expect(received(z.int(), z.number())).toEqual(['type-changed t/a body (it was integer, and may be number)']);
    expect(sent(text, z.unknown())).toEqual([]);
    expect(received(text, z.unknown())).toEqual(['type-changed t/a body (it was object, and may be any type)']);
  });

  it('finds alternatives and values that are gone or new', () => {
    const nullable = z.string().nullable();
    expect(sent(nullable, z.string())).toEqual(['type-changed t/a body (it was null, and is string)']);
    expect(sent(z.string(), nullable)).toEqual([]);
    expect(received(z.string(), nullable)).toEqual(['type-changed t/a body (it was string, and may be null)']);
    const two = z.enum(['a', 'b']);
    const three = z.enum(['a', 'b', 'c']);
    expect(sent(three, two)).toEqual(['value-refused t/a body ("c" is no longer accepted)']);
    expect(sent(two, three)).toEqual([]);
    expect(received(two, three)).toEqual(['value-added t/a body ("c" is new)']);
    expect(sent(z.string(), two)).toEqual([
      'value-refused t/a body (a value that is not listed is no longer accepted)',
    ]);
    expect(received(arktype("'a' | 'b' | null"), arktype("'a' | 'b' | 'c' | null"))).toEqual([
      'value-added t/a body ("c" is new)',
    ]);
    const kinds = (...names: [string, ...string[]]) =>
      z.discriminatedUnion('kind', names.map(name => z.object({ kind: z.literal(name), [name]: z.number() })) as never);
    expect(sent(kinds('a', 'b'), kinds('a', 'b', 'c'))).toEqual([]);
    expect(sent(kinds('a', 'b', 'c'), kinds('a', 'b'))).toEqual([
      'type-changed t/a body (it was object, and is object)',
    ]);
  });

  it('finds narrower limits of what clients send only', () => {
    expect(sent(z.string().max(10), z.string().max(5))).toEqual([
      'limit-narrowed t/a body (maxLength was 10, and is 5)',
    ]);
    expect(sent(z.string(), z.string().min(1))).toEqual(['limit-narrowed t/a body (minLength is 1 now)']);
    expect(sent(z.string().max(5), z.string().max(10))).toEqual([]);
    expect(received(z.string().max(5), z.string().max(10))).toEqual([]);
    expect(sent(z.string(), z.string().regex(/^a/))).toEqual(['schema-changed t/a body (pattern is new)']);
    expect(received(z.string(), z.email())).toEqual([]);
    expect(sent(z.tuple([z.string()]), z.tuple([z.number()]))).toEqual([
      'schema-changed t/a body (items is different)',
    ]);
  });

  it('compares schemas that refer to themselves', () => {
    const tree = (value: z.ZodType) => {
      const Node: z.ZodType = z.object({
        value,
        children: z.lazy(() => z.array(Node)),
        others: z.lazy(() => z.array(Node)),
      });
      return Node;
    };
    expect(sent(tree(z.string()), tree(z.string()))).toEqual([]);
    expect(sent(tree(z.string()), tree(z.number()))).toEqual([
      'type-changed t/a body.value (it was string, and is number)',
    ]);
  });

  it('says nothing of schemas that it does not know', () => {
    expect(sent(type<string>(), text)).toEqual([]);
    expect(received(text, type<string>())).toEqual([]);
  });

  it('refuses what is no document', () => {
    const document = toAsyncApi({}, info);
    for (const other of [undefined, null, {}, { asyncapi: '2.6.0', channels: {}, operations: {} }]) {
      expect(() => compareContracts(document, other as never)).toThrow(
        expect.objectContaining({ code: 'BAD_ARGUMENT' }),
      );
    }
  });
});
