import type { ClientId, Settings } from '@nestgate/link';
import { BodyKind, GateError } from '@nestgate/protocol';
import { MAX_RECEIPT_MS, parseJson } from '@nestgate/link/internal';
import { assertName, encodeBody, settingsEntries } from '../message/message.js';
import type { WaitOptions } from './options.js';

/** Most ids, uids or groups that one call takes, and most memberships that it changes. */
export const MAX_TARGETS = 50_000;
/** Longest client id in characters: more than any gate gives out. */
const MAX_CLIENT_ID_LENGTH = 256;
/** Room for one list in bytes of UTF-8: two lists and the largest body must fit into one message of any link. */
const MAX_LIST_BYTES = 6 * 1024 * 1024;
/** What each item of a list takes beside its text. */
const ITEM_OVERHEAD_BYTES = 4;
/** Longest wait in milliseconds: what a timer can hold. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;

/** @throws {GateError} `BAD_ARGUMENT` for what is no text. An id that no gate has given out is fine, and finds nobody. */
export function assertClientId(value: unknown): asserts value is ClientId {
  if (typeof value !== 'string') return refuse('A client id must be a string');
  if (value.length > MAX_CLIENT_ID_LENGTH) return refuse(`A client id has at most ${MAX_CLIENT_ID_LENGTH} characters`);
}

/** One or several client ids as a list. @throws {GateError} `BAD_ARGUMENT`. */
export function idList(value: string | readonly string[]): readonly ClientId[] {
  return listOf('client id', assertClientId, value);
}

/** One or several uids or groups as a checked list. @throws {GateError} `BAD_ARGUMENT`. */
export function nameList(what: string, value: string | readonly string[]): readonly string[] {
  return listOf(what, name => assertName(what, name), value);
}

/** A copy, so that what the caller does with the list later changes nothing. */
function listOf(what: string, check: (item: unknown) => void, value: unknown): readonly string[] {
  if (typeof value === 'string') {
    check(value);
    return [value];
  }
  if (!Array.isArray(value)) return refuse(`A ${what} must be a string, or an array of strings`);
  const given: readonly unknown[] = value;
  assertCount(given.length);
  const items: string[] = [];
  let bytes = 0;
  // By index: an array may have holes, which other ways to go through it pass over.
  for (let i = 0; i < given.length; i++) {
    const item = given[i];
    check(item);
    bytes += Buffer.byteLength(item as string) + ITEM_OVERHEAD_BYTES;
    items.push(item as string);
  }
  if (bytes > MAX_LIST_BYTES) return refuse(`A list of ${bytes} bytes is over the limit of ${MAX_LIST_BYTES}`);
  return items;
}

/** @throws {GateError} `BAD_ARGUMENT` when one call would do more than {@link MAX_TARGETS} things. */
export function assertCount(targets: number): void {
  if (targets > MAX_TARGETS) refuse(`${targets} targets are over the limit of ${MAX_TARGETS} at once`);
}

/**
 * Settings as a session keeps them: a copy, with nothing but JSON in it.
 * @throws {GateError} `BAD_ARGUMENT` as {@link settingsEntries} does, and for settings that are too large.
 */
export function checkedSettings(value: object): Settings {
  const { kind, bytes } = encodeBody(Object.fromEntries(settingsEntries(value)));
  if (kind !== BodyKind.json) return refuse('Settings must be JSON');
  return parseJson<Settings>(Buffer.from(bytes).toString());
}

/** @throws {GateError} `BAD_ARGUMENT` for a deadline that would never come, or has no place in a timer. */
export function assertWait(options: WaitOptions | undefined): void {
  const deadlineMs: unknown = options?.deadlineMs;
  if (deadlineMs === undefined) return;
  if (typeof deadlineMs === 'number' && deadlineMs > 0 && deadlineMs <= MAX_DEADLINE_MS) return;
  refuse(`deadlineMs must be a number of milliseconds, from 1 to ${MAX_DEADLINE_MS}`);
}

/** @throws {GateError} `BAD_ARGUMENT` for more time than gates wait for acknowledgements. */
export function assertReceiptWait(deadlineMs: number): void {
  if (deadlineMs > MAX_RECEIPT_MS)
    refuse(`deadlineMs must be at most ${MAX_RECEIPT_MS} with confirm: 'received', but ${deadlineMs} was given`);
}

/** The answer for one client, or, when there was a list, how many answers are yes. */
export function counted(asked: ClientId | readonly ClientId[], found: readonly boolean[]): boolean | number {
  return typeof asked === 'string' ? found[0] === true : found.filter(Boolean).length;
}

function refuse(why: string): never {
  throw new GateError('BAD_ARGUMENT', why);
}
