import type { JsonValue } from '@nestgate/link';
import fc from 'fast-check';
import { GATES, NAMES } from './gateway-stage-support.js';

/**
 * What may happen, as data. A number stands for a client that is there at that moment, one that was, or none
 * (`GatewayStage.pick`), so that any part of a run is a run too.
 */
export interface Operations {
  connect: { gate: number };
  leave: { who: number; politely: boolean };
  restart: { gate: number };
  bind: { who: number[]; uid: string };
  unbind: { who: number[]; uid: string };
  join: { who: number[]; groups: string[] };
  quit: { who: number[]; groups: string[] };
  ungroup: { groups: string[] };
  replace: { who: number; settings: Record<string, JsonValue> };
  update: { who: number; settings: Record<string, JsonValue>; deep: boolean };
  close: { who: number[]; alone: boolean; words: boolean };
  destroy: { who: number[]; alone: boolean };
  push: { pushes: Push[]; awaited: boolean };
}

export type OperationKind = keyof Operations;
export type Operation = { [K in OperationKind]: { readonly kind: K } & Readonly<Operations[K]> }[OperationKind];

/** A push of any kind, with all that may be said about who gets it. */
export interface Push {
  readonly to: 'one' | 'several' | 'all' | 'uid' | 'group';
  readonly who: readonly number[];
  readonly names: readonly string[];
  /** A single name stands for itself, and not for a list of one. */
  readonly alone: boolean;
  /** For `all`: only those of `who`. */
  readonly only: boolean;
  readonly excludeIds: readonly number[] | null;
  readonly exclude: readonly number[] | null;
  readonly confirm: boolean;
}

const gate = fc.nat(GATES - 1);
const ref = fc.nat(9_999);
const refs = fc.array(ref, { minLength: 1, maxLength: 4 });
const name = fc.constantFrom(...NAMES);
const names = fc.array(name, { minLength: 1, maxLength: 3 });
const someRefs = fc.option(fc.array(ref, { maxLength: 3 }), { freq: 2 });

/** Few enough that a session stays below its limit whatever is merged into it. */
const settingKey = fc.constantFrom(...NAMES.slice(4, 12));
const leaf = fc.constantFrom<JsonValue>(null, true, 0, -1.5, '', 'text', '🦊', [1, [2]], {});
const settingsOf = (value: fc.Arbitrary<JsonValue>) =>
  fc.array(fc.tuple(settingKey, value), { maxLength: 3 }).map(entries => Object.fromEntries(entries));
const settings = settingsOf(fc.oneof(leaf, settingsOf(fc.oneof(leaf, settingsOf(leaf)))));

const push: fc.Arbitrary<Push> = fc.record({
  to: fc.constantFrom('one', 'several', 'all', 'uid', 'group'),
  who: fc.array(ref, { minLength: 1, maxLength: 5 }),
  names: fc.array(name, { minLength: 1, maxLength: 6 }),
  alone: fc.boolean(),
  only: fc.boolean(),
  excludeIds: someRefs,
  exclude: someRefs,
  confirm: fc.boolean(),
});

/** One kind of operation, and how often it comes. */
function kind<K extends OperationKind>(
  weight: number,
  kindName: K,
  fields: { readonly [F in keyof Operations[K]]: fc.Arbitrary<Operations[K][F]> },
): fc.WeightedArbitrary<Operation> {
  const model = { kind: fc.constant(kindName), ...fields } as Record<string, fc.Arbitrary<unknown>>;
  return { weight, arbitrary: fc.record(model) as fc.Arbitrary<unknown> as fc.Arbitrary<Operation> };
}

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  kind(28, 'connect', { gate }),
  kind(6, 'leave', { who: ref, politely: fc.boolean() }),
  kind(1, 'restart', { gate }),
  kind(24, 'bind', { who: refs, uid: name }),
  kind(12, 'unbind', { who: refs, uid: name }),
  kind(28, 'join', { who: refs, groups: names }),
  kind(12, 'quit', { who: refs, groups: names }),
  kind(4, 'ungroup', { groups: names }),
  kind(8, 'replace', { who: ref, settings }),
  kind(16, 'update', { who: ref, settings, deep: fc.boolean() }),
  kind(4, 'close', { who: refs, alone: fc.boolean(), words: fc.boolean() }),
  kind(4, 'destroy', { who: refs, alone: fc.boolean() }),
  kind(60, 'push', { pushes: fc.array(push, { minLength: 1, maxLength: 4 }), awaited: fc.boolean() }),
);
