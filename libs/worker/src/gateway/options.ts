import type { ClientId, NodeId } from '@nestgate/link';

/** Events of applications that declare none: any topics and bodies. */
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

/** Whether a client is connected, has only a session that is kept for it, or is gone. */
export type ClientState = 'online' | 'away' | 'gone';

/** The missing part of a partial answer. */
export interface Missing {
  /** The ids of the gates that did not answer, or are unreachable. */
  readonly missing: readonly NodeId[];
}

/** Options of calls that wait for gates. */
export interface WaitOptions {
  /** Time limit for the answers of the gates, in milliseconds. @defaultValue 5000 */
  readonly deadlineMs?: number | undefined;
}

/** Options of a query to all gates. */
export interface QueryOptions extends WaitOptions {
  /**
   * Behaviour when a gate does not answer: `reject` with `PARTIAL_RESULT` (details `{result, missing}`), or `allow`: resolve
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
 * Result of a query: the answer itself, or with `partial: 'allow'` `{ result, missing }`. Where the type of the options leaves
 * open which, it is either of them.
 */
export type Answer<T, O> = When<O, 'partial', 'allow', { readonly result: T } & Missing, T>;

/** Options of a push. */
export interface SendOptions extends QueryOptions {
  /**
   * `true`: waits for the gates and resolves with for how many clients the push was queued. `'received'`: waits until these clients have
   * acknowledged it, at most `deadlineMs`, and resolves with how many have. Only clients whose session the gate keeps (option `resume`)
   * acknowledge; others count as `delivered` and are not waited for. Without it a push is not confirmed.
   */
  readonly confirm?: boolean | 'received' | undefined;
  /** Clients that do not receive the push. */
  readonly exclude?: string | readonly string[] | undefined;
}

/** Options of a confirmed push. */
export type Confirm = SendOptions & { readonly confirm: true };

/** Options of a push to all clients. */
export interface BroadcastOptions extends SendOptions {
  /** Only these clients receive it; with an empty list none. @defaultValue all clients */
  readonly clientIds?: readonly ClientId[] | undefined;
}

/** Result of a confirmed push: the number of clients it was queued for; with `partial: 'allow'` also the missing gates. */
export type Delivery<O = unknown> = When<
  O,
  'partial',
  'allow',
  { readonly delivered: number } & Missing,
  { readonly delivered: number }
>;

/**
 * Result of a push with `confirm: 'received'`: for how many clients it was queued, and how many of them have acknowledged it in time; with
 * `partial: 'allow'` also the missing gates.
 */
export type Receipt<O = unknown> = When<
  O,
  'partial',
  'allow',
  { readonly delivered: number; readonly received: number } & Missing,
  { readonly delivered: number; readonly received: number }
>;

/** What a push without `confirm: true` resolves with. */
type Received<O> = When<O, 'confirm', 'received', Receipt<O>, void>;

/** What a push to several clients resolves with: nothing, or with `confirm` its result. */
export type PushOutcome<O> = When<O, 'confirm', true, Delivery<O>, Received<O>>;

/**
 * What a push to one client resolves with: nothing, with `confirm: true` whether the client was connected, or with `confirm: 'received'` the
 * same as a push to several.
 */
export type SingleOutcome<O> = When<O, 'confirm', true, Answer<boolean, O>, Received<O>>;

/** Start and size of a page. */
export interface PageOptions extends QueryOptions {
  /** The `cursor` of the previous page; `undefined` for the first one. */
  readonly cursor?: string | undefined;
  /** Items at most, 1 to 10000. @defaultValue 1000 */
  readonly limit?: number | undefined;
}

/**
 * A page of a sorted list. A cursor stays valid when items are added or removed: an item that exists during the whole iteration is
 * listed exactly once.
 */
export interface Page<T> {
  readonly items: T;
  /** Start of the next page; `undefined` after the last one. */
  readonly cursor: string | undefined;
}
