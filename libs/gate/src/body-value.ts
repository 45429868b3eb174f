import type { JsonValue, Settings } from '@nestgate/link';
import { type Body, BodyKind, GateError } from '@nestgate/protocol';
import { encodeBody } from '@nestgate/worker/internal';
import { parseJson } from '@nestgate/link/internal';

/**
 * What application code sees of a body: the parsed JSON, the bytes, or `undefined`.
 * @throws {GateError} `BAD_FRAME` for JSON that is none.
 */
export function bodyValue(body: Body): unknown {
  if (body.kind === BodyKind.none) return undefined;
  const bytes = asBuffer(body.bytes);
  if (body.kind === BodyKind.bytes) return bytes;
  try {
    return parseJson<unknown>(bytes.toString('utf8'));
  } catch {
    throw new GateError('BAD_FRAME');
  }
}

/** Whether a body that was taken for JSON is some. Nobody else finds out when a frame goes to no handler. */
export function isWellFormed(body: Body): boolean {
  try {
    bodyValue(body);
    return true;
  } catch {
    return false;
  }
}

/** The same bytes as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Settings as they would come over the link: what this process changes in its own objects later does not change the session. A key that is
 * `undefined` is left out.
 * @throws {GateError} `BAD_ARGUMENT` for what is no object, and a value that is not JSON.
 */
export function copyOfSettings(settings: object): Settings {
  // A Map or a promise would look like settings without keys, a text like one key for each character.
  if (Object.prototype.toString.call(settings) !== '[object Object]') {
    throw new GateError('BAD_ARGUMENT', 'Settings must be an object');
  }
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  const copies = entries.map(([key, value]) => {
    const body = encodeBody(value, undefined, `settings.${key}`);
    if (body.kind !== BodyKind.json) throw new GateError('BAD_ARGUMENT', 'A session value must be JSON');
    return [key, bodyValue(body) as JsonValue];
  });
  return Object.fromEntries(copies) as Settings;
}
