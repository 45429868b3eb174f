import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { HTTP_SCOPES, type HttpScope } from './http-operations.js';

/** A key of the HTTP API. Only its hash is configured, so that the configuration discloses no key. */
export interface HttpKey {
  /** What logs call it: 1–64 of `[A-Za-z0-9_.-]`. */
  readonly name: string;
  /** SHA-256 of the key, 64 hexadecimal digits: `printf %s "$KEY" | sha256sum`. */
  readonly sha256: string;
  /** What it may do. */
  readonly scopes: readonly HttpScope[];
  /** The key is refused from then on, in milliseconds since the epoch. @defaultValue never */
  readonly expiresAt?: number | undefined;
}

/** Options of {@link GatewayHttpModule}. */
export interface GatewayHttpOptions {
  /**
   * Who may call: `Authorization: Bearer <key>`. Without keys and without a `guard` the API works on loopback only: the start is refused
   * when the app listens on another address.
   * @defaultValue none
   */
  readonly keys?: readonly HttpKey[] | undefined;
  /** Requests in flight at most; above that they are answered with 429. @defaultValue 256 */
  readonly maxConcurrent?: number | undefined;
  /** Time for the body of a request to arrive, in milliseconds; then it is answered with 408. @defaultValue 10000 */
  readonly bodyTimeout?: number | undefined;
}

/** What stands beside the options of {@link GatewayHttpModule}; with `forRootAsync` beside the factory. */
export interface GatewayHttpExtras {
  /** Where the API is. @defaultValue '/nestgate/v1' */
  readonly path?: string | undefined;
  /** A guard of the application, which each request has to pass, beside the keys if there are any. It permits all scopes. */
  readonly guard?: Type<CanActivate> | undefined;
  /** Modules whose exports the guard needs, and the one with `GatewayApi` where that is not global. */
  readonly imports?: NonNullable<ModuleMetadata['imports']> | undefined;
}

/** Options with their defaults. */
export type ResolvedHttpOptions = Required<GatewayHttpOptions>;

export const HTTP_EXTRAS = optionKeys<GatewayHttpExtras>({ path: true, guard: true, imports: true });
const KEYS = optionKeys<GatewayHttpOptions>({ keys: true, maxConcurrent: true, bodyTimeout: true });
const KEY_KEYS = optionKeys<HttpKey>({ name: true, sha256: true, scopes: true, expiresAt: true });
const MODULE = 'GatewayHttpModule';
export const DEFAULT_HTTP_PATH = '/nestgate/v1';
const MAX_KEYS = 1_000;
const MAX_CONCURRENT = 100_000;
const MAX_BODY_TIMEOUT_MS = 600_000;

/** Checks options, and adds the defaults. @throws {GateError} `BAD_ARGUMENT` that names the key, and what is allowed. */
export function resolveHttpOptions(options: GatewayHttpOptions): ResolvedHttpOptions {
  assertKnownOptions(MODULE, options, [...KEYS, ...HTTP_EXTRAS]);
  const { keys = [], maxConcurrent = 256, bodyTimeout = 10_000 } = options;
  if (!Array.isArray(keys)) refuse('keys', 'an array', kindOf(keys));
  if (keys.length > MAX_KEYS) refuse('keys', `at most ${MAX_KEYS}`, String(keys.length));
  for (const [index, key] of keys.entries()) checkKey(`keys[${index}]`, key);
  const names = new Set(keys.map(({ name }) => name));
  if (names.size < keys.length) refuse('keys', 'keys with different names', 'a name twice');
  checkInteger('maxConcurrent', maxConcurrent, MAX_CONCURRENT);
  checkInteger('bodyTimeout', bodyTimeout, MAX_BODY_TIMEOUT_MS);
  return Object.freeze({ keys, maxConcurrent, bodyTimeout });
}

/** Checks the path of the API. @throws {GateError} `BAD_ARGUMENT`. */
export function checkHttpPath(path: unknown): asserts path is string {
  // No characters that routers give a meaning.
  if (typeof path === 'string' && /^(\/[A-Za-z0-9_.~-]+)+$/.test(path) && !path.includes('/..')) return;
  refuse('path', 'a path such as "/nestgate/v1", without a slash at its end', JSON.stringify(path));
}

function checkKey(where: string, key: unknown): asserts key is HttpKey {
  assertKnownOptions(MODULE, key, KEY_KEYS, `${where}.`);
  const { name, sha256, scopes, expiresAt } = key as Partial<Record<keyof HttpKey, unknown>>;
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name)) {
    refuse(`${where}.name`, '1 to 64 letters, digits, "_", "." and "-"', kindOf(name));
  }
  // Never its value: it might be the key itself.
  if (typeof sha256 !== 'string' || !/^[\da-f]{64}$/i.test(sha256)) {
    refuse(`${where}.sha256`, '64 hexadecimal digits: the SHA-256 of the key', 'something else');
  }
  const known: readonly unknown[] = HTTP_SCOPES;
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every(scope => known.includes(scope))) {
    refuse(`${where}.scopes`, `an array of ${HTTP_SCOPES.join(', ')}`, kindOf(scopes));
  }
  if (expiresAt !== undefined && !(typeof expiresAt === 'number' && expiresAt >= 0)) {
    refuse(`${where}.expiresAt`, 'milliseconds since the epoch', kindOf(expiresAt));
  }
}

function checkInteger(key: string, value: unknown, max: number): void {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= max) return;
  refuse(key, `an integer from 1 to ${max}`, typeof value === 'number' ? String(value) : kindOf(value));
}

function refuse(key: string, allowed: string, given: string): never {
  throw new GateError('BAD_ARGUMENT', `${MODULE}: option ${key} must be ${allowed}, but ${given} was given`);
}
