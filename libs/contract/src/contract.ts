import { type AnyEntry, type ContractEntry, type EntryKind, GateError, isTopic } from '@nestgate/protocol';
import type { EntryDraft } from './entries.js';

/** Entries without topics, by name. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Drafts = Readonly<Record<string, EntryDraft<EntryKind, string | undefined, any>>>;

/** The topic of an entry: its own, or the prefix with its key. */
export type TopicFor<P extends string, K extends string, T> = T extends string ? T : `${P}/${K}`;

/** A contract: entries by name. */
export type Contract<P extends string, D extends Drafts> = {
  readonly [K in keyof D & string]: ContractEntry<
    D[K]['kind'],
    TopicFor<P, K, D[K]['topic']>,
    NonNullable<D[K]['~types']>
  >;
};

/**
 * Defines topics once, for the handlers, the pushes and the clients. The topic of an entry is the prefix, a slash and its key; an entry
 * may name another topic.
 *
 * ```ts
 * export const chat = contract('chat', {
 *   say: request({ body: z.object({ room: z.string(), text: z.string() }), reply: type<{ delivered: number }>(), errors: ['NOT_MEMBER'] }),
 *   said: push({ body: type<{ room: string; from: string; text: string }>() }),
 * });
 * ```
 *
 * @throws {GateError} `BAD_TOPIC` for a prefix or key that makes no topic, `BAD_ARGUMENT` for two entries with one topic.
 */
export function contract<const P extends string, D extends Drafts>(prefix: P, drafts: D): Contract<P, D> {
  const entries: Record<string, AnyEntry> = {};
  const byTopic = new Map<string, string>();
  for (const [key, draft] of Object.entries(drafts)) {
    const topic = draft.topic ?? `${prefix}/${key}`;
    if (!isTopic(topic)) {
      throw new GateError('BAD_TOPIC', `contract(${JSON.stringify(prefix)}): ${JSON.stringify(topic)} is not a topic`);
    }
    const other = byTopic.get(topic);
    if (other !== undefined) {
      throw new GateError(
        'BAD_ARGUMENT',
        `contract(${JSON.stringify(prefix)}): ${other} and ${key} have the same topic '${topic}'`,
      );
    }
    byTopic.set(topic, key);
    entries[key] = Object.freeze({ ...draft, topic });
  }
  return Object.freeze(entries) as unknown as Contract<P, D>;
}

/**
 * A part of a contract, for an app that handles only some of its entries: `contracts: [pick(chat, 'say', 'typing')]`.
 * @throws {GateError} `BAD_ARGUMENT` for a name that the contract does not have.
 */
export function pick<C extends object, K extends keyof C & string>(from: C, ...names: readonly K[]): Pick<C, K> {
  const part: Partial<Pick<C, K>> = {};
  for (const name of names) {
    if (!Object.hasOwn(from, name)) throw new GateError('BAD_ARGUMENT', `pick(): the contract has no entry "${name}"`);
    part[name] = from[name];
  }
  return Object.freeze(part) as Pick<C, K>;
}
