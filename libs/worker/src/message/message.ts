import { types } from 'node:util';
import type { JsonValue } from '@nestgate/link';
import type { MessageArgs } from '@nestgate/link/internal';
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
import { isPlainJson, type JsonFault, jsonFault } from './json-faults.js';
import { isPlainText, jsonText } from './json-text.js';

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
 * Encodes a value once for all its receivers: an `ArrayBuffer`, a typed array (such as a `Buffer`) or a `DataView` as its bytes,
 * `undefined` as no body, anything else as compact JSON.
 * @param topic the topic that it goes to; errors name it.
 * @param root what errors call the value: they name the part that cannot be sent, such as `body.items[3].tags`.
 * @throws {GateError} `BAD_ARGUMENT` for what JSON cannot carry: a BigInt, a cycle, a function or symbol, `NaN`, an infinity, a
 * `Map`, `Set`, promise, `Error`, stream, iterator, or bytes inside of an object; for more than {@link MAX_PUSH_BYTES}; and for what
 * nests deeper than about {@link MAX_BODY_DEPTH}. An object with a `toJSON` stands for what that gives; only
 * where JSON fails is that looked at.
 */
export function encodeBody(value: unknown, topic?: string, root = 'body'): Body {
  if (value === undefined) return NO_BODY;
  if (typeof value === 'string') return isPlainText(value) ? plainBody(value) : textBody(JSON.stringify(value));
  if (typeof value === 'symbol' || typeof value === 'function')
    throw refusal(topic, `A ${typeof value} cannot be sent`);
  if (ArrayBuffer.isView(value)) return bytesBody(value);
  let encoded: string | undefined;
  let isPlain = false;
  try {
    encoded = jsonText(value);
    isPlain = isPlainJson(value);
  } catch (error) {
    // With a text it is not JSON that has failed, but the look at what has become JSON.
    if (encoded === undefined) {
      assertJson(value, topic, root, true);
      const why = error instanceof Error ? error.message : 'its toJSON has thrown';
      throw refusal(topic, `The body cannot be encoded as JSON: ${why}`);
    }
  }
  if (!isPlain) {
    if (types.isAnyArrayBuffer(value)) return bytesBody(new Uint8Array(value));
    assertJson(value, topic, root, false);
  }
  if (encoded === undefined) throw refusal(topic, `${root} cannot be sent: its toJSON gives nothing`);
  return textBody(encoded);
}

/** A text in which JSON escapes nothing. */
function plainBody(text: string): Body {
  const size = text.length + 2;
  if (size > MAX_PUSH_BYTES) assertSize(size);
  return new JsonText(text, true);
}

function textBody(encoded: string): Body {
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

function bytesBody(view: ArrayBufferView): Body {
  assertSize(view.byteLength);
  const bytes = view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return { kind: BodyKind.bytes, bytes };
}

/** The slow path: names what JSON cannot carry, if there is something. */
function assertJson(value: unknown, topic: string | undefined, root: string, hasFailed: boolean): void {
  let found: JsonFault | undefined;
  try {
    found = jsonFault(value, root, hasFailed);
  } catch (error) {
    const why = error instanceof RangeError ? 'it nests too deep' : 'a part of it throws when it is read';
    throw refusal(topic, `${root} cannot be sent: ${why}`);
  }
  if (found) throw refusal(topic, `${found.path} is ${found.what}, which cannot be sent as JSON`);
}

/**
 * Why a value cannot be sent as JSON, with the path of the part that cannot; `undefined` when it can. Never throws.
 * @param root what the path begins with.
 */
export function jsonRefusal(value: unknown, topic: string | undefined, root: string): GateError | undefined {
  try {
    JSON.stringify(value);
    if (!isPlainJson(value)) assertJson(value, topic, root, false);
    return undefined;
  } catch (error) {
    if (error instanceof GateError) return error;
  }
  try {
    assertJson(value, topic, root, true);
  } catch (error) {
    if (error instanceof GateError) return error;
  }
  return refusal(topic, `${root} cannot be sent as JSON`);
}

function refusal(topic: string | undefined, why: string): GateError {
  return new GateError('BAD_ARGUMENT', topic === undefined ? why : `${topic}: ${why}`);
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
  return { topic, body: encodeBody(value, topic) };
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

/**
 * The keys and values of settings. A key whose value is `undefined` is left out, as JSON does.
 * @throws {GateError} `BAD_ARGUMENT` for what is not an object with keys (a Map or a promise looks like an empty one), and when a key or
 * value cannot be kept in a session.
 */
export function settingsEntries(settings: unknown): [key: string, value: JsonValue][] {
  if (Object.prototype.toString.call(settings) !== '[object Object]') {
    throw new GateError('BAD_ARGUMENT', 'Settings must be an object');
  }
  const entries = Object.entries(settings as object).filter(([, value]) => value !== undefined);
  assertSettings(entries);
  return entries as [string, JsonValue][];
}

/** @throws {GateError} `BAD_ARGUMENT` when a key or value cannot be kept in a session. */
export function assertSettings(entries: readonly (readonly [string, unknown])[]): void {
  for (const [key, value] of entries) {
    assertName('session key', key);
    const { kind, bytes } = encodeBody(value, undefined, settingPath(key));
    if (kind !== BodyKind.json) throw new GateError('BAD_ARGUMENT', 'A session value must be JSON');
    // What nests deeper could not be encoded again where less of the stack is left.
    if (isDeeperThan(bytes, MAX_JSON_DEPTH)) {
      throw new GateError('BAD_ARGUMENT', `A session value nests at most ${MAX_JSON_DEPTH} deep`);
    }
  }
}

/** What errors call a setting. */
function settingPath(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `settings.${key}` : `settings[${JSON.stringify(key)}]`;
}
