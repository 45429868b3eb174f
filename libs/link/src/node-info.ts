import { GateError } from '@nestgate/protocol';
import { isNodeId } from './client-id.js';
import type { NodeInfo, NodeRole } from './link.js';

const ROLES: ReadonlySet<unknown> = new Set<NodeRole>(['gate', 'worker', 'api']);
/** Longest list of modules that a node may announce, and longest name of one. */
const MAX_MODULES = 10_000;
const MAX_TEXT = 128;

/** @throws {GateError} `LINK_CORRUPT` for what is not a node's information. */
export function readNodeInfo(bytes: Buffer): NodeInfo {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  const { id, role, epoch, modules, draining } = (value ?? {}) as Record<string, unknown>;
  const isText = (item: unknown): item is string => typeof item === 'string' && item.length <= MAX_TEXT;
  if (
    !isNodeId(id) ||
    !ROLES.has(role) ||
    !isText(epoch) ||
    !Array.isArray(modules) ||
    modules.length > MAX_MODULES ||
    !modules.every(isText) ||
    typeof draining !== 'boolean'
  ) {
    throw new GateError('LINK_CORRUPT', 'Malformed node information');
  }
  return { id, role: role as NodeRole, epoch, modules, draining };
}
