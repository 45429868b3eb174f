import type { ClientId } from '@nestgate/link';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { idList, nameList } from './arguments.js';
import { encodeMessage } from '../message/message.js';
import type { BroadcastOptions, SendOptions } from './options.js';

const SEND_OPTIONS = optionKeys<SendOptions>({ confirm: true, exclude: true, partial: true, deadlineMs: true });
/** Those of `sendToAll`. */
export const BROADCAST_OPTIONS: readonly string[] = [...SEND_OPTIONS, 'clientIds'];

/** Not in the class itself: the name in quotes there would look like a use of the current client. */
export const CURRENT_AT = {
  topic: 'sendToCurrentClient: argument 1 (topic)',
  options: 'sendToCurrentClient: argument 3 (options)',
} as const;

/** What clients, uids or groups are given as. */
type Names = string | readonly string[];

const LIST = 'a string or an array of strings';

/** One or several client ids. `where` is the argument or option they were given as. @throws {GateError} `BAD_ARGUMENT`. */
export function clientIdsAt(where: string, ids: Names): readonly ClientId[] {
  assertList(where, ids);
  return idList(ids);
}

/** One or several uids or groups. @throws {GateError} `BAD_ARGUMENT`. */
export function namesAt(where: string, what: string, names: Names): readonly string[] {
  assertList(where, names);
  return nameList(what, names);
}

/** A message, checked and encoded. @throws {GateError} `BAD_ARGUMENT`. */
export function messageAt(where: string, topic: string, body: unknown): ReturnType<typeof encodeMessage> {
  if (typeof topic !== 'string') throw wrong(where, 'a string such as "chat/said"', topic);
  return encodeMessage(topic, body);
}

/**
 * Checks what stands where options do.
 * @throws {GateError} `BAD_ARGUMENT` for what is no plain object, and for unknown options: with a misspelt `exclude`, or with `clientIds`
 * where that is none, the push would go to others too.
 */
export function assertOptionsAt(
  where: string,
  options: BroadcastOptions | undefined | null,
  known = SEND_OPTIONS,
): void {
  if (options === undefined || options === null) return;
  if (Array.isArray(options)) {
    throw wrong(where, 'an object; clients that do not get the push are its option "exclude"', options);
  }
  // A Set or a promise would look like options that say nothing.
  if (Object.prototype.toString.call(options) !== '[object Object]') {
    throw wrong(where, 'an object, such as { confirm: true }', options);
  }
  assertKnownOptions(where, options, known);
}

/** Whether an argument is options, and not one of the lists of ids that may stand in its place. */
export function isOptions<O extends object>(value: O | readonly ClientId[] | undefined): value is O {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Checks that nothing follows the options. `position` is that of the first of `rest`. @throws {GateError} `BAD_ARGUMENT`. */
export function assertLast(method: string, position: number, ...rest: readonly unknown[]): void {
  const at = rest.findIndex(value => value !== undefined);
  if (at < 0) return;
  const given = kindOf(rest[at]);
  throw new GateError(
    'BAD_ARGUMENT',
    `${method}: argument ${position - 1} is the options, which stand last, but ${given} follows as argument ${position + at}`,
  );
}

/** The clients that do not get a push, said in either way. @throws {GateError} `BAD_ARGUMENT`. */
export function excludedAt(
  where: string,
  ids: Names | undefined,
  options: SendOptions | undefined | null,
): readonly ClientId[] | undefined {
  const byArgument = ids === undefined ? undefined : clientIdsAt(where, ids);
  const exclude = options?.exclude;
  if (exclude === undefined) return byArgument;
  const byOption = clientIdsAt('The option exclude', exclude);
  return byArgument ? idList([...byArgument, ...byOption]) : byOption;
}

/** Ids without those that are excluded. */
export function without(ids: readonly ClientId[], excluded: readonly ClientId[] | undefined): readonly ClientId[] {
  if (excluded === undefined) return ids;
  const out = new Set(excluded);
  return ids.filter(id => !out.has(id));
}

function assertList(where: string, value: unknown): void {
  if (typeof value !== 'string' && !Array.isArray(value)) throw wrong(where, LIST, value);
}

function wrong(where: string, expected: string, value: unknown): GateError {
  return new GateError('BAD_ARGUMENT', `${where} must be ${expected}, but ${kindOf(value)} was given`);
}
