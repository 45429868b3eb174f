import type { DiscoveryService } from '@nestjs/core';
import { GATEWAY_METADATA, GATEWAY_OPTIONS, PORT_METADATA } from '@nestjs/websockets/constants.js';
import { isEndpoint } from './handshake-check.js';

/**
 * The names of the `@WebSocketGateway`s on the app's HTTP server that no client will ever reach, because the gate answers on their
 * path. One without a path is on `/`, with `WsAdapter`.
 */
export function shadowedGateways(discovery: DiscoveryService, endpoint: string): string[] {
  const names = new Set<string>();
  for (const { metatype } of discovery.getProviders()) {
    if (typeof metatype !== 'function' || !Reflect.hasMetadata(GATEWAY_METADATA, metatype)) continue;
    const port: unknown = Reflect.getMetadata(PORT_METADATA, metatype);
    const { path } = (Reflect.getMetadata(GATEWAY_OPTIONS, metatype) ?? {}) as { path?: unknown };
    const at = typeof path === 'string' ? `/${path.replace(/^\/+/, '')}` : '/';
    if (!port && isEndpoint(at, endpoint)) names.add(metatype.name);
  }
  return [...names];
}
