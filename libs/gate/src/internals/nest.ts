/**
 * The private parts of Nest that the gate uses beside those of the handlers (`libs/worker/src/internals/nest.ts`), here and nowhere
 * else. `docs/architecture.md` lists them, with what happens when one is missing.
 */
import type { DiscoveryService } from '@nestjs/core';
import * as websockets from '@nestjs/websockets/constants.js';

export {
  configOf,
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  metadataOf,
} from '@nestgate/worker/internal';

/** What a `@WebSocketGateway` says of itself. */
export interface GatewayMetadata {
  readonly port: unknown;
  readonly path: unknown;
}

/** What a class says as a `@WebSocketGateway`; `undefined` when it is none, or this Nest keeps it elsewhere. */
export function gatewayMetadata(
  metatype: Function,
  keys: Partial<typeof websockets> = websockets,
): GatewayMetadata | undefined {
  const { GATEWAY_METADATA, GATEWAY_OPTIONS, PORT_METADATA } = keys;
  if (GATEWAY_METADATA === undefined || GATEWAY_OPTIONS === undefined || PORT_METADATA === undefined) return undefined;
  if (!Reflect.hasMetadata(GATEWAY_METADATA, metatype)) return undefined;
  const { path } = (Reflect.getMetadata(GATEWAY_OPTIONS, metatype) ?? {}) as { path?: unknown };
  return { port: Reflect.getMetadata(PORT_METADATA, metatype), path };
}

/**
 * Whether Nest has made a class, a guard for example, for a provider that it made itself: only then it runs. False for all where Nest keeps
 * that elsewhere, which refuses the start (fails closed).
 */
export function hasInjectable(discovery: DiscoveryService, instance: object, injectable: Function): boolean {
  const made = discovery
    .getProviders()
    .find(each => each.instance === instance && !each.isAlias && !each.isNotMetatype);
  return made?.host?.injectables?.has(injectable) ?? false;
}
