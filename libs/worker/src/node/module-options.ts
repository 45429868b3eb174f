import { assertKnownOptions, kindOf } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';

/** What `forRootAsync` of a module takes, beside the extras of that module. */
const ASYNC_KEYS = ['imports', 'inject', 'useFactory', 'useClass', 'useExisting', 'provideInjectionTokensFrom'];
/** One of these gives the options. */
const SOURCES = ['useFactory', 'useClass', 'useExisting'];

/**
 * Checks what `forRootAsync` was called with: a misspelt key would give an app without options.
 * @throws {GateError} `BAD_ARGUMENT`.
 */
export function checkAsyncOptions(what: string, options: object, extras: readonly string[]): void {
  const name = `${what}.forRootAsync`;
  assertKnownOptions(name, options, [...ASYNC_KEYS, ...extras]);
  if (SOURCES.some(key => (options as Record<string, unknown>)[key] !== undefined)) return;
  throw new GateError('BAD_ARGUMENT', `${name}: one of ${SOURCES.join(', ')} is needed`);
}

/** Checks that `forRoot` was given an object; its keys are checked at the start. @throws {GateError} `BAD_ARGUMENT`. */
export function checkOptions(what: string, options: unknown): void {
  if (typeof options === 'object' && options !== null) return;
  throw new GateError('BAD_ARGUMENT', `${what}: the options must be an object, but ${kindOf(options)} was given`);
}

/**
 * Checks that options which a factory has given hold no extras: those stand beside the factory, and would do nothing here.
 * @throws {GateError} `BAD_ARGUMENT`.
 */
export function checkNoExtras(what: string, options: unknown, extras: readonly string[]): void {
  if (typeof options !== 'object' || options === null) return;
  const key = extras.find(extra => Object.hasOwn(options, extra));
  if (key === undefined) return;
  throw new GateError('BAD_ARGUMENT', `${what}: "${key}" stands beside useFactory, not in the options that it gives`);
}
