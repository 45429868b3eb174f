import { describe, expect, it } from '@jest/globals';
import { type Body, BodyKind, NO_BODY } from '@nestgate/protocol';
import { BINARY_WS_FRAMING, STREAM_FRAMING } from './framing.js';
import { FrameWire } from './frame-wire.js';

const wire = new FrameWire(STREAM_FRAMING);

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function shown(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/..(?=.)/g, '$& ');
}

function bytes(content: string | Uint8Array): Body {
  return { kind: BodyKind.bytes, bytes: Buffer.from(content) };
}

describe('FrameWire reads', () => {
  it.each([
    ['a message', '08 00 00 00 00 03 00 61 2f 62 68 69', 0, 'a/b', '68 69'],
    ['a message without a body', '06 00 00 00 00 03 00 61 2f 62', 0, 'a/b', ''],
    ['a request', '0c 00 00 00 01 07 00 00 00 03 00 61 2f 62 68 69', 7, 'a/b', '68 69'],
    ['the largest id', '0a 00 00 00 01 ff ff ff ff 03 00 61 2f 62', 4_294_967_295, 'a/b', ''],
    ['an id above 2^31', '0a 00 00 00 01 01 00 00 80 03 00 61 2f 62', 2_147_483_649, 'a/b', ''],
  ])('%s', (_what, frame, id, topic, body) => {
    expect(wire.decode(hex(frame))).toBeUndefined();
    expect([wire.frame.id, wire.frame.topic, wire.frame.control]).toEqual([id, topic, undefined]);
    expect(wire.frame.body.kind).toBe(BodyKind.bytes);
    expect(shown(wire.frame.body.bytes)).toBe(body);
  });

  it('pings and pongs, and what follows as a message again', () => {
    expect(wire.decode(hex('03 00 00 00 04 00 00'))).toBeUndefined();
    expect(wire.frame.control).toBe('ping');
    expect(wire.decode(hex('03 00 00 00 05 00 00'))).toBeUndefined();
    expect(wire.frame.control).toBe('pong');
    expect(wire.decode(hex('04 00 00 00 00 01 00 61'))).toBeUndefined();
    expect(wire.frame.control).toBeUndefined();
  });

  it('no id left over from the frame before', () => {
    wire.decode(hex('08 00 00 00 01 07 00 00 00 01 00 61'));
    expect(wire.decode(hex('04 00 00 00 00 01 00 61'))).toBeUndefined();
    expect(wire.frame.id).toBe(0);
    wire.decode(hex('08 00 00 00 01 07 00 00 00 01 00 61'));
    expect(wire.decode(hex('03 00 00 00 04 00 00'))).toBeUndefined();
    expect([wire.frame.id, wire.frame.topic]).toEqual([0, '']);
  });

  it.each([
    ['nothing', ''],
    ['half of a length', '03 00'],
    ['a length alone', '00 00 00 00'],
    ['a length below what is there', '03 00 00 00 00 01 00 61'],
    ['a length above what is there', '05 00 00 00 00 01 00 61'],
    ['a length of 2^32-1', 'ff ff ff ff 00 01 00 61'],
    ['a kind alone', '01 00 00 00 00'],
    ['a request that ends in its id', '04 00 00 00 01 07 00 00'],
    ['a request that ends behind its id', '05 00 00 00 01 07 00 00 00'],
    ['half of a topic length', '02 00 00 00 00 01'],
    ['a topic longer than the frame', '04 00 00 00 00 02 00 61'],
    ['a request whose topic is longer than the frame', '08 00 00 00 01 07 00 00 00 02 00 61'],
    ['a ping whose topic is longer than the frame', '03 00 00 00 04 01 00'],
    ['two frames in one', '03 00 00 00 04 00 00 03 00 00 00 04 00 00'],
  ])('%s as broken', (_what, frame) => {
    expect(wire.decode(hex(frame))).toBe('VIOLATION');
  });

  it.each([
    ['a request with id 0', '08 00 00 00 01 00 00 00 00 01 00 61'],
    ['a reply', '08 00 00 00 02 07 00 00 00 01 00 61'],
    ['an error', '07 00 00 00 03 07 00 00 00 00 00'],
    ['a hello', '03 00 00 00 06 00 00'],
    ['a ping with a topic', '04 00 00 00 04 01 00 61'],
    ['a pong with a topic', '04 00 00 00 05 01 00 61'],
    ['an unknown kind', '04 00 00 00 07 01 00 61'],
    ['the last unknown kind', '04 00 00 00 ff 01 00 61'],
    // What stands behind an unknown kind may be anything.
    ['an unknown kind with nothing behind it', '01 00 00 00 08'],
    ['an unknown kind with an id', '08 00 00 00 09 07 00 00 00 01 00 61'],
  ])('%s as malformed, and of no id', (_what, frame) => {
    wire.decode(hex('08 00 00 00 01 63 00 00 00 01 00 61'));
    expect(wire.decode(hex(frame))).toBe('BAD_FRAME');
    expect(wire.frame.id).toBe(0);
  });

  it.each([
    ['no topic', '07 00 00 00 01 07 00 00 00 00 00'],
    ['an empty segment', '09 00 00 00 01 07 00 00 00 02 00 61 2f'],
    ['UTF-8', '09 00 00 00 01 07 00 00 00 02 00 c3 a9'],
    ['a topic of the gate', '0d 00 00 00 01 07 00 00 00 06 00 24 67 61 74 65 2f'],
  ])('a request with %s as not allowed, with its id', (_what, frame) => {
    expect(wire.decode(hex(frame))).toBe('BAD_TOPIC');
    expect(wire.frame.id).toBe(7);
  });
});

describe('FrameWire writes', () => {
  it.each([
    ['a push', wire.push('a/b', bytes('hi')), '08 00 00 00 00 03 00 61 2f 62 68 69'],
    ['a push without a body', wire.push('a/b', NO_BODY), '06 00 00 00 00 03 00 61 2f 62'],
    ['a reply', wire.reply(7, bytes('hi')), '09 00 00 00 02 07 00 00 00 00 00 68 69'],
    ['a reply without a body', wire.reply(7, NO_BODY), '07 00 00 00 02 07 00 00 00 00 00'],
    ['a reply to the largest id', wire.reply(4_294_967_295, NO_BODY), '07 00 00 00 02 ff ff ff ff 00 00'],
    ['a ping', wire.ping(), '03 00 00 00 04 00 00'],
    ['a pong', wire.pong(), '03 00 00 00 05 00 00'],
    [
      'an error for a request',
      wire.error(7, { code: 'X', message: '' }, 'a/b'),
      '20 00 00 00 03 07 00 00 00 00 00 7b 22 63 6f 64 65 22 3a 22 58 22 2c 22 6d 65 73 73 61 67 65 22 3a 22 22 7d',
    ],
  ])('%s', (_what, frame, expected) => {
    expect(shown(frame)).toBe(expected);
  });

  it('the hello as JSON', () => {
    const hello = wire.hello('g.e.1', 25_000);
    expect(shown(hello.subarray(0, 7))).toBe('2b 00 00 00 06 00 00');
    expect(hello.length).toBe(4 + 0x2b);
    expect(hello.toString('utf8', 7)).toBe('{"clientId":"g.e.1","heartbeatMs":25000}');
  });

  it('errors that belong to no request as a push, with the topic as the text that was meant', () => {
    const error = { code: 'BAD_TOPIC', message: 'no', details: [1] };
    const frame = wire.error(0, error, 'a/\u00c3\u00a9');
    expect(shown(frame.subarray(4, 7))).toBe('00 0b 00');
    expect(frame.toString('utf8', 7, 18)).toBe('$gate/error');
    expect(JSON.parse(frame.toString('utf8', 18))).toEqual({ ...error, topic: 'a/é' });
  });

  it('more than a pack could hold', () => {
    const frame = wire.push('a', bytes(Buffer.alloc(1_000_000, 1)));
    expect(frame.readUInt32LE(0)).toBe(1_000_004);
    expect(frame.length).toBe(1_000_008);
  });

  it('each frame, its length included, as a binary WebSocket frame of its own', () => {
    const ws = new FrameWire(BINARY_WS_FRAMING);
    expect(shown(ws.push('a', bytes('hi')))).toBe('82 0a 06 00 00 00 00 01 00 61 68 69');
    expect(shown(ws.push('a', bytes(Buffer.alloc(65_528))).subarray(0, 14))).toBe(
      '82 7f 00 00 00 00 00 01 00 00 fc ff 00 00',
    );
  });
});
