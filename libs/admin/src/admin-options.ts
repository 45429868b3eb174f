import type { IncomingMessage } from 'node:http';
import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';

/** Options of {@link AdminModule}. */
export interface AdminOptions {
  /** Whether the page may send, kick, revoke, tap and drain. @defaultValue false */
  readonly actions?: boolean | undefined;
  /** Who makes a request, for the audit log. @defaultValue the `id`, `sub`, `name` or `email` of `request.user`, else the address */
  readonly principal?: ((request: IncomingMessage & { readonly user?: unknown }) => string) | undefined;
}

/** What stands beside the options of {@link AdminModule}; with `forRootAsync` beside the factory. */
export interface AdminExtras {
  /** Where the page is. @defaultValue '/admin' */
  readonly path?: string | undefined;
  /**
   * The guard that each request has to pass: one of the application, or `LoopbackGuard`. Without one the start is refused unless the app
   * listens on loopback.
   */
  readonly guard?: Type<CanActivate> | undefined;
  /** Modules whose exports the guard needs, and the one with `GatewayApi` where that is not global. */
  readonly imports?: NonNullable<ModuleMetadata['imports']> | undefined;
}

export const ADMIN_EXTRAS = optionKeys<AdminExtras>({ path: true, guard: true, imports: true });
const KEYS = optionKeys<AdminOptions>({ actions: true, principal: true });
const MODULE = 'AdminModule';

/** Checks options. @throws {GateError} `BAD_ARGUMENT` that names the key, and what is allowed. */
export function checkAdminOptions(options: AdminOptions): AdminOptions {
  assertKnownOptions(MODULE, options, [...KEYS, ...ADMIN_EXTRAS]);
  const { actions, principal } = options;
  if (actions !== undefined && typeof actions !== 'boolean') refuse('actions', 'true or false', kindOf(actions));
  if (principal !== undefined && typeof principal !== 'function') refuse('principal', 'a function', kindOf(principal));
  return options;
}

/** Checks the path of the page. @throws {GateError} `BAD_ARGUMENT`. */
export function checkAdminPath(path: unknown): void {
  // No characters that routers, or HTML, give a meaning.
  if (typeof path === 'string' && /^(\/[A-Za-z0-9_~-]+)+$/.test(path)) return;
  refuse('path', 'a path such as "/admin", without a slash at its end', JSON.stringify(path));
}

function refuse(key: string, allowed: string, given: string): never {
  throw new GateError('BAD_ARGUMENT', `${MODULE}: option ${key} must be ${allowed}, but ${given} was given`);
}
