import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import * as ws from 'ws';
import { readAhead } from './ws-read-ahead.js';

const MAX_PAYLOAD = 70_000;
const TEXT = 0x81;
const BINARY = 0x82;
const FIRST_FRAGMENT = 0x01;
const LAST_FRAGMENT = 0x80;
const PING = 0x89;
const PONG = 0x8a;

/** Parts of a receiver of `ws`, which has no types of its own. */
interface Insides {
  write(chunk: Buffer): boolean;
  on(event: string, listener: (data: Buffer | Error) => void): void;
  readonly _buffers: readonly Buffer[];
}

/** What a receiver has come to, in order. Messages that were read ahead look like those of `ws`. */
function create(isAhead: boolean, maxPayload = MAX_PAYLOAD) {
  // `ws` exports it, but its types do not.
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Insides };
  const receiver = new Receiver({ isServer: true, maxPayload });
  const events: string[] = [];
  let read = 0;
  const note = (event: string) => (data: Buffer | Error) => void events.push(`${event} ${data.toString()}`);
  for (const event of ['message', 'ping', 'pong', 'error']) receiver.on(event, note(event));
  // The rest of a WebSocket is not looked at.
  const websocket = { _receiver: receiver } as unknown as ws.WebSocket;
  const onFrame = (data: Buffer): void => {
    read++;
    note('message')(data);
  };
  if (isAhead) {
    readAhead(websocket, false, {
      onFrame,
      onDefect: error => {
        throw error;
      },
    });
  }
  return { receiver, events, reads: () => read };
}

function frame(opcode: number, payload: Buffer, mask = 0): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.of(opcode, 0x80 | length)
      : length < 65_536
        ? Buffer.of(opcode, 0x80 | 126, length >> 8, length & 0xff)
        : Buffer.of(opcode, 0x80 | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff);
  const key = Buffer.alloc(4);
  key.writeUInt32BE(mask);
  return Buffer.concat([head, key, payload.map((byte, i) => byte ^ (key[i & 3] as number))]);
}

const text = (content: string, mask?: number): Buffer => frame(TEXT, Buffer.from(content), mask);

/** Cuts at these places, in any order, some of which may be outside. */
function cut(data: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.filter(place => place < data.length), data.length].toSorted((a, b) => a - b);
  return ends.map((end, i) => data.subarray(ends[i - 1] ?? 0, end));
}

/** How many bytes a receiver has room for of the frame that has not come completely. */
function roomOf(receiver: Insides): number | undefined {
  const values = Object.getOwnPropertySymbols(receiver).map(key => Reflect.get(receiver, key) as unknown);
  return (values.find(value => Object.hasOwn(Object(value), 'filled')) as { bytes: Buffer } | undefined)?.bytes.length;
}

describe('readAhead', () => {
  it('hands over a whole frame itself', () => {
    const { receiver, events, reads } = create(true);
    receiver.write(Buffer.concat([text('one'), text('two')]));
    expect([events, reads()]).toEqual([['message one', 'message two'], 2]);
  });

  it.each([10, 125, 126, 5_000, 65_535, 65_536, MAX_PAYLOAD])('assembles a frame of %d bytes itself', size => {
    const content = 'é'.repeat(size / 2) + 'x'.repeat(size % 2);
    for (const step of [1, 3, 1_000, 65_536]) {
      const { receiver, events, reads } = create(true);
      const data = Buffer.concat([text(content, 0x12_34_56_78), text(content, 0xff_00_80_01)]);
      for (let at = 0; at < data.length; at += step) receiver.write(data.subarray(at, at + step));
      expect([step, reads(), receiver._buffers.length]).toEqual([step, 2, 0]);
      expect(events).toEqual([`message ${content}`, `message ${content}`]);
    }
  });

  it('goes on reading ahead behind a ping or pong', () => {
    const { receiver, events, reads } = create(true);
    const long = 'x'.repeat(1_000);
    const data = Buffer.concat([frame(PING, Buffer.from('a')), text(long), frame(PONG, Buffer.from('b')), text(long)]);
    for (const chunk of cut(data, [500, 1_500])) receiver.write(chunk);
    expect(reads()).toBe(2);
    expect(events).toEqual(['ping a', `message ${long}`, 'pong b', `message ${long}`]);
  });

  it('has no more room for the beginning of a frame than four times what has come', () => {
    const { receiver } = create(true);
    const data = text('x'.repeat(60_000));
    const rooms = [10, 1_000, 5_000, 20_000].map((end, i, ends) => {
      receiver.write(data.subarray(ends[i - 1] ?? 0, end));
      return roomOf(receiver);
    });
    expect(rooms).toEqual([256, 4_000, 20_000, 20_000]);
    receiver.write(data.subarray(20_000, 20_001));
    expect(roomOf(receiver)).toBe(data.length);
  });

  it('keeps few chunks of a fragment that comes in many, and loses none', () => {
    const { receiver, events } = create(true);
    const content = Array.from({ length: 5_000 }, (_, n) => String(n % 10)).join('');
    const data = Buffer.concat([
      frame(FIRST_FRAGMENT, Buffer.from(content)),
      frame(LAST_FRAGMENT, Buffer.from('and the rest')),
    ]);
    let most = 0;
    for (let i = 0; i < data.length;) {
      // A large one now and then.
      const end = Math.min(data.length, i + (i % 1_000 === 999 ? 1_500 : 1));
      receiver.write(data.subarray(i, end));
      most = Math.max(most, receiver._buffers.length);
      i = end;
    }
    expect(most).toBeLessThanOrEqual(64);
    expect(events).toEqual([`message ${content}and the rest`]);
  });

  it('comes to the same as ws alone, whatever is sent and however it is cut', async () => {
    const payload = fc.oneof(
      fc.string({ maxLength: 20 }).map(content => Buffer.from(content)),
      fc.string({ unit: 'grapheme', minLength: 100, maxLength: 700 }).map(content => Buffer.from(content)),
      fc.uint8Array({ maxLength: 130 }).map(bytes => Buffer.from(bytes)),
      fc.integer({ min: 0, max: MAX_PAYLOAD + 10 }).map(size => Buffer.alloc(size, 'x')),
    );
    const part = fc.oneof(
      { weight: 8, arbitrary: fc.tuple(fc.constant(TEXT), payload) },
      fc.tuple(fc.constantFrom(BINARY, FIRST_FRAGMENT, LAST_FRAGMENT), payload),
      fc.tuple(fc.constantFrom(PING, PONG), fc.uint8Array({ maxLength: 130 }).map(Buffer.from)),
      fc.tuple(fc.integer({ min: 0, max: 255 }), fc.constant(Buffer.from('rubbish'))),
    );
    const stream = fc
      // What follows a close frame is not looked at by `ws`, which stops listening.
      .array(fc.tuple(part, fc.nat(0xff_ff_ff_ff)), { minLength: 1, maxLength: 8 })
      .map(parts => parts.filter(([[opcode]]) => (opcode & 0x0f) !== 8))
      .map(parts => Buffer.concat(parts.map(([[opcode, data], mask]) => frame(opcode, data, mask))));
    const places = fc.array(fc.oneof(fc.nat(40), fc.nat(1_500), fc.nat(80_000)), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(stream, places, async (data, at) => {
        const ahead = create(true);
        const alone = create(false);
        for (const { receiver } of [ahead, alone])
          for (const chunk of cut(Buffer.from(data), at)) receiver.write(chunk);
        await turn();
        expect(ahead.events).toEqual(alone.events);
      }),
      { numRuns: 300 },
    );
  });
});
