import { codeOf, type Gathered } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { assertWait, nameList } from './arguments.js';
import type { Answer, Page, PageOptions, QueryOptions, WaitOptions } from './options.js';

/** An operation that asks all gates. */
interface Question<A, R> {
  gather(args: A, options?: QueryOptions): Promise<Gathered<R>>;
}

/** Asks all gates, and gives their merged answer its shape. */
export async function ask<A, R, T, O extends QueryOptions | undefined>(
  question: Question<A, R>,
  args: A,
  options: O | undefined,
  shape: (merged: R) => T,
): Promise<Answer<T, O>> {
  assertWait(options);
  const { result: merged, missing } = await question.gather(args, options);
  const result = shape(merged);
  if (options?.partial === 'allow') return { result, missing } as Answer<T, O>;
  if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
  return result as Answer<T, O>;
}

/** Turns `SESSION_NOT_FOUND` into `false`, for questions whose answer that is. */
export function orFalse(answer: Promise<boolean>): Promise<boolean> {
  return orElse(answer, false);
}

/** Turns `SESSION_NOT_FOUND` into `null`. */
export function orNull<T>(answer: Promise<T>): Promise<T | null> {
  return orElse(answer, null);
}

async function orElse<T, F>(answer: Promise<T>, absent: F): Promise<T | F> {
  try {
    return await answer;
  } catch (error) {
    if (codeOf(error) === 'SESSION_NOT_FOUND') return absent;
    throw error;
  }
}

/** Options of a list that comes page by page. */
export interface PagesOptions extends WaitOptions {
  /** Only what is in any of these groups. */
  readonly groups?: string | readonly string[] | undefined;
  /** Items per page, 1 to 10000. @defaultValue 1000 */
  readonly limit?: number | undefined;
}

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;
/** No item is longer, in characters. */
const MAX_CURSOR_LENGTH = 256;

/** What the gates are asked for. */
export interface PageRequest {
  readonly groups: readonly string[] | undefined;
  readonly after: string;
  readonly limit: number;
}

/** @throws {GateError} `BAD_ARGUMENT` for a limit that is none, or a cursor that is no string. */
export function pageRequest(options: (PagesOptions & PageOptions) | undefined): PageRequest {
  const { groups, cursor = '', limit = DEFAULT_LIMIT } = options ?? {};
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new GateError('BAD_ARGUMENT', `A limit must be an integer from 1 to ${MAX_LIMIT}`);
  }
  if (typeof cursor !== 'string' || cursor.length > MAX_CURSOR_LENGTH) {
    throw new GateError('BAD_ARGUMENT', 'A cursor must be what a page has given');
  }
  return { groups: groups === undefined ? undefined : nameList('group', groups), after: cursor, limit };
}

/**
 * The page that begins all gates' pages together: each has given its first items, so the first ones of all are among them.
 * Sorted by code units, as the gates do.
 */
export function nextPage(merged: readonly string[], limit: number): Page<readonly string[]> {
  const items = [...merged].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0)).slice(0, limit);
  return { items, cursor: items.length < limit ? undefined : items.at(-1) };
}

/** What is asked for a page in which no gate may be missing. */
export type WholePage = PagesOptions & Pick<PageOptions, 'cursor'>;

/** Goes through all pages. Each of them must be whole: there is no place to say what would be missing. */
export async function* allPages<P, T>(
  { groups, limit, deadlineMs }: PagesOptions,
  pageAt: (options: WholePage) => Promise<Page<P>>,
  itemsOf: (page: P) => Iterable<T>,
): AsyncIterableIterator<T> {
  let cursor: string | undefined;
  do {
    const page: Page<P> = await pageAt({ groups, limit, deadlineMs, cursor });
    yield* itemsOf(page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
}
