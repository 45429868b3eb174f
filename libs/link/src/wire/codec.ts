import { type Body, BodyKind, BodySlice, GateError, JsonText, NO_BODY } from '@nestgate/protocol';
import type { ByteReader, ByteWriter } from './bytes.js';

/** How a value travels over a link. */
export interface Codec<T> {
  write(writer: ByteWriter, value: T): void;
  /** @throws {GateError} `LINK_CORRUPT` when the bytes are not such a value. */
  read(reader: ByteReader): T;
  /**
   * The value for another side of the same process, sharing nothing with this one that either could change. Without it the
   * value is written and read.
   */
  own?(value: T): T;
  /** The fields of an object with fixed ones, by name: for callers that have to check what they are given. */
  readonly fields?: Readonly<Record<string, Codec<unknown>>> | undefined;
  /** True when `undefined` is a value too. */
  readonly isOptional?: boolean | undefined;
}

/** What a codec carries. */
export type CodecValue<C> = C extends Codec<infer T> ? T : never;

export const nothing: Codec<void> = {
  own: () => undefined,
  write: () => undefined,
  read: () => undefined,
};

export const text: Codec<string> = {
  write: (writer, value) => writer.str(value),
  read: reader => reader.str(),
};

export const flag: Codec<boolean> = {
  write: (writer, value) => writer.u8(value ? 1 : 0),
  read: reader => reader.u8() !== 0,
};

export const count: Codec<number> = {
  write: (writer, value) => writer.f64(value),
  read: reader => reader.f64(),
};

/** A body that nobody else changes: a frame that has been read, and a text, are never changed; bytes of an application may be. */
export function ownBody(value: Body): Body {
  if (value === NO_BODY || value instanceof BodySlice || value instanceof JsonText) return value;
  return { kind: value.kind, bytes: Buffer.from(value.bytes) };
}

export const body: Codec<Body> = {
  write(writer, value) {
    writer.u8(value.kind);
    if (value instanceof JsonText) {
      if (value.isPlain) writer.quoted(value.text);
      else writer.str(value.text);
    } else if (value instanceof BodySlice) writer.part(value.source, value.start, value.end);
    else if (value.kind !== BodyKind.none) writer.bytes(value.bytes);
  },
  read(reader) {
    const kind = reader.u8();
    if (kind === BodyKind.none) return NO_BODY;
    if (kind !== BodyKind.json && kind !== BodyKind.bytes) throw new GateError('LINK_CORRUPT', 'Unknown body kind');
    const end = reader.u32() + reader.at;
    const start = reader.skipTo(end);
    reader.views++;
    return new BodySlice(kind, reader.buffer, start, end, reader);
  },
  own: ownBody,
};

/** Any JSON value: for what is sent too rarely for its encoding to matter. */
export function json<T>(): Codec<T> {
  return {
    write: (writer, value) => writer.str(JSON.stringify(value)),
    read(reader) {
      const encoded = reader.str();
      try {
        return JSON.parse(encoded) as T;
      } catch {
        throw new GateError('LINK_CORRUPT', 'Malformed JSON in a link frame');
      }
    },
  };
}

export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    write(writer, values) {
      writer.u32(values.length);
      for (const value of values) item.write(writer, value);
    },
    read(reader) {
      const length = reader.u32();
      // Each item takes at least a byte, so a length beyond that is a lie: refuse it before allocating for it.
      if (length > reader.remaining) throw new GateError('LINK_CORRUPT', 'A list is longer than its frame');
      const values: T[] = [];
      for (let i = 0; i < length; i++) values.push(item.read(reader));
      return values;
    },
  };
}

export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    isOptional: true,
    write(writer, value) {
      writer.u8(value === undefined ? 0 : 1);
      if (value !== undefined) inner.write(writer, value);
    },
    read: reader => (reader.u8() === 0 ? undefined : inner.read(reader)),
  };
}

/** Keys whose codec allows `undefined` may be left out. */
type StructValue<F> = { [K in keyof F as undefined extends CodecValue<F[K]> ? never : K]: CodecValue<F[K]> } & {
  [K in keyof F as undefined extends CodecValue<F[K]> ? K : never]?: CodecValue<F[K]>;
};

/** An object with fixed fields, laid one after another without names. */
export function struct<F extends Record<string, Codec<never>> | Record<string, Codec<unknown>>>(
  fields: F,
): Codec<{ [K in keyof StructValue<F>]: StructValue<F>[K] }> {
  const entries = Object.entries<Codec<unknown>>(fields);
  return {
    fields,
    write(writer, value) {
      const record = value as Record<string, unknown>;
      for (const [name, codec] of entries) codec.write(writer, record[name]);
    },
    read(reader) {
      const record: Record<string, unknown> = {};
      for (const [name, codec] of entries) record[name] = codec.read(reader);
      return record as never;
    },
  };
}
