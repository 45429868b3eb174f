import type { MessageArgs } from '@nestgate/link';
import { type Body, BodyKind, GateError, isTopic, NO_BODY, nameFault } from '@nestgate/protocol';

/** Largest body of a push in bytes: what a client's outbox holds at most by default. */
export const MAX_PUSH_BYTES = 1024 * 1024;

/**
 * Encodes a value once for all its receivers: a `Buffer` or `Uint8Array` as it is, `undefined` as no body, anything else
 * as compact JSON.
 * @throws {GateError} `BAD_ARGUMENT` for what JSON cannot carry (a BigInt, a cycle, a function or symbol), and for more
 * than {@link MAX_PUSH_BYTES}.
 */
export function encodeBody(value: unknown): Body {
  if (value === undefined) return NO_BODY;
  if (value instanceof Uint8Array) return sized({ kind: BodyKind.bytes, bytes: value });
  let encoded: string | undefined;
  try {
    encoded = JSON.stringify(value);
  } catch (error) {
    throw new GateError('BAD_ARGUMENT', `The body cannot be encoded as JSON: ${(error as Error).message}`);
  }
  if (encoded === undefined) throw new GateError('BAD_ARGUMENT', `A ${typeof value} cannot be sent`);
  return sized({ kind: BodyKind.json, bytes: Buffer.from(encoded) });
}

/**
 * A push, checked and encoded.
 * @throws {GateError} `BAD_ARGUMENT` for a topic outside the grammar, or a body that is too large or cannot be encoded.
 */
export function encodeMessage(topic: string, value: unknown): MessageArgs {
  if (!isTopic(topic)) throw new GateError('BAD_ARGUMENT', `Not a topic: ${JSON.stringify(String(topic))}`);
  return { topic, body: encodeBody(value) };
}

function sized(body: Body): Body {
  const { length } = body.bytes;
  if (length <= MAX_PUSH_BYTES) return body;
  throw new GateError('BAD_ARGUMENT', `A body of ${length} bytes is over the limit of ${MAX_PUSH_BYTES}`);
}

/** @throws {GateError} `BAD_ARGUMENT` when `value` cannot be a uid, group or session key. */
export function assertName(what: string, value: unknown): asserts value is string {
  const fault = nameFault(value);
  if (fault) throw new GateError('BAD_ARGUMENT', `A ${what} ${fault}`);
}

/** One or several client ids as a list. What is no id of any gate finds nobody; what is no text is a mistake. */
export function idList(value: string | readonly string[]): readonly string[] {
  const ids = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(ids) || !ids.every(id => typeof id === 'string')) {
    throw new GateError('BAD_ARGUMENT', 'A client id must be a string, or an array of strings');
  }
  return ids as readonly string[];
}

/** One or several names as a checked list. */
export function nameList(what: string, value: string | readonly string[]): readonly string[] {
  const names = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(names)) throw new GateError('BAD_ARGUMENT', `A ${what} must be a string or an array of strings`);
  for (const name of names) assertName(what, name);
  return names as readonly string[];
}

/** @throws {GateError} `BAD_ARGUMENT` when a key or value cannot be kept in a session. */
export function assertSettings(entries: readonly (readonly [string, unknown])[]): void {
  for (const [key, value] of entries) {
    assertName('session key', key);
    if (encodeBody(value).kind !== BodyKind.json) throw new GateError('BAD_ARGUMENT', 'A session value must be JSON');
  }
}
