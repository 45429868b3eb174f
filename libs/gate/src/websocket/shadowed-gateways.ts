import type { DiscoveryService } from '@nestjs/core';
import type { BoundedLog } from '@nestgate/worker/internal';
import { gatewayMetadata } from '../internals/nest.js';
import { isEndpoint } from '../admission/handshake-check.js';

/** Logs each `@WebSocketGateway` of the app that no client can reach. */
export function warnOfShadows(log: Pick<BoundedLog, 'warn'>, discovery: DiscoveryService, endpoint: string): void {
  for (const name of shadowedGateways(discovery, endpoint)) {
    log.warn(
      `@WebSocketGateway ${name} gets no clients: its path ${endpoint} is that of the gate. Change its path, or set ws.path or ws.port`,
    );
  }
}

/**
 * The names of the `@WebSocketGateway`s on the app's HTTP server that no client can reach, because their path is that of the gate. With
 * `WsAdapter`, the path of a gateway without one is `/`.
 */
function shadowedGateways(discovery: DiscoveryService, endpoint: string): string[] {
  const names = new Set<string>();
  for (const { metatype } of discovery.getProviders()) {
    const gateway = typeof metatype === 'function' ? gatewayMetadata(metatype) : undefined;
    if (!metatype || !gateway) continue;
    const { port, path } = gateway;
    const at = typeof path === 'string' ? `/${path.replace(/^\/+/, '')}` : '/';
    if (!port && isEndpoint(at, endpoint)) names.add(metatype.name);
  }
  return [...names];
}
