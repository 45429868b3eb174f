import { describe, expect, it } from '@jest/globals';
import {
  FRAME_LENGTH_BYTES,
  FrameKind,
  frameKindHasId,
  MAX_PACK_BYTES,
  PACK_LENGTH_BYTES,
  PACK_TOPIC_LENGTH_BYTES,
  readPackParts,
  readU32,
} from './pack-layout.js';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

describe('the layout of packs and frames', () => {
  it('has the numbers that clients in other languages were written with', () => {
    expect([PACK_LENGTH_BYTES, PACK_TOPIC_LENGTH_BYTES, FRAME_LENGTH_BYTES, MAX_PACK_BYTES]).toEqual([2, 2, 4, 65_535]);
    const plain = { message: 0, request: 1, reply: 2, error: 3, ping: 4, pong: 5, hello: 6 };
    const session = { open: 7, resume: 8, resumed: 9, ack: 10, mark: 11, gap: 12, move: 13, bye: 14, refused: 15 };
    const streams = { item: 16, end: 17, cancel: 18, stream: 19, ask: 20, answer: 21, answerError: 22 };
    expect(FrameKind).toEqual({ ...plain, ...session, ...streams });
  });

  it('has ids in the kinds 1, 2 and 3, and 16 to 22', () => {
    expect(Array.from({ length: 256 }, (_, kind) => kind).filter(frameKindHasId)).toEqual([
      1, 2, 3, 16, 17, 18, 19, 20, 21, 22,
    ]);
  });

  it.each([
    ['03 00 61 2f 62 68 69', 0, 'a/b', '68 69'],
    ['09 00 03 00 61 2f 62 68 69', 2, 'a/b', '68 69'],
    ['00 00', 0, '', ''],
    ['00 00 ff', 0, '', 'ff'],
    ['01 00 61', 0, 'a', ''],
    // Bytes outside of ASCII become a character each.
    ['02 00 c3 a9 00', 0, '\u00c3\u00a9', '00'],
  ])('reads the parts of %s from %d on', (bytes, start, topic, body) => {
    const parts = readPackParts(hex(bytes), start);
    expect(parts?.topic).toBe(topic);
    expect(Buffer.from(parts?.body ?? []).equals(hex(body))).toBe(true);
  });

  it('reads the topic length as little-endian', () => {
    const data = Buffer.concat([hex('02 01'), Buffer.alloc(258, 'x'), hex('00')]);
    expect(readPackParts(data, 0)).toEqual({ topic: 'x'.repeat(258), body: data.subarray(260) });
  });

  it('gives the body as a view, not as a copy', () => {
    const data = hex('01 00 61 62');
    const parts = readPackParts(data, 0);
    data[3] = 0xee;
    expect([...(parts?.body ?? [])]).toEqual([0xee]);
  });

  it.each([
    ['', 0],
    ['00', 0],
    ['01 00', 0],
    ['03 00 61 2f', 0],
    ['ff ff 61', 0],
    ['00 01 61', 0],
    ['00 00', 1],
    ['00 00', 2],
    ['00 00', 9],
  ])('refuses %s from %d on: the topic does not fit', (bytes, start) => {
    expect(readPackParts(hex(bytes), start)).toBeUndefined();
  });

  it.each([
    ['01 00 00 00', 1],
    ['01 02 03 04', 0x04030201],
    ['ff ff ff 7f', 0x7fffffff],
    ['00 00 00 80', 0x80000000],
    ['ff ff ff ff', 0xffffffff],
  ])('reads %s as an unsigned number', (bytes, value) => {
    expect(readU32(hex(bytes), 0)).toBe(value);
    expect(readU32(hex(`ee${bytes}ee`), 1)).toBe(value);
  });
});
