import { type Codec, sessionContract, codeOf } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { FIELDS, recordOf } from './gate-fields.js';
import { GATE_PATTERNS, type GatePattern, isPattern } from './gate-patterns.js';

/** Questions that have an answer when the client is gone; all else rejects with `SESSION_NOT_FOUND` then. */
const WHEN_GONE: ReadonlyMap<GatePattern, unknown> = new Map([['connected', false]]);

/** One call, checked and ready to be sent. */
export interface GateCall {
  readonly pattern: GatePattern;
  /** The arguments as the caller gave them. */
  readonly given: unknown;
  /** The arguments as the link carries them. */
  readonly args: unknown;
  /** Whether it can be sent without waiting for its outcome. */
  readonly canCast: boolean;
}

/**
 * Checks what a call is given.
 * @throws {GateError} `BAD_ARGUMENT` for an unknown pattern (its details list what is `allowed`), for arguments that the
 * operation does not have, and for values that it cannot take.
 */
export function prepareCall(pattern: unknown, data: unknown): GateCall {
  if (!isPattern(pattern)) {
    const name = typeof pattern === 'string' ? JSON.stringify(pattern.slice(0, 64)) : typeof pattern;
    throw new GateError('BAD_ARGUMENT', `Unknown pattern ${name}; allowed: ${GATE_PATTERNS.join(', ')}`, {
      allowed: GATE_PATTERNS,
    });
  }
  const { args, reply } = sessionContract[pattern];
  try {
    return { pattern, given: data, args: takeFields(args.fields ?? {}, data), canCast: reply === 'optional' };
  } catch (error) {
    // Also what a getter or a toJSON of the caller throws.
    const why = error instanceof Error ? error.message : 'its arguments cannot be read';
    throw new GateError('BAD_ARGUMENT', `${pattern}: ${why}`);
  }
}

/** The outcome of a call, with the answer that a question has when the client is gone. */
export async function settleGone(pattern: GatePattern, outcome: Promise<unknown>): Promise<unknown> {
  try {
    return await outcome;
  } catch (error) {
    if (WHEN_GONE.has(pattern) && codeOf(error) === 'SESSION_NOT_FOUND') return WHEN_GONE.get(pattern);
    throw error;
  }
}

function takeFields(fields: Readonly<Record<string, Codec<unknown>>>, data: unknown): Record<string, unknown> {
  const given = recordOf('The data', data);
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(fields, name)) continue;
    const known = Object.keys(fields).join(', ') || 'nothing';
    throw new GateError('BAD_ARGUMENT', `it does not take ${JSON.stringify(name.slice(0, 64))}, but ${known}`);
  }
  const args: Record<string, unknown> = {};
  for (const [name, { isOptional }] of Object.entries(fields)) {
    const value = given[name];
    if (value !== undefined || !isOptional) args[name] = takeField(name as keyof typeof FIELDS, value);
  }
  return args;
}

function takeField(name: keyof typeof FIELDS, value: unknown): unknown {
  try {
    return FIELDS[name](value);
  } catch (error) {
    throw error instanceof GateError ? new GateError('BAD_ARGUMENT', `${name}: ${error.message}`) : error;
  }
}
