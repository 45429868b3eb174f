import type { ClientId, NodeId } from '@nestgate/link';

/** Topics and the bodies pushed on them, for applications that declare none. */
export type AnyEvents = Record<string, unknown>;

/**
 * What declared events must be: any interface or type with topics as keys. `any`, because an interface has no index signature, and is
 * assignable to one of `any` only. It is also what the compiler takes for the events where it cannot know them, as in
 * `app.get(GatewayApi)`: topics and bodies are free then.
 */
// oxlint-disable-next-line typescript/no-explicit-any
export type EventMap = Record<string, any>;

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
  readonly deadlineMs?: number | undefined;
}

/** Options of a question to all gates. */
export interface QueryOptions extends WaitOptions {
  /**
   * What to do when a gate does not answer: `reject` with `PARTIAL_RESULT` (details `{result, missing}`), or `allow`: resolve
   * with `{result, missing}`, always. @defaultValue 'reject'
   */
  readonly partial?: 'reject' | 'allow' | undefined;
}

/** No options: what a call without them is typed by. */
export type NoOptions = object;

/** The type of an option in a type of options; `undefined` where that has none. */
type OptionOf<O, K extends PropertyKey> = O extends unknown ? (K extends keyof O ? O[K] : undefined) : never;

/**
 * `Yes` when the option surely has the value `V`, `No` when it cannot have it, and either of them when only running tells: options in a
 * variable of the type `QueryOptions`, for example.
 */
type When<O, K extends PropertyKey, V, Yes, No> = [OptionOf<O, K>] extends [V]
  ? Yes
  : V extends OptionOf<O, K>
    ? Yes | No
    : No;

/**
 * What a question resolves with: the answer itself, or with `partial: 'allow'` `{ result, missing }`. Where the type of the options leaves
 * open which, it is either of them.
 */
export type Answer<T, O> = When<O, 'partial', 'allow', { readonly result: T } & Missing, T>;

/** Options of a push. */
export interface SendOptions extends QueryOptions {
  /** Wait for the gates and resolve with what happened. Without it a push is sent and not waited for. */
  readonly confirm?: boolean | undefined;
  /** Clients that do not get it. */
  readonly exclude?: string | readonly string[] | undefined;
}

/** A push whose outcome the caller wants to know. */
export type Confirm = SendOptions & { readonly confirm: true };

/** Options of a push to everybody. */
export interface BroadcastOptions extends SendOptions {
  /** Only these clients get it; an empty list is nobody. @defaultValue everybody */
  readonly clientIds?: readonly ClientId[] | undefined;
}

/** What became of a confirmed push: for how many clients it was queued; with `partial: 'allow'` also who did not say. */
export type Delivery<O = unknown> = When<
  O,
  'partial',
  'allow',
  { readonly delivered: number } & Missing,
  { readonly delivered: number }
>;

/** What a push to several clients resolves with: nothing, or with `confirm: true` what became of it. */
export type PushOutcome<O> = When<O, 'confirm', true, Delivery<O>, void>;

/** What a push to one client resolves with: nothing, or with `confirm: true` whether the client was there. */
export type SingleOutcome<O> = When<O, 'confirm', true, Answer<boolean, O>, void>;

/** Where a page begins, and how long it is. */
export interface PageOptions extends QueryOptions {
  /** The `cursor` of the page before; nothing for the first one. */
  readonly cursor?: string | undefined;
  /** Items at most, 1 to 10000. @defaultValue 1000 */
  readonly limit?: number | undefined;
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
