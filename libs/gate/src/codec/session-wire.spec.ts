import { describe, expect, it } from '@jest/globals';
import { BodyKind, GateError } from '@nestgate/protocol';
import fc from 'fast-check';
import { FrameSessionWire } from './frame-session-wire.js';
import { FrameWire } from './frame-wire.js';
import { BINARY_WS_FRAMING, STREAM_FRAMING } from './framing.js';
import { JsonSessionWire } from './json-session-wire.js';
import { JsonWsWire } from './json-ws-wire.js';
import { isSessionWire } from './session-wire.js';

const json = new JsonWsWire(32);
const frame = new FrameWire(BINARY_WS_FRAMING);
const stream = new FrameWire(STREAM_FRAMING);
const WIRES = [
  ['gate.json.2', new JsonSessionWire(32, json), json],
  ['gate.frame.2', new FrameSessionWire(BINARY_WS_FRAMING, frame), frame],
  ['frame2', new FrameSessionWire(STREAM_FRAMING, stream), stream],
] as const;
const error = new GateError('NO_ROUTE').toBody();

describe.each(WIRES)('the session wire of %s', (_name, wire, plain) => {
  it('writes messages as its plain wire does, byte for byte', () => {
    const anyBody = fc.oneof(
      fc.json().map(text => ({ kind: BodyKind.json, bytes: Buffer.from(text) })),
      fc.uint8Array({ maxLength: 300 }).map(bytes => ({ kind: BodyKind.bytes, bytes })),
      fc
        .constantFrom(100, 200, 65_400, 70_000)
        .map(size => ({ kind: BodyKind.json, bytes: Buffer.from(`"${'x'.repeat(size)}"`) })),
    );
    fc.assert(
      fc.property(anyBody, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (body, id) => {
        const framed = [wire.push('a/b', body), wire.reply(id, body), wire.error(id, error, 'a/b')] as Buffer[];
        const expected = [plain.push('a/b', body), plain.reply(id, body), plain.error(id, error, 'a/b')] as Buffer[];
        // Not `toEqual`, which compares large buffers element by element.
        expect(framed.every((each, at) => each.equals(expected[at] as Buffer))).toBe(true);
        // And they all count.
        expect(framed.map(each => wire.isCounted(each))).toEqual([true, true, true]);
        const ends = [...framed, wire.end(id), wire.item(id, body), wire.error(0, error, 'a/b')] as Buffer[];
        expect(ends.map(each => wire.endedBy(each))).toEqual([0, id, id, id, 0, 0]);
      }),
    );
    expect(isSessionWire(wire) && !isSessionWire(plain) && wire.plain === plain).toBe(true);
  });

  it('does not count the frames of the gate itself', () => {
    const big = { pad: 'x'.repeat(70_000) };
    const owns = [
      wire.notice('hello', {}),
      wire.notice('resumed', big),
      wire.notice('gap', { from: 1, n: 2 }),
      wire.notice('refused', {}),
      wire.count('ack', 1),
      wire.count('mark', Number.MAX_SAFE_INTEGER),
      wire.pong(0),
      wire.error(0, error, undefined),
      wire.hello('a.b.1', 5),
    ];
    expect(owns.map(own => wire.isCounted(own))).toEqual(owns.map(() => false));
  });

  it('throws for no bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        wire.readSessionFrame(Buffer.from(bytes));
        const text = Buffer.from(`{"topic":"$gate/${Buffer.from(bytes).toString('latin1')}`);
        wire.readSessionFrame(text);
      }),
    );
  });
});

describe('the session wire of gate.json.2', () => {
  const wire = new JsonSessionWire(32, json);
  const read = (text: string) => wire.readSessionFrame(Buffer.from(text));

  it.each([
    ['{"topic":"$gate/bye"}', { kind: 'bye' }],
    ['{"topic":"$gate/ack","body":7}', { kind: 'ack', count: 7 }],
    ['{"body":7,"topic":"$gate/ack"}', { kind: 'ack', count: 7 }],
    [' { "topic" : "\\u0024gate/ack" , "body" : 7 } ', { kind: 'ack', count: 7 }],
    ['{"topic":"$gate/open","body":{"v":2}}', { kind: 'open', body: { v: 2 } }],
    ['{"topic":"$gate/resume"}', { kind: 'resume', body: undefined }],
    ['{"topic":"$gate/ack","body":[{"a":1}]}', { kind: 'ack', count: [{ a: 1 }] }],
    ['{"topic":"$gate/ack","body":0}', { kind: 'ack', count: 0 }],
    ['{"topic":"$gate/ack","body":-7}', { kind: 'ack', count: -7 }],
    ['{"topic":"$gate/ack","body":7.5}', { kind: 'ack', count: 7.5 }],
    ['{"topic":"$gate/ack","body":1234567890123456}', { kind: 'ack', count: 1_234_567_890_123_456 }],
    ['{"topic":"$gate/ack","body":07}', undefined],
    ['{"xopic":"$gate/ack","body":7}', undefined],
    ['{"topic":"$gate/ping"}', undefined],
    ['{"topic":"$gate/hello"}', undefined],
    ['{"topic":"$gates/ack","body":7}', undefined],
    ['{"topic":"a/b","body":{"topic":"$gate/ack"}}', undefined],
    ['{"body":{"topic":"$gate/ack"},"topic":"a/b"}', undefined],
    ['{"topic":"$gate/ack","body":', undefined],
  ])('reads %s', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });
});
