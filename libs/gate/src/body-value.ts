import { type Body, BodyKind, GateError } from '@nestgate/protocol';

/**
 * What application code sees of a body: the parsed JSON, the bytes, or `undefined`.
 * @throws {GateError} `BAD_FRAME` for JSON that is none.
 */
export function bodyValue(body: Body): unknown {
  if (body.kind === BodyKind.none) return undefined;
  const bytes = asBuffer(body.bytes);
  if (body.kind === BodyKind.bytes) return bytes;
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
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
