import type { ArgsOf, JsonValue, MessageArgs, SessionContract, Settings } from '@nestgate/link';
import { type Body, BodyKind, GateError, isTopic } from '@nestgate/protocol';
import { assertName, assertSettings, encodeBody } from '../gateway/message.js';
import type { GatePattern } from './gate-patterns.js';

/** Longest client id in characters: the longest node id and epoch that a link admits, and a serial. */
const MAX_CLIENT_ID_LENGTH = 256;
/** Room for one list of names, in bytes of UTF-8: two lists and the largest body must fit into one message of any link. */
const MAX_LIST_BYTES = 6 * 1024 * 1024;
/** What each name takes beside its text. */
const NAME_OVERHEAD_BYTES = 4;

type FieldName = { [K in GatePattern]: keyof ArgsOf<SessionContract[K]> }[GatePattern];
type FieldValue<F> = {
  [K in GatePattern]: F extends keyof ArgsOf<SessionContract[K]>
    ? Exclude<ArgsOf<SessionContract[K]>[F], undefined>
    : never;
}[GatePattern];

/**
 * How each argument of the session operations is checked and made what the link carries, whatever it is given: what these
 * return is a copy, so that later changes of the caller's own objects reach nobody. The contract says which operation has
 * which of them; one of its arguments without an entry here does not compile.
 *
 * @throws {GateError} `BAD_ARGUMENT`.
 */
export const FIELDS: { readonly [F in FieldName]: (value: unknown) => FieldValue<F> } = {
  clientId: checkedClientId,
  userId: named('uid'),
  group: named('group'),
  key: named('session key'),
  settings: copiedSettings,
  value: copiedValue,
  topic: checkedTopic,
  body: ownBody,
  message: ownMessage,
  clientIds: listOf('client id', checkedClientId),
  except: listOf('client id', checkedClientId),
  uids: listOf('uid', named('uid')),
  groups: listOf('group', named('group')),
  deep: checkedFlag,
};

function refuse(why: string): never {
  throw new GateError('BAD_ARGUMENT', why);
}

function checkedFlag(value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse('A flag must be true or false');
}

function checkedClientId(value: unknown): string {
  if (typeof value !== 'string') return refuse('A client id must be a string');
  if (value.length > MAX_CLIENT_ID_LENGTH) return refuse(`A client id has at most ${MAX_CLIENT_ID_LENGTH} characters`);
  return value;
}

function named(what: string): (value: unknown) => string {
  return value => {
    assertName(what, value);
    return value;
  };
}

/** One item or an array of them. */
function listOf(what: string, check: (value: unknown) => string): (value: unknown) => readonly string[] {
  return value => {
    if (typeof value === 'string') return [check(value)];
    if (!Array.isArray(value)) return refuse(`A ${what} must be a string or an array of strings`);
    const given: readonly unknown[] = value;
    const names: string[] = [];
    let bytes = 0;
    for (let i = 0; i < given.length; i++) {
      const name = check(given[i]);
      bytes += Buffer.byteLength(name) + NAME_OVERHEAD_BYTES;
      if (bytes > MAX_LIST_BYTES) return refuse(`A list of more than ${MAX_LIST_BYTES} bytes cannot be sent at once`);
      names.push(name);
    }
    return names;
  };
}

function checkedTopic(value: unknown): string {
  if (!isTopic(value)) return refuse(typeof value === 'string' ? 'Not a topic' : 'A topic must be a string');
  return value;
}

/** Bytes are the caller's, who may go on writing to them; JSON is a copy already. */
function ownBody(value: unknown): Body {
  const body = encodeBody(value);
  return body.kind === BodyKind.bytes ? { kind: body.kind, bytes: Buffer.from(body.bytes) } : body;
}

function ownMessage(value: unknown): MessageArgs {
  const { topic, body, ...others } = recordOf('A message', value);
  const [other] = Object.keys(others);
  if (other !== undefined) return refuse('A message has a topic and a body, and nothing else');
  return { topic: checkedTopic(topic), body: ownBody(body) };
}

function copiedValue(value: unknown): JsonValue {
  const { kind, bytes } = encodeBody(value);
  if (kind !== BodyKind.json) return refuse('A session value must be JSON');
  return JSON.parse(Buffer.from(bytes).toString()) as JsonValue;
}

function copiedSettings(value: unknown): Settings {
  const entries = Object.entries(recordOf('Settings', value));
  assertSettings(entries);
  return copiedValue(Object.fromEntries(entries)) as Settings;
}

/** @throws {GateError} `BAD_ARGUMENT` for what is not an object with keys: a Map or a promise looks like an empty one. */
export function recordOf(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (Object.prototype.toString.call(value) !== '[object Object]') return refuse(`${what} must be an object`);
  return value as Record<string, unknown>;
}
