import {
  type ArgsOf,
  type MessageArgs,
  type ResultOf,
  sessionContract,
  type SessionContract,
} from '@nestgate/link/internal';

/** Not for services: what nodes need among themselves, and pages, which are none before `GatewayApi` has joined them. */
const INTERNAL = ['sync', 'clientIdPage', 'uidPage', 'groupPage'] as const satisfies readonly (keyof SessionContract)[];

/** What a `GateClientProxy` can be asked for: the session operations of gates, by name. */
export type GatePattern = Exclude<keyof SessionContract, (typeof INTERNAL)[number]>;

/** An argument as callers give it: one name where a list is wanted, and a message with a body of any kind. */
type GivenField<V> = V extends readonly string[]
  ? string | V
  : V extends MessageArgs
    ? { readonly topic: string; readonly body?: unknown }
    : V;

type GivenFields<A> = {
  readonly [F in keyof A as F extends 'body' ? never : F]: GivenField<A[F]>;
} & ('body' extends keyof A ? { readonly body?: unknown } : unknown);

/** Arguments as callers give them; the `body` of a message is any value, which is encoded for them. */
type Given<A> = A extends object ? { [F in keyof GivenFields<A>]: GivenFields<A>[F] } : Readonly<Record<string, never>>;

/** The arguments and the result of every pattern. */
export type GatePatterns = {
  readonly [K in GatePattern]: {
    readonly args: Given<ArgsOf<SessionContract[K]>>;
    readonly result: ResultOf<SessionContract[K]>;
  };
};

/** The names of all patterns. */
export const GATE_PATTERNS: readonly GatePattern[] = Object.freeze(
  Object.keys(sessionContract).filter((name): name is GatePattern => !(INTERNAL as readonly string[]).includes(name)),
);

/** Whether this is the name of a pattern. */
export function isPattern(name: unknown): name is GatePattern {
  return (GATE_PATTERNS as readonly unknown[]).includes(name);
}
