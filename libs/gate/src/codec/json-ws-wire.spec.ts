import { describe, expect, it } from '@jest/globals';
import { type Body, BodyKind, JsonText, NO_BODY } from '@nestgate/protocol';
import { JsonWsWire } from './json-ws-wire.js';

const wire = new JsonWsWire(32);

function json(text: string): Body {
  return { kind: BodyKind.json, bytes: Buffer.from(text) };
}

/** The payload of a text frame, whose header must say exactly how long it is. */
function textOf(frame: Buffer): string {
  expect(frame[0]).toBe(0x81);
  const [header, length] =
    frame[1] === 126
      ? [4, frame.readUInt16BE(2)]
      : frame[1] === 127
        ? [10, Number(frame.readBigUInt64BE(2))]
        : [2, frame[1]];
  expect(frame.length - header).toBe(length);
  return frame.toString('utf8', header);
}

describe('JsonWsWire', () => {
  it('passes the bytes of a JSON body through as they are', () => {
    expect(textOf(wire.push('a/b', json('{"x": 1.0,  "é":"🦊"}')))).toBe(
      '{"topic":"a/b","body":{"x": 1.0,  "é":"🦊"}}',
    );
    expect(textOf(wire.reply(7, json('[1]')))).toBe('{"id":7,"body":[1]}');
    expect(textOf(wire.reply(7, new JsonText('a~', true)))).toBe('{"id":7,"body":"a~"}');
    expect(textOf(wire.reply(7, new JsonText('"é"')))).toBe('{"id":7,"body":"é"}');
    expect(textOf(wire.reply(Number.MAX_SAFE_INTEGER, json('1')))).toBe('{"id":9007199254740991,"body":1}');
  });

  it.each([
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_535, [0x81, 126, 0xff, 0xff]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ])('frames a payload of %d bytes, of each kind', (size, header) => {
    const around = '{"topic":"a/b","body":""}';
    const inner = size - around.length;
    const text = `{"topic":"a/b","body":"${'x'.repeat(inner)}"}`;
    const expected = Buffer.concat([Buffer.from(header), Buffer.from(text)]);
    expect(wire.push('a/b', json(`"${'x'.repeat(inner)}"`)).equals(expected)).toBe(true);

    // The same length counted in bytes, not in characters.
    const error = '{"id":1,"error":{"code":"X","message":""}}';
    const message = 'é'
      .repeat((size - error.length) >> 1)
      .padEnd(((size - error.length) >> 1) + ((size - error.length) % 2), '!');
    const frame = wire.error(1, { code: 'X', message }, undefined);
    expect([...frame.subarray(0, header.length)]).toEqual(header);
    expect(JSON.parse(textOf(frame))).toEqual({ id: 1, error: { code: 'X', message } });
  });

  it('carries bytes as base64, and only those of the view', () => {
    const bytes = new Uint8Array([9, 0, 255, 128, 9]).subarray(1, 4);
    const frame = JSON.parse(textOf(wire.push('a/b', { kind: BodyKind.bytes, bytes }))) as { body: string };
    expect(frame).toEqual({ topic: 'a/b', body: 'AP+A', encoding: 'base64' });
    expect([...Buffer.from(frame.body, 'base64')]).toEqual([0, 255, 128]);
    expect(textOf(wire.reply(1, { kind: BodyKind.bytes, bytes: new Uint8Array(0) }))).toBe(
      '{"id":1,"body":"","encoding":"base64"}',
    );
  });

  it('says null for no body', () => {
    expect(textOf(wire.push('a/b', NO_BODY))).toBe('{"topic":"a/b","body":null}');
    expect(textOf(wire.reply(3, NO_BODY))).toBe('{"id":3,"body":null}');
  });

  it('answers a request with an error under its id', () => {
    const error = { code: 'BAD_REQUEST', message: 'no "x" é', details: ['x'] };
    expect(JSON.parse(textOf(wire.error(4, error, 'a/b')))).toEqual({ id: 4, error });
  });

  it('pushes an error that belongs to no request, with the topic when there is one', () => {
    const error = { code: 'NO_ROUTE', message: 'no' };
    expect(JSON.parse(textOf(wire.error(0, error, 'a/b')))).toEqual({
      topic: '$gate/error',
      body: { ...error, topic: 'a/b' },
    });
    expect(JSON.parse(textOf(wire.error(0, error, undefined)))).toEqual({ topic: '$gate/error', body: error });
  });

  it('says hello and answers pings', () => {
    expect(JSON.parse(textOf(wire.hello('g.e.1', 25_000)))).toEqual({
      topic: '$gate/hello',
      body: { clientId: 'g.e.1', heartbeatMs: 25_000 },
    });
    expect(JSON.parse(textOf(wire.pong(0)))).toEqual({ topic: '$gate/pong' });
    expect(JSON.parse(textOf(wire.pong(5)))).toEqual({ id: 5, body: null });
  });

  it('decodes into its frame', () => {
    expect(wire.decode(Buffer.from('{"topic":"a/b","body":{"x":1},"id":2}'))).toBeUndefined();
    expect(wire.frame).toMatchObject({ topic: 'a/b', id: 2, body: json('{"x":1}') });
    expect(wire.decode(Buffer.from('{'))).toBe('BAD_FRAME');
    expect(wire.decode(Buffer.from('{"topic":"a b","id":2}'))).toBe('BAD_TOPIC');
  });

  it('holds to its own depth', () => {
    const shallow = new JsonWsWire(3);
    expect(shallow.decode(Buffer.from('{"topic":"a","body":[[1]]}'))).toBeUndefined();
    expect(shallow.decode(Buffer.from('{"topic":"a","body":[[[1]]]}'))).toBe('BAD_FRAME');
  });
});
