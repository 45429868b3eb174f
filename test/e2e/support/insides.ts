import type { ClientAgent } from '@nestgate/gate';
import type { LinkNode, MemoryBus, NodeId } from '@nestgate/link';

/** The requests of a node that wait for an answer. */
export function requestsOf(node: LinkNode): { readonly size: number; limit: number } {
  return Reflect.get(node, 'requests') as { readonly size: number; limit: number };
}

/** The nodes that are on a bus. */
export function linksOf(bus: MemoryBus): ReadonlyMap<NodeId, unknown> {
  return Reflect.get(bus, 'links') as ReadonlyMap<NodeId, unknown>;
}

/** What the heartbeat asks of a client. */
export function livenessOf(agent: ClientAgent): object {
  return Reflect.get(agent, 'liveness') as object;
}
