import type { NodeId } from '@nestgate/link';

/** Topics and the bodies pushed on them, for applications that declare none. */
export type AnyEvents = Record<string, unknown>;

/** The topics of declared events. */
export type TopicOf<E> = Extract<keyof E, string>;

/** The body of a push, and what may follow it. A body that may be `undefined` may be left out. */
export type PushArgs<B, O extends unknown[]> = undefined extends B ? [body?: B, ...O] : [body: B, ...O];

/** What an answer lacks when some gates have not given theirs. */
export interface Missing {
  /** The ids of the gates that did not answer, or are out of reach. */
  readonly missing: readonly NodeId[];
}

/** Options of whatever waits for gates. */
export interface WaitOptions {
  /** How long to wait for the gates, in milliseconds. @defaultValue 5000 */
  readonly deadlineMs?: number;
}

/** Options of a question to all gates. */
export interface QueryOptions extends WaitOptions {
  /**
   * What to do when a gate does not answer: `reject` with `PARTIAL_RESULT` (details `{result, missing}`), or `allow`: resolve
   * with `{result, missing}`, always. @defaultValue 'reject'
   */
  readonly partial?: 'reject' | 'allow';
}

/** What a question resolves with. */
export type Answer<T, O> = O extends { readonly partial: 'allow' } ? { readonly result: T } & Missing : T;

/** Options of a push. */
export interface SendOptions extends QueryOptions {
  /** Wait for the gates and resolve with what happened. Without it a push is sent and not waited for. */
  readonly confirm?: boolean;
  /** Clients that do not get it. */
  readonly exclude?: string | readonly string[];
}

/** A push whose outcome the caller wants to know. */
export type Confirm = SendOptions & { readonly confirm: true };

/** What became of a confirmed push: for how many clients it was queued; with `partial: 'allow'` also who did not say. */
export type Delivery<O = unknown> = { readonly delivered: number } & (O extends { readonly partial: 'allow' }
  ? Missing
  : unknown);

/** Where a page begins, and how long it is. */
export interface PageOptions extends QueryOptions {
  /** The `cursor` of the page before; nothing for the first one. */
  readonly cursor?: string;
  /** Items at most, 1 to 10000. @defaultValue 1000 */
  readonly limit?: number;
}

/**
 * A page of a list. Pages are ordered by the items themselves, so a cursor stays valid whatever comes and goes: what is
 * there all the time is listed exactly once.
 */
export interface Page<T> {
  readonly items: T;
  /** Where the next page begins; `undefined` after the last one. */
  readonly cursor: string | undefined;
}
