import type { LinkNode } from '@nestgate/link';
import { assertKnownOptions, optionKeys, assertNodeId, DEFAULT_CALL_DEADLINE_MS } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { NodeOptions } from '../node/node-options.js';

/** The longest time that a timer of Node can wait, in milliseconds. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;

/** Options of a `GateClientProxy`: a `link` (with `secret` and `nodeId`) to join by itself, or a `node` that has joined one. */
export interface GateClientOptions extends Pick<NodeOptions, 'link' | 'secret' | 'nodeId'> {
  /** The node of the app, to be shared: its link is the app's to open and to close. */
  readonly node?: LinkNode | undefined;
  /**
   * How long `send` waits for the gates, and before that for the link, in milliseconds.
   * @defaultValue 5000
   */
  readonly deadlineMs?: number | undefined;
}

const KEYS = optionKeys<GateClientOptions>({ node: true, link: true, secret: true, nodeId: true, deadlineMs: true });

/** Options with their defaults. @throws {GateError} `BAD_ARGUMENT` that names the key, its value and what is allowed. */
export function resolveClientOptions(
  options: GateClientOptions = {},
): GateClientOptions & { readonly deadlineMs: number } {
  assertKnownOptions('GateClientProxy', options, KEYS);
  const { node, link, nodeId, deadlineMs = DEFAULT_CALL_DEADLINE_MS } = options;
  // A missing node or link, for example an unset variable, would create a client that never reaches a gate.
  if ((node === undefined) === (link === undefined)) {
    const both = node !== undefined;
    throw new GateError('BAD_ARGUMENT', `Either node or link is needed, but ${both ? 'both are' : 'none is'} given`);
  }
  if (node !== undefined && typeof (node as Partial<LinkNode> | null)?.untilGates !== 'function') {
    throw new GateError('BAD_ARGUMENT', `node: ${typeof node} is not allowed; allowed: a LinkNode`);
  }
  if (nodeId !== undefined) assertNodeId(nodeId);
  if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > MAX_DEADLINE_MS) {
    throw new GateError(
      'BAD_ARGUMENT',
      `deadlineMs: ${String(deadlineMs)} is not allowed; allowed: 1 to ${MAX_DEADLINE_MS}`,
    );
  }
  return Object.freeze({ ...options, deadlineMs });
}
