import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { frameCodec } from './frame.js';

const codec = frameCodec();
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): number[] => [...Buffer.from(value)];

describe('frameCodec', () => {
  it('writes messages and requests as the wire has them', () => {
    expect(codec.encode({ topic: 'a/b', body: bytes(1, 2) })).toEqual(bytes(8, 0, 0, 0, 0, 3, 0, ...text('a/b'), 1, 2));
    expect(codec.encode({ topic: 'a/b', body: { x: 1 }, id: 258 })).toEqual(
      bytes(17, 0, 0, 0, 1, 2, 1, 0, 0, 3, 0, ...text('a/b{"x":1}')),
    );
    expect(codec.encode({ topic: 'a', body: bytes(9).buffer })).toEqual(bytes(5, 0, 0, 0, 0, 1, 0, ...text('a'), 9));
    expect(codec.encode({ topic: 'a' })).toEqual(bytes(4, 0, 0, 0, 0, 1, 0, ...text('a')));
  });

  it('writes the frames of the gate by their kinds', () => {
    expect(codec.encode({ topic: '$gate/ping' })).toEqual(bytes(3, 0, 0, 0, 4, 0, 0));
    expect(codec.encode({ topic: '$gate/ack', body: 2 ** 40 + 5 })).toEqual(
      bytes(11, 0, 0, 0, 10, 0, 0, 5, 0, 0, 0, 0, 1, 0, 0),
    );
    expect(codec.encode({ topic: '$gate/cancel', body: 7 })).toEqual(bytes(7, 0, 0, 0, 18, 7, 0, 0, 0, 0, 0));
    expect(codec.encode({ topic: '$gate/bye' })).toEqual(bytes(3, 0, 0, 0, 14, 0, 0));
  });

  it('reads replies, errors, pushes, items and the frames of the gate', () => {
    expect(codec.decode(bytes(9, 0, 0, 0, 2, 7, 0, 0, 0, 0, 0, 1, 2))).toEqual({ id: 7, body: bytes(1, 2) });
    expect(codec.decode(bytes(8, 0, 0, 0, 0, 3, 0, ...text('a/b'), 1, 2).buffer)).toEqual({
      topic: 'a/b',
      body: bytes(1, 2),
    });
    const error = text('{"code":"X","message":"y"}');
    expect(codec.decode(bytes(7 + error.length, 0, 0, 0, 3, 7, 0, 0, 0, 0, 0, ...error))).toEqual({
      id: 7,
      error: { code: 'X', message: 'y' },
    });
    expect(codec.decode(bytes(8, 0, 0, 0, 16, 7, 0, 0, 0, 0, 0, 1))).toEqual({ id: 7, item: bytes(1) });
    expect(codec.decode(bytes(7, 0, 0, 0, 17, 7, 0, 0, 0, 0, 0))).toEqual({ id: 7, end: true });
    expect(codec.decode(bytes(3, 0, 0, 0, 5, 0, 0))).toEqual({ topic: '$gate/pong' });
    expect(codec.decode(bytes(11, 0, 0, 0, 11, 0, 0, 5, 0, 0, 0, 0, 1, 0, 0))).toEqual({
      topic: '$gate/mark',
      body: 2 ** 40 + 5,
    });
    const hello = text('{"clientId":"c1"}');
    expect(codec.decode(bytes(3 + hello.length, 0, 0, 0, 6, 0, 0, ...hello))).toEqual({
      topic: '$gate/hello',
      body: { clientId: 'c1' },
    });
  });

  it('makes of bodies what the application wants', () => {
    const json = frameCodec({
      decodeBody: (body, topic) => [topic, JSON.parse(Buffer.from(body).toString()) as unknown],
    });
    expect(json.decode(bytes(8, 0, 0, 0, 0, 3, 0, ...text('a/b12')))).toEqual({ topic: 'a/b', body: ['a/b', 12] });
    expect(json.decode(bytes(7, 0, 0, 0, 0, 3, 0, ...text('a/b{')))).toBeUndefined();
  });

  it('has kinds of its own for streams, and for calls and their answers', () => {
    expect(codec.encode({ topic: 'a/b', id: 7, stream: true })).toEqual(
      bytes(10, 0, 0, 0, 19, 7, 0, 0, 0, 3, 0, ...text('a/b')),
    );
    expect(codec.encode({ answer: 7, body: 1 })).toEqual(bytes(8, 0, 0, 0, 21, 7, 0, 0, 0, 0, 0, ...text('1')));
    const error = { code: 'NO', message: '' };
    const { length } = JSON.stringify(error);
    expect(codec.encode({ answer: 7, error })).toEqual(
      bytes(7 + length, 0, 0, 0, 22, 7, 0, 0, 0, 0, 0, ...text(JSON.stringify(error))),
    );
    expect(codec.decode(bytes(11, 0, 0, 0, 20, 7, 0, 0, 0, 3, 0, ...text('a/b'), 1))).toEqual({
      topic: 'a/b',
      body: bytes(1),
      ask: 7,
    });
  });

  it('refuses ids beyond 32 bits', () => {
    expect(() => codec.encode({ topic: 'a', id: 2 ** 32 })).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.anything()), data => {
        codec.decode(data);
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), fc.uint8Array({ maxLength: 30 }), (kind, rest) => {
        codec.decode(bytes(1 + rest.length, 0, 0, 0, kind, ...rest));
      }),
    );
    expect(codec.decode('text')).toBeUndefined();
  });
});
