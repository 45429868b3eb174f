import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FRAME_STREAM, PACK_STREAM, type StreamLayout, StreamSplitter } from './stream-splitter.js';

const MAX = 65_535;

/** A message with so many bytes behind its length. */
function message(layout: StreamLayout, content: Uint8Array): Buffer {
  const data = Buffer.concat([Buffer.alloc(layout.lengthBytes), content]);
  if (layout === PACK_STREAM) data.writeUInt16LE(data.length, 0);
  else data.writeUInt32LE(content.length, 0);
  return data;
}

/** Splits chunks, and returns the messages as hex, with the fault when there was one. */
function split(layout: StreamLayout, chunks: readonly Buffer[], maxSize = MAX): readonly string[] {
  const found: string[] = [];
  const splitter = new StreamSplitter(layout, maxSize, data => found.push(data.toString('hex')));
  for (const chunk of chunks) {
    const fault = splitter.push(chunk);
    if (fault) return [...found, fault];
  }
  return found;
}

/** Cuts data at these places. */
function cutAt(data: Buffer, places: readonly number[]): Buffer[] {
  const bounds = [0, ...places, data.length];
  // Each chunk in a buffer of its own: nothing may rely on what stands behind it.
  return bounds.slice(1).map((end, i) => Buffer.from(data.subarray(bounds[i], end)));
}

describe.each([
  ['packs', PACK_STREAM, '09 00 03 00 61 2f 62 68 69', '04 00 00 00'],
  ['frames', FRAME_STREAM, '04 00 00 00 00 01 00 61', '03 00 00 00 04 00 00'],
] as const)('a stream of %s', (_what, layout, first, second) => {
  const [one, two] = [first, second].map(text => Buffer.from(text.replaceAll(' ', ''), 'hex')) as [Buffer, Buffer];
  const stream = Buffer.concat([one, two, two, one]);
  const expected = [one, two, two, one].map(data => data.toString('hex'));

  it('gives the same messages wherever it is cut in two', () => {
    for (let at = 0; at <= stream.length; at++) expect(split(layout, cutAt(stream, [at]))).toEqual(expected);
  });

  it('gives the same messages wherever it is cut in three', () => {
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b++) expect(split(layout, cutAt(stream, [a, b]))).toEqual(expected);
    }
  });

  it('gives the same messages byte by byte', () => {
    expect(split(layout, cutAt(stream, [...stream.keys()]))).toEqual(expected);
  });

  it('gives the same messages however many there are and however it is cut', () => {
    const content = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 20 }),
      fc.uint8Array({ minLength: 500, maxLength: 1_200 }),
    );
    fc.assert(
      fc.property(fc.array(content, { maxLength: 12 }), fc.array(fc.nat(8_000), { maxLength: 30 }), (all, places) => {
        const messages = all.map(bytes => message(layout, bytes));
        const data = Buffer.concat(messages);
        const cuts = places.map(place => place % (data.length + 1)).sort((a, b) => a - b);
        expect(split(layout, cutAt(data, cuts))).toEqual(messages.map(one => one.toString('hex')));
      }),
      { numRuns: 300 },
    );
  });

  it('gives the largest message, and refuses a larger one by its length alone', () => {
    const largest = message(layout, Buffer.alloc(1_000 - layout.lengthBytes, 7));
    expect(split(layout, [largest], 1_000)).toEqual([largest.toString('hex')]);
    expect(split(layout, cutAt(largest, [999]), 1_000)).toEqual([largest.toString('hex')]);
    const head = message(layout, Buffer.alloc(1_001 - layout.lengthBytes)).subarray(0, layout.lengthBytes);
    expect(split(layout, [head], 1_000)).toEqual(['too-large']);
    expect(split(layout, cutAt(head, [1]), 1_000)).toEqual(['too-large']);
    expect(split(layout, [Buffer.concat([one, head])], 1_000)).toEqual([one.toString('hex'), 'too-large']);
  });

  it('refuses a message without content, behind the messages before it', () => {
    const empty = message(layout, Buffer.alloc(0));
    for (let at = 0; at <= empty.length; at++) {
      const [start, rest] = cutAt(empty, [at]) as [Buffer, Buffer];
      expect(split(layout, [Buffer.concat([one, start]), Buffer.concat([rest, two])])).toEqual([
        one.toString('hex'),
        'too-small',
      ]);
    }
  });

  it('keeps a message that is whole in its chunk as a view', () => {
    const views: Buffer[] = [];
    const splitter = new StreamSplitter(layout, MAX, data => views.push(data));
    const chunk = Buffer.concat([one, two, one.subarray(0, 3)]);
    splitter.push(chunk);
    expect(views.map(view => [view.buffer === chunk.buffer, view.byteOffset - chunk.byteOffset])).toEqual([
      [true, 0],
      [true, one.length],
    ]);
  });

  it('copies a message that is not, so that the chunks may be used again', () => {
    const views: Buffer[] = [];
    const splitter = new StreamSplitter(layout, MAX, data => views.push(data));
    const chunks = cutAt(Buffer.concat([one, one]), [3, one.length + 3]);
    for (const chunk of chunks) {
      splitter.push(chunk);
      chunk.fill(0xee);
    }
    expect(views.map(view => view.toString('hex'))).toEqual([one.toString('hex'), one.toString('hex')]);
  });
});

describe('the lengths of a stream', () => {
  function head(layout: StreamLayout, text: string): readonly string[] {
    return split(layout, [Buffer.from(text.replaceAll(' ', ''), 'hex')]);
  }

  it.each([
    ['00 00', 'too-small'],
    ['01 00', 'too-small'],
    ['02 00', 'too-small'],
  ])('of packs: %s is %s', (text, fault) => {
    expect(head(PACK_STREAM, text)).toEqual([fault]);
  });

  it.each([
    ['00 00 00 00', 'too-small'],
    ['fc ff 00 00', 'too-large'],
    ['00 00 01 00', 'too-large'],
    ['ff ff ff 7f', 'too-large'],
    ['ff ff ff ff', 'too-large'],
  ])('of frames: %s is %s', (text, fault) => {
    expect(head(FRAME_STREAM, text)).toEqual([fault]);
  });

  it('of frames are allowed up to the limit, the length itself included', () => {
    expect(head(FRAME_STREAM, 'fb ff 00 00')).toEqual([]);
  });

  it('cost no memory before the bytes have come', () => {
    const maxSize = 1024 * 1024 * 1024;
    const before = process.memoryUsage().arrayBuffers;
    const splitters = Array.from({ length: 100 }, () => new StreamSplitter(FRAME_STREAM, maxSize, () => undefined));
    for (const splitter of splitters) splitter.push(Buffer.from('ffffff3f', 'hex').subarray(0, 4));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  });
});
