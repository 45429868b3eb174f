import { parseClientId } from '../client-id.js';
import type { NodeId } from '../link.js';
import type { Peer } from '../peer/peer.js';
import type { Operation } from '../wire/operation.js';
import type { LinkNode } from './link-node.js';

export type AnyOperation = Operation<unknown, unknown>;

/**
 * The gate of a client: the gate that its session has moved to, else the gate that its id names; `undefined` when that boot of the gate is
 * not on the link. Only the gate itself knows whether it has such a client.
 */
export function ownerOf(node: LinkNode, clientId: string): Peer | undefined {
  return (node.holders.size > 0 ? node.holders.find(clientId)?.peer : undefined) ?? birthGateOf(node, clientId);
}

/** The gate that the id of a client names. */
export function birthGateOf(node: LinkNode, clientId: string): Peer | undefined {
  const dot = clientId.lastIndexOf('.');
  const mid = clientId.lastIndexOf('.', dot - 1);
  if (mid < 1) return undefined;
  const peer = node.peers.get(clientId.slice(0, mid));
  if (peer?.info.role !== 'gate') return undefined;
  const { epoch } = peer.info;
  return epoch.length === dot - mid - 1 && clientId.startsWith(epoch, mid + 1) ? peer : undefined;
}

/** The gate of a client; all gates, when the entry about its move was removed because of the bound. */
export function ownersOf(node: LinkNode, clientId: string): readonly Peer[] {
  const owner = ownerOf(node, clientId);
  if (owner) return [owner];
  return node.holders.hasForgotten ? [...node.peers.values()].filter(({ info }) => info.role === 'gate') : [];
}

/** The destinations of an operation on several gates: each peer with its part of the arguments. */
export function* targets(node: LinkNode, operation: AnyOperation, args: unknown): Iterable<[Peer, unknown]> {
  if (operation.to === 'owners') {
    const shares = new Map<Peer, string[]>();
    for (const clientId of clientIdsOf(args)) {
      for (const peer of ownersOf(node, clientId)) {
        const share = shares.get(peer);
        if (share) share.push(clientId);
        else shares.set(peer, [clientId]);
      }
    }
    for (const [peer, clientIds] of shares) yield [peer, { ...(args as object), clientIds }];
  } else {
    for (const peer of node.peers.values()) if (peer.info.role === 'gate') yield [peer, args];
  }
}

/** Arguments of operations on owners have `clientIds`; `ownersOp` ensures this. */
function clientIdsOf(args: unknown): readonly string[] {
  return (args as { clientIds: readonly string[] }).clientIds;
}

/** The only client of a push, the usual case: then the arguments need not be split. */
export function soleTarget(args: unknown): string | undefined {
  const clientIds = clientIdsOf(args);
  return clientIds.length === 1 ? clientIds[0] : undefined;
}

/** Whether the gate of a client was lost or never reached: the client may be connected, and misses the message. */
export function isOutOfReach(node: LinkNode, clientId: string): boolean {
  const owner = parseClientId(clientId);
  return owner !== undefined && node.fateOf(owner.gate, owner.epoch) !== 'gone';
}

export function countOutOfReach(node: LinkNode, args: unknown): number {
  let count = 0;
  for (const clientId of clientIdsOf(args)) {
    if (!ownerOf(node, clientId) && isOutOfReach(node, clientId)) count++;
  }
  return count;
}

/** The gates of the operation that are unreachable. */
export function missingGates(node: LinkNode, operation: AnyOperation, args: unknown): readonly NodeId[] {
  if (operation.to !== 'owners') return node.reach.missingIds;
  const missing = new Set<NodeId>();
  for (const clientId of clientIdsOf(args)) {
    const owner = ownerOf(node, clientId) ? undefined : parseClientId(clientId);
    if (!owner || node.fateOf(owner.gate, owner.epoch) !== 'missing') continue;
    if (node.reach.isMissing(owner.gate, owner.epoch)) missing.add(owner.gate);
    else for (const name of node.reach.neverReached) missing.add(name);
  }
  return [...missing];
}
