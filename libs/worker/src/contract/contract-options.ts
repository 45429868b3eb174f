import { kindOf } from '@nestgate/link/internal';
import { type AnyContract, type AnyEntry, GateError, isTopic } from '@nestgate/protocol';

/** What is validated. */
export interface ContractChecks {
  /** Bodies that clients send. */
  readonly bodies: boolean;
  /** Replies of handlers, and pushes. */
  readonly results: boolean;
}

const MODES = ['in', 'both', 'off'] as const;

/** What to validate: {@link ContractOptions.validate}. */
export type ValidateMode = (typeof MODES)[number];

/** Options of an app that have to do with contracts. */
export interface ContractOptions {
  /**
   * The contracts of this app (`@nestgate/contract`). An entry that clients send and no `@OnTopic` method handles stops the start; for a
   * part of a contract use `pick(contract, …)`. Pushes of these contracts are checked where `validate` says so.
   * @defaultValue none
   */
  readonly contracts?: readonly AnyContract[] | undefined;
  /**
   * Whether a handler whose topic is in none of the `contracts`, or that names its topic as a string, stops the start.
   * @defaultValue false
   */
  readonly strict?: boolean | undefined;
  /**
   * What is validated by the schemas of contracts: `'in'`, the bodies that clients send; `'both'`, also replies, and pushes of
   * `contracts`; `'off'`, nothing.
   * @defaultValue 'in' where `NODE_ENV` is `production`, else 'both'
   */
  readonly validate?: ValidateMode | undefined;
}

/** What the options say, or their default: replies and pushes too, unless `NODE_ENV` is `production`. */
export function contractChecks({ validate }: ContractOptions): ContractChecks {
  const mode = validate ?? (process.env['NODE_ENV'] === 'production' ? 'in' : 'both');
  return { bodies: mode !== 'off', results: mode === 'both' };
}

/** The entries of the contracts of an app, by topic. */
export function contractEntries(contracts: readonly AnyContract[] = []): ReadonlyMap<string, AnyEntry> {
  return new Map(contracts.flatMap(contract => Object.values(contract).map(entry => [entry.topic, entry])));
}

/** Checks the options that have to do with contracts. @throws {GateError} `BAD_ARGUMENT`. */
export function checkContractOptions(what: string, { contracts, strict, validate }: ContractOptions): void {
  if (validate !== undefined && !MODES.includes(validate)) {
    throw new GateError('BAD_ARGUMENT', `${what}: option validate must be 'in', 'both' or 'off'`);
  }
  if (strict !== undefined && typeof strict !== 'boolean') {
    throw new GateError(
      'BAD_ARGUMENT',
      `${what}: option strict must be true or false, but ${kindOf(strict)} was given`,
    );
  }
  if (contracts === undefined) {
    if (strict) throw new GateError('BAD_ARGUMENT', `${what}: option strict needs the option contracts`);
    return;
  }
  if (!Array.isArray(contracts)) {
    throw new GateError(
      'BAD_ARGUMENT',
      `${what}: option contracts must be an array of contracts, but ${kindOf(contracts)} was given`,
    );
  }
  const topics = new Set<string>();
  for (const [at, contract] of (contracts as readonly unknown[]).entries()) {
    for (const entry of entriesOf(contract, `${what}: option contracts[${at}]`)) {
      if (topics.has(entry.topic)) {
        throw new GateError('BAD_ARGUMENT', `${what}: option contracts has the topic '${entry.topic}' twice`);
      }
      topics.add(entry.topic);
    }
  }
}

function entriesOf(contract: unknown, where: string): readonly AnyEntry[] {
  if (typeof contract !== 'object' || contract === null) {
    throw new GateError('BAD_ARGUMENT', `${where} must be a contract, but ${kindOf(contract)} was given`);
  }
  for (const [key, entry] of Object.entries(contract as Record<string, Partial<AnyEntry> | undefined>)) {
    if (typeof entry?.kind === 'string' && isTopic(entry.topic)) continue;
    throw new GateError('BAD_ARGUMENT', `${where}.${key} is no entry of a contract: make it with contract()`);
  }
  return Object.values(contract as AnyContract);
}
