import type { MessageArgs } from '@nestgate/link';
import {
  type Body,
  BodyKind,
  GateError,
  isDeeperThan,
  isTextDeeperThan,
  isTopic,
  JsonText,
  MAX_JSON_DEPTH,
  NO_BODY,
  nameFault,
} from '@nestgate/protocol';

/** Largest body of a push in bytes: what a client's outbox holds at most by default. */
export const MAX_PUSH_BYTES = 1024 * 1024;
/**
 * How deep a body nests at most. `JSON.stringify` itself gives up a little deeper than that up to V8 14, as its stack ends;
 * newer ones go on, and would send what a node or client with an older one cannot write again.
 */
export const MAX_BODY_DEPTH = 4_000;
/** Whether this V8 has no limit of its own. Where it has one, nothing else needs to be looked at. */
const HAS_NO_LIMIT = canStringify(10 * MAX_BODY_DEPTH);
/** Characters of a bad topic that an error shows. */
const MAX_SHOWN = 140;

/**
 * Encodes a value once for all its receivers: a `Buffer` or `Uint8Array` as it is, `undefined` as no body, anything else
 * as compact JSON.
 * @throws {GateError} `BAD_ARGUMENT` for what JSON cannot carry (a BigInt, a cycle, a function or symbol), for more than
 * {@link MAX_PUSH_BYTES}, and for what nests deeper than about {@link MAX_BODY_DEPTH}.
 */
export function encodeBody(value: unknown): Body {
  if (value === undefined) return NO_BODY;
  if (value instanceof Uint8Array) {
    assertSize(value.length);
    return { kind: BodyKind.bytes, bytes: value };
  }
  let encoded: string | undefined;
  try {
    encoded = JSON.stringify(value);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'its toJSON has thrown';
    throw new GateError('BAD_ARGUMENT', `The body cannot be encoded as JSON: ${why}`);
  }
  if (encoded === undefined) throw new GateError('BAD_ARGUMENT', `A ${typeof value} cannot be sent`);
  // A UTF-16 unit is three bytes of UTF-8 at most: only a long text has to be measured.
  if (encoded.length * 3 > MAX_PUSH_BYTES) assertSize(Buffer.byteLength(encoded));
  // Each level takes two characters.
  if (HAS_NO_LIMIT && encoded.length > 2 * MAX_BODY_DEPTH && isTextDeeperThan(encoded, MAX_BODY_DEPTH)) {
    throw new GateError('BAD_ARGUMENT', `A body nests at most ${MAX_BODY_DEPTH} deep`);
  }
  return new JsonText(encoded);
}

function canStringify(depth: number): boolean {
  let nested: unknown[] = [];
  for (let i = 0; i < depth; i++) nested = [nested];
  try {
    JSON.stringify(nested);
    return true;
  } catch {
    return false;
  }
}

/**
 * A push, checked and encoded.
 * @throws {GateError} `BAD_ARGUMENT` for a topic outside the grammar, or a body that is too large or cannot be encoded.
 */
export function encodeMessage(topic: string, value: unknown): MessageArgs {
  if (!isTopic(topic)) {
    const given: unknown = topic;
    const what = typeof given === 'string' ? JSON.stringify(given.slice(0, MAX_SHOWN)) : `a ${typeof given}`;
    throw new GateError('BAD_ARGUMENT', `Not a topic: ${what}`);
  }
  return { topic, body: encodeBody(value) };
}

function assertSize(bytes: number): void {
  if (bytes <= MAX_PUSH_BYTES) return;
  throw new GateError('BAD_ARGUMENT', `A body of ${bytes} bytes is over the limit of ${MAX_PUSH_BYTES}`);
}

/** @throws {GateError} `BAD_ARGUMENT` when `value` cannot be a uid, group or session key. */
export function assertName(what: string, value: unknown): asserts value is string {
  const fault = nameFault(value);
  if (fault) throw new GateError('BAD_ARGUMENT', `A ${what} ${fault}`);
}

/** @throws {GateError} `BAD_ARGUMENT` when a key or value cannot be kept in a session. */
export function assertSettings(entries: readonly (readonly [string, unknown])[]): void {
  for (const [key, value] of entries) {
    assertName('session key', key);
    const { kind, bytes } = encodeBody(value);
    if (kind !== BodyKind.json) throw new GateError('BAD_ARGUMENT', 'A session value must be JSON');
    // What nests deeper could not be encoded again where less of the stack is left.
    if (isDeeperThan(bytes, MAX_JSON_DEPTH)) {
      throw new GateError('BAD_ARGUMENT', `A session value nests at most ${MAX_JSON_DEPTH} deep`);
    }
  }
}
