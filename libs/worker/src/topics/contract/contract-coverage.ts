import type { EntryKind } from '@nestgate/protocol';
import { contractEntries, type ContractOptions } from '../../contract/contract-options.js';
import type { ExploredTopic } from '../handler/topic-explorer.js';

/** Names that an error shows. */
const MAX_NAMES = 20;
const SENT_BY_SERVER: ReadonlySet<EntryKind> = new Set(['push', 'call']);

/**
 * Checks the handlers of an app against its contracts.
 * @throws {Error} naming the entries that no method handles; with `strict` also the methods that handle a topic of no contract, or
 * name one as a string, so that neither their types nor their bodies are checked.
 */
export function assertContractsHandled(
  { contracts, strict }: ContractOptions,
  explored: readonly ExploredTopic[],
): void {
  if (!contracts) return;
  const entries = contractEntries(contracts);
  const handled = explored.filter(({ metadata }) => !metadata.isEvent);
  const topics = new Set(handled.map(({ metadata }) => metadata.topic));
  const missing = [...entries.values()].filter(({ kind, topic }) => !SENT_BY_SERVER.has(kind) && !topics.has(topic));
  if (missing.length > 0) {
    throw new Error(
      `No method handles these entries of the contracts: ${namesOf(missing.map(({ topic }) => topic))}. ` +
        'Give each a method with @OnTopic, or list a part of the contract: contracts: [pick(contract, …)]',
    );
  }
  if (!strict) return;
  const foreign = handled.filter(({ metadata }) => !entries.has(metadata.topic));
  if (foreign.length > 0) {
    throw new Error(
      `These methods handle topics of no contract: ${namesOf(foreign.map(describe))}. ` +
        'Add the topics to a contract, or leave out the option strict',
    );
  }
  const untyped = handled.filter(({ metadata }) => metadata.entry === undefined);
  if (untyped.length > 0) {
    throw new Error(
      `These methods name a topic of a contract as a string: ${namesOf(untyped.map(describe))}. ` +
        'Use @OnTopic(contract.entry), which checks types and bodies, or leave out the option strict',
    );
  }
}

function describe({ name, metadata }: ExploredTopic): string {
  return `${name} ('${metadata.topic}')`;
}

function namesOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return `${names.slice(0, MAX_NAMES).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
