import { describe, expect, it } from '@jest/globals';
import { BodyKind, NO_BODY } from '@nestgate/protocol';
import fc from 'fast-check';
import { ByteReader, ByteWriter } from './bytes.js';
import { body, type Codec, count, flag, json, list, optional, struct, text } from './codec.js';

function roundTrip<T>(codec: Codec<T>, value: T): T {
  const writer = new ByteWriter();
  codec.write(writer, value);
  const reader = new ByteReader(writer.take());
  const read = codec.read(reader);
  expect(reader.remaining).toBe(0);
  return read;
}

describe('codecs', () => {
  it('give back what was written', () => {
    const codec = struct({
      name: text,
      on: flag,
      n: count,
      tags: list(text),
      note: optional(text),
      any: json<unknown>(),
    });
    const strings = fc.string({ unit: 'grapheme', maxLength: 300 });
    const values = fc.record({
      name: strings,
      on: fc.boolean(),
      n: fc.integer(),
      tags: fc.array(strings),
      note: fc.option(strings, { nil: undefined }),
      any: fc.jsonValue(),
    });
    fc.assert(
      fc.property(values, value => expect(JSON.stringify(roundTrip(codec, value))).toBe(JSON.stringify(value))),
    );
  });

  it('carry bodies without looking into them', () => {
    const bytes = Buffer.from('{"not json');
    expect(roundTrip(body, { kind: BodyKind.json, bytes })).toMatchObject({ kind: BodyKind.json, bytes });
    expect(roundTrip(body, NO_BODY)).toBe(NO_BODY);
  });

  it('never read past the end, whatever the bytes are', () => {
    const codec = struct({ name: text, list: list(text), body, any: optional(json<unknown>()) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
        try {
          codec.read(new ByteReader(Buffer.from(bytes)));
        } catch (error) {
          expect(error).toMatchObject({ code: 'LINK_CORRUPT' });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuse a list that claims to be longer than its frame', () => {
    const writer = new ByteWriter();
    writer.u32(0xffff_ffff);
    expect(() => list(text).read(new ByteReader(writer.take()))).toThrow(
      expect.objectContaining({ code: 'LINK_CORRUPT' }),
    );
  });
});

describe('ByteWriter', () => {
  it('makes a batch of large messages in one piece that is not much larger, once it has made one', () => {
    const writer = new ByteWriter();
    const make = (): Buffer => {
      for (let i = 0; i < 5; i++) writer.bytes(Buffer.alloc(60_000));
      return writer.take();
    };
    make();
    const batch = make();
    expect(batch.buffer.byteLength).toBeLessThan(batch.length * 1.3);
    // A small one after it does not go on like that.
    writer.u8(1);
    writer.take();
    writer.u8(1);
    // It is a part of Node's pool: of 8 KiB, or of 64 KiB from Node 24 on.
    expect(writer.take().buffer.byteLength).toBeLessThan(Buffer.poolSize + 1024);
  });

  it('grows over any size and starts anew after take', () => {
    const writer = new ByteWriter();
    const large = 'é'.repeat(100_000);
    writer.str('a');
    writer.str(large);
    const first = new ByteReader(writer.take());
    expect([first.str(), first.str()]).toEqual(['a', large]);
    writer.u16(500);
    expect(new ByteReader(writer.take()).u16()).toBe(500);
    expect(writer.length).toBe(0);
  });
});
