import type { DiscoveryService } from '@nestjs/core';
import type { HandshakeHandler } from '../hooks/handshake-handler.js';
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  hasInjectable,
  INTERCEPTORS_METADATA,
  metadataOf,
} from '../internals/nest.js';

const ENHANCERS = [GUARDS_METADATA, INTERCEPTORS_METADATA, EXCEPTION_FILTERS_METADATA];

/**
 * The names of the guards, interceptors and exception filters of a handshake handler that Nest would silently not run. Nest creates
 * enhancers that are given as classes only for providers that it instantiates itself, not for those of `useValue` and `useFactory`.
 */
export function unboundEnhancers(discovery: DiscoveryService, handler: HandshakeHandler): string[] {
  const named = [handler.constructor, Reflect.get(handler, 'handshake') as Function].flatMap(host =>
    ENHANCERS.flatMap(key => metadataOf<unknown[]>(key, host) ?? []),
  );
  const classes = named.filter((each): each is Function => typeof each === 'function');
  return classes.filter(each => !hasInjectable(discovery, handler, each)).map(each => each.name);
}
