import { GateError } from '@nestgate/protocol';
import { closestMatch } from 'leven';

/** Part of a name that may differ for another one to be what was meant; two characters may in any case. */
const NEAR = 0.4;

/** The keys of options, all of them: one that is added to the type, and not here, does not compile. */
export function optionKeys<T extends object>(keys: { readonly [K in keyof T]-?: true }): readonly string[] {
  return Object.freeze(Object.keys(keys));
}

/**
 * Checks that options are an object, and that each of its keys is known: a key that is not would be ignored, and what its writer wanted
 * would silently not happen.
 * @param what Whose options they are, such as `WorkerModule`.
 * @param path What stands before a key in the error: `ws.` for the options under `ws`.
 * @throws {GateError} `BAD_ARGUMENT` that names the key, and the known one that is nearest: `WorkerModule: unknown option "lnik"; did you
 * mean "link"?`. It shows no value: a misspelt `secret` has one too.
 */
export function assertKnownOptions(what: string, options: unknown, known: readonly string[], path = ''): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const name = path === '' ? 'the options' : `option ${path.slice(0, -1)}`;
    throw new GateError('BAD_ARGUMENT', `${what}: ${name} must be an object, but ${kindOf(options)} was given`);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new GateError('BAD_ARGUMENT', `${what}: unknown option "${path}${key}"; ${hint(key, known, path)}`);
  }
}

/** What a value is, for errors that must not show it: `undefined`, `null`, `a string`, `an array`. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function hint(key: string, known: readonly string[], path: string): string {
  const sameLetters = known.find(name => name.toLowerCase() === key.toLowerCase());
  const nearest = sameLetters ?? closestMatch(key, known, { maxDistance: Math.max(2, Math.floor(key.length * NEAR)) });
  if (nearest !== undefined) return `did you mean "${path}${nearest}"?`;
  return `known: ${known.map(name => path + name).join(', ')}`;
}
