import type { Codec } from './codec.js';

/**
 * Where an operation goes:
 * `owner`: to the gate that owns the `clientId` of the arguments;
 * `owners`: to each gate that owns some of the `clientIds`, with its share of them;
 * `all-gates`: to every gate, the answers merged;
 * `node`: to one node that the caller names.
 */
export type Target = 'owner' | 'owners' | 'all-gates' | 'node';

/** Whether the caller waits: always, only when it wants to, or never. */
export type ReplyRule = 'required' | 'optional' | 'never';

/**
 * A function of one entry that a table of unknown entries may be asked for: as for methods, and other than for properties, its arguments
 * are not compared when entries are. A property, because one that is `undefined` must be allowed with `exactOptionalPropertyTypes`.
 */
type Method<A extends unknown[], R> = { method(...args: A): R }['method'];

/** One entry of an operations table. */
export interface Operation<A, R, T extends Target = Target, P extends ReplyRule = ReplyRule> {
  /** Stands for the operation on the link. Never reused, so that neighbouring versions understand each other. */
  readonly id: number;
  readonly to: T;
  readonly reply: P;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
  /**
   * The channel whose gates are all that a message with these arguments is for; `undefined` when it is for every gate. For
   * messages that nobody waits for: an answer is wanted from every gate.
   */
  readonly channel?: Method<[args: A], string | undefined> | undefined;
  /** True where an answer is not whole without the gates that were lost within a minute: they may have their clients still. */
  readonly namesLost?: boolean | undefined;
  /** True for questions: neither they nor their answers wait behind what else is on its way. */
  readonly urgent?: boolean | undefined;
  /** True when its requests may wait up to a millisecond for others, on links where that makes them cheaper. */
  readonly lingers?: boolean | undefined;
  /**
   * True for a message without an answer that the receiver must not miss unseen, as the items of a stream: when it is refused, the receiver
   * sees a gap.
   */
  readonly leavesGap?: boolean | undefined;
  /** Joins the answers of several gates. */
  readonly merge?: Method<[one: R, other: R], R> | undefined;
  /** The answer of a cluster without gates, and the start of every merge. */
  readonly empty?: Method<[], R> | undefined;
}

/** A table of operations: name → entry. */
export type Contract = Readonly<Record<string, Operation<unknown, unknown>>>;

export type ArgsOf<O> = O extends Operation<infer A, infer _R> ? A : never;
export type ResultOf<O> = O extends Operation<infer _A, infer R> ? R : never;

/** How the answers of several gates become one. */
export interface Merge<R> {
  readonly merge: (one: R, other: R) => R;
  readonly empty: () => R;
}

export const sum: Merge<number> = { merge: (one, other) => one + other, empty: () => 0 };
export const any: Merge<boolean> = { merge: (one, other) => one || other, empty: () => false };

/** Takes one of several answers to the same question. */
export function first<T>(): Merge<T> {
  return {
    merge: one => one,
    empty: () => {
      throw new Error('There is no empty answer');
    },
  };
}

/** Joins lists; with `distinct`, what stands in several of them is kept once. */
export function concat<T>(distinct = false): Merge<readonly T[]> {
  return {
    merge: (one, other) => (distinct ? [...new Set([...one, ...other])] : [...one, ...other]),
    empty: () => [],
  };
}

/** Joins records of lists or counts key by key. */
export function mergeRecords<T>(inner: Merge<T>): Merge<Record<string, T>> {
  return {
    merge(one, other) {
      // A Map between the two: keys are free text, `__proto__` included.
      const merged = new Map<string, T>(Object.entries(one));
      for (const [key, value] of Object.entries(other)) {
        const known = merged.get(key);
        merged.set(key, known === undefined ? value : inner.merge(known, value));
      }
      return Object.fromEntries(merged);
    },
    empty: () => ({}),
  };
}

type OwnerArgs = { readonly clientId: string };
type OwnersArgs = { readonly clientIds: readonly string[] };

/** An operation on the gate that owns one client. */
export function ownerOp<A extends OwnerArgs, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
): Operation<A, R, 'owner', 'required'> {
  return { id, to: 'owner', reply: 'required', args, result };
}

/** A push to a list of clients, split by owner. */
export function ownersOp<A extends OwnersArgs, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
  merge: Merge<R>,
): Operation<A, R, 'owners', 'optional'> {
  return { id, to: 'owners', reply: 'optional', args, result, ...merge };
}

/** A question about a list of clients, split by owner. */
export function ownersQueryOp<A extends OwnersArgs, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
  merge: Merge<R>,
): Operation<A, R, 'owners', 'required'> {
  return { id, to: 'owners', reply: 'required', urgent: true, args, result, ...merge };
}

/** Something that all gates do, and whose outcome is always wanted. */
export function allOp<A, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
  merge: Merge<R>,
): Operation<A, R, 'all-gates', 'required'> {
  return { id, to: 'all-gates', reply: 'required', args, result, ...merge };
}

/** A question to all gates, which changes nothing. */
export function queryOp<A, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
  merge: Merge<R>,
): Operation<A, R, 'all-gates', 'required'> {
  return { ...allOp(id, args, result, merge), urgent: true };
}

/** A question to the gate that owns one client, which changes nothing. */
export function ownerQueryOp<A extends OwnerArgs, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
): Operation<A, R, 'owner', 'required'> {
  return { ...ownerOp(id, args, result), urgent: true };
}

/** A push through all gates, or those of a channel, whose outcome is reported when asked for. */
export function castOp<A, R>(
  id: number,
  args: Codec<A>,
  result: Codec<R>,
  merge: Merge<R>,
  channel?: (args: A) => string | undefined,
): Operation<A, R, 'all-gates', 'optional'> {
  return { id, to: 'all-gates', reply: 'optional', args, result, channel, ...merge };
}

/** An operation on one named node. */
export function nodeOp<A, R, P extends ReplyRule>(
  id: number,
  reply: P,
  args: Codec<A>,
  result: Codec<R>,
): Operation<A, R, 'node', P> {
  return { id, to: 'node', reply, args, result };
}
