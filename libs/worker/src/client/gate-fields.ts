import type { JsonValue, Settings } from '@nestgate/link';
import { type ArgsOf, type MessageArgs, type SessionContract, parseJson } from '@nestgate/link/internal';
import { type Body, BodyKind, GateError, isTopic } from '@nestgate/protocol';
import { assertClientId, checkedSettings, idList, nameList } from '../gateway/arguments.js';
import { assertMoment } from '../gateway/credentials.js';
import { assertName, assertSettings, encodeBody } from '../message/message.js';
import type { GatePattern } from './gate-patterns.js';

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
  settings: value => checkedSettings(value as Settings),
  value: checkedValue,
  topic: checkedTopic,
  body: ownBody,
  message: ownMessage,
  clientIds: value => idList(value as string),
  except: value => idList(value as string),
  uids: value => nameList('uid', value as string),
  groups: value => nameList('group', value as string),
  deep: checkedFlag,
  issuedAt: checkedMoment,
  expiresAt: checkedMoment,
  before: checkedMoment,
  forMs: checkedMoment,
};

function refuse(why: string): never {
  throw new GateError('BAD_ARGUMENT', why);
}

function checkedFlag(value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse('A flag must be true or false');
}

function checkedMoment(value: unknown): number {
  assertMoment(value);
  return typeof value === 'number' ? value : refuse('A moment must be a number');
}

function checkedClientId(value: unknown): string {
  assertClientId(value);
  return value;
}

function named(what: string): (value: unknown) => string {
  return value => {
    assertName(what, value);
    return value;
  };
}

function checkedTopic(value: unknown): string {
  if (!isTopic(value)) return refuse(typeof value === 'string' ? 'Not a topic' : 'A topic must be a string');
  return value;
}

/** Bytes are the caller's, who may go on writing to them; JSON is a copy already. */
function ownBody(value: unknown, topic?: string): Body {
  const body = encodeBody(value, topic);
  return body.kind === BodyKind.bytes ? { kind: body.kind, bytes: Buffer.from(body.bytes) } : body;
}

function ownMessage(value: unknown): MessageArgs {
  const { topic, body, ...others } = recordOf('A message', value);
  const [other] = Object.keys(others);
  if (other !== undefined) return refuse('A message has a topic and a body, and nothing else');
  const checked = checkedTopic(topic);
  return { topic: checked, body: ownBody(body, checked) };
}

function checkedValue(value: unknown): JsonValue {
  assertSettings([['value', value]]);
  return parseJson<JsonValue>(Buffer.from(encodeBody(value).bytes).toString());
}

/** @throws {GateError} `BAD_ARGUMENT` for what is not an object with keys: a Map or a promise looks like an empty one. */
export function recordOf(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (Object.prototype.toString.call(value) !== '[object Object]') return refuse(`${what} must be an object`);
  return value as Record<string, unknown>;
}
