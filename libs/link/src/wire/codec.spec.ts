import { describe, expect, it } from '@jest/globals';
import { BodyKind, JsonText, NO_BODY } from '@nestgate/protocol';
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

  it.each([0, 1, 24, 25, 62, 4_000, 4_093, 4_094, 20_000])('put quotes around a plain text of %d', length => {
    const written = roundTrip(body, new JsonText('x'.repeat(length), true));
    expect(written.kind).toBe(BodyKind.json);
    expect(Buffer.from(written.bytes).toString()).toBe(`"${'x'.repeat(length)}"`);
  });

  it.each([0, -0, 1, -1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, 0.5, Infinity])(
    'carry the number %d',
    number => {
      expect(Object.is(roundTrip(count, number), number)).toBe(true);
    },
  );

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
  it('makes a batch of many messages in one piece that is not much larger, once it has made one', () => {
    const writer = new ByteWriter();
    const make = (): Buffer => {
      for (let i = 0; i < 100; i++) writer.bytes(Buffer.alloc(2_500));
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

  it('refers to large content that has been read, and has a copy of its own of what may change', () => {
    // Not of a pool, whose size differs between versions of Node.
    const source = Buffer.alloc(5_008, 'x');
    const writer = new ByteWriter();
    writer.u8(7);
    writer.part(source, 4, 5_004);
    writer.bytes(source);
    const parts = writer.takeParts() as Buffer[];
    expect(parts.map(({ length }) => length)).toEqual([5, 5_000, 4, source.length]);
    expect(parts.map(({ buffer }) => buffer === source.buffer)).toEqual([false, true, false, false]);
  });

  it('copies what is a small part of the memory it stands in', () => {
    const source = Buffer.alloc(64 * 1024, 'x');
    const writer = new ByteWriter();
    writer.part(source, 100, 10_100);
    expect((writer.takeParts() as Buffer).buffer).not.toBe(source.buffer);
  });

  it('makes the same bytes whether content is large or not', () => {
    const value = fc.oneof(
      fc.nat(0xffff),
      fc
        .tuple(fc.constantFrom('x', 'é', '\u{1f600}', '\ud800'), fc.nat(5_000))
        .map(([unit, count]) => unit.repeat(count)),
      fc.nat(9_000).map(size => Buffer.alloc(size, 'b')),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(value, fc.boolean())), entries => {
        const writer = new ByteWriter();
        const expected: Buffer[] = [];
        for (const [entry, isKept] of entries) {
          const start = writer.length;
          const before = writer.size;
          writer.u8(1);
          if (typeof entry === 'number') writer.u16(entry);
          else if (typeof entry === 'string') writer.str(entry);
          else writer.part(entry, 0, entry.length);
          const bytes = typeof entry === 'number' ? Buffer.of(entry & 0xff, entry >> 8) : Buffer.from(entry as string);
          const length = Buffer.alloc(4);
          length.writeUInt32LE(bytes.length);
          const whole = Buffer.concat([Buffer.of(1), ...(typeof entry === 'number' ? [] : [length]), bytes]);
          expect(writer.bytesSince(start)).toBe(whole.length);
          if (isKept) expected.push(whole);
          else writer.truncate(start);
          expect(writer.size).toBe(before + (isKept ? whole.length : 0));
        }
        expect(writer.take().equals(Buffer.concat(expected))).toBe(true);
        expect(writer.size).toBe(0);
      }),
    );
  });

  it('grows to any size and is empty after take', () => {
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
