import { GateError } from '@nestgate/protocol';
import { parseClientId } from './client-id.js';
import type { LinkNode } from './link-node.js';
import type { NodeId, NodeInfo } from './link.js';
import type { ArgsOf, Contract, Operation, ResultOf, Target } from './operation.js';
import type { Peer } from './peer.js';
import { PendingCall } from './pending.js';

/** How long a call waits for its gates, in milliseconds, unless it says otherwise. */
export const DEFAULT_CALL_DEADLINE_MS = 5_000;

export interface CallOptions {
  /** @defaultValue 5000 */
  readonly deadlineMs?: number | undefined;
}

/** The merged answers of several gates, and those that did not answer. */
export interface Gathered<R> {
  readonly result: R;
  readonly missing: readonly NodeId[];
}

/**
 * Sends an operation and does not wait for its outcome. Returns what to wait for when the link is congested, else
 * `undefined`. Rejects with `LINK_UNAVAILABLE` while no gate is in reach or the link as a whole is down; then only clients
 * of this node get it. What misses a gate that is out of reach is counted as refused, once for each such gate; what misses
 * a client because the boot of the gate that owns it was lost, once for each such client.
 */
type Cast<O> = (args: ArgsOf<O>) => Promise<void> | undefined;

/**
 * Sends an operation and waits; right after the start, for the first gate too. Rejects with the gate's coded error,
 * `SESSION_NOT_FOUND` when the owner of the client is gone, `LINK_UNAVAILABLE` when it, or every gate, is out of reach,
 * `TIMEOUT` after the deadline, or `PARTIAL_RESULT` (details `{result, missing}`) when some gates did not answer.
 */
type Call<O> = (args: ArgsOf<O>, options?: CallOptions) => Promise<ResultOf<O>>;

/** Like `Call` for operations on several gates, but resolves with what there is and who is missing. */
type Gather<O> = (args: ArgsOf<O>, options?: CallOptions) => Promise<Gathered<ResultOf<O>>>;

type Methods<O> = { readonly call: Call<O> } & (O extends Operation<unknown, unknown, Target, infer P>
  ? 'optional' extends P
    ? { readonly cast: Cast<O> }
    : unknown
  : unknown) &
  (O extends Operation<unknown, unknown, infer T>
    ? T extends 'all-gates' | 'owners'
      ? { readonly gather: Gather<O> }
      : unknown
    : unknown);

/** The operations of a contract as methods: `caller.bind.call(…)`, `caller.sendToGroup.cast(…)`. */
export type Caller<C extends Contract> = { readonly [K in keyof C]: Methods<C[K]> };

type AnyOperation = Operation<unknown, unknown>;

/** Derives the caller of a contract whose operations go to gates. */
export function createCaller<C extends Contract>(node: LinkNode, contract: C): Caller<C> {
  const caller: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(contract)) {
    const operation: AnyOperation = entry;
    caller[name] = {
      call: (args: unknown, options?: CallOptions) => call(node, operation, args, options),
      cast: (args: unknown) => cast(node, operation, args),
      gather: (args: unknown, options?: CallOptions) => gather(node, operation, args, options),
    };
  }
  return caller as Caller<C>;
}

/**
 * The peer that owns a client, or `undefined` when that boot of that gate is not on the link. Whether the gate has such a
 * client is for the gate to say.
 */
export function ownerOf(node: LinkNode, clientId: string): Peer | undefined {
  const dot = clientId.lastIndexOf('.');
  const mid = clientId.lastIndexOf('.', dot - 1);
  if (mid < 1) return undefined;
  const peer = node.peers.get(clientId.slice(0, mid));
  if (peer?.info.role !== 'gate') return undefined;
  const { epoch } = peer.info;
  return epoch.length === dot - mid - 1 && clientId.startsWith(epoch, mid + 1) ? peer : undefined;
}

/** Where an operation on several gates goes: each peer with its share of the arguments. */
function* targets(node: LinkNode, operation: AnyOperation, args: unknown): Iterable<[Peer, unknown]> {
  if (operation.to === 'owners') {
    const shares = new Map<Peer, string[]>();
    for (const clientId of (args as { clientIds: readonly string[] }).clientIds) {
      const peer = ownerOf(node, clientId);
      if (!peer) continue;
      const share = shares.get(peer);
      if (share) share.push(clientId);
      else shares.set(peer, [clientId]);
    }
    for (const [peer, clientIds] of shares) yield [peer, { ...(args as object), clientIds }];
  } else {
    for (const peer of node.peers.values()) if (peer.info.role === 'gate') yield [peer, args];
  }
}

function cast(node: LinkNode, operation: AnyOperation, args: unknown): Promise<void> | undefined {
  if (operation.to === 'all-gates' && node.isUp) node.absent.notePush();
  const channel = operation.to === 'all-gates' && node.castsChannels ? operation.channel?.(args) : undefined;
  let congested: Promise<void> | undefined;
  let missed = 0;
  const only = operation.to === 'owners' ? soleTarget(args) : undefined;
  if (only !== undefined) {
    const peer = ownerOf(node, only);
    if (peer) {
      node.notify(peer, operation, args);
      congested = peer.whenDrained();
    } else if (isOutOfReach(node, only)) {
      missed = 1;
    }
  } else if (channel === undefined) {
    for (const [peer, share] of targets(node, operation, args)) {
      node.notify(peer, operation, share);
      const drained = peer.whenDrained();
      if (drained) congested = congested ? Promise.all([congested, drained]).then(() => undefined) : drained;
    }
    missed = operation.to === 'owners' ? countOutOfReach(node, args) : node.gatesOutOfReach;
  } else {
    congested = node.cast(channel, operation, args);
    if (node.info.role === 'gate') node.notify(node.me, operation, args);
    missed = node.gatesOutOfReach;
  }
  if (node.isUp) {
    // The rest of the cluster goes on without a gate that is out of reach.
    if (missed > 0) {
      node.noteRefused(missed);
      if (operation.to === 'all-gates') for (const id of node.missingGates) node.absent.noteCounted(id);
    }
    return congested;
  }
  node.noteRefused(Math.max(1, missed));
  return Promise.reject(new GateError('LINK_UNAVAILABLE'));
}

/** The one client that most pushes are for: nothing has to be shared out then. */
function soleTarget(args: unknown): string | undefined {
  const { clientIds } = args as { clientIds: readonly string[] };
  return clientIds.length === 1 ? clientIds[0] : undefined;
}

/** Whether a client has an owner that was lost, or may have one that was never reached: it may be there, and is missed. */
function isOutOfReach(node: LinkNode, clientId: string): boolean {
  const owner = parseClientId(clientId);
  return owner !== undefined && node.fateOf(owner.gate, owner.epoch) !== 'gone';
}

function countOutOfReach(node: LinkNode, args: unknown): number {
  let count = 0;
  for (const clientId of (args as { clientIds: readonly string[] }).clientIds) {
    if (!ownerOf(node, clientId) && isOutOfReach(node, clientId)) count++;
  }
  return count;
}

/** The gates that this is for and whose answers are missing. */
function missingGates(node: LinkNode, operation: AnyOperation, args: unknown): readonly NodeId[] {
  if (operation.to !== 'owners') return node.missingGates;
  const missing = new Set<NodeId>();
  for (const clientId of (args as { clientIds: readonly string[] }).clientIds) {
    const owner = ownerOf(node, clientId) ? undefined : parseClientId(clientId);
    if (!owner || node.fateOf(owner.gate, owner.epoch) !== 'missing') continue;
    if (node.isMissing(owner.gate, owner.epoch)) missing.add(owner.gate);
    else for (const name of node.neverReachedGates) missing.add(name);
  }
  return [...missing];
}

async function call(node: LinkNode, operation: AnyOperation, args: unknown, options?: CallOptions): Promise<unknown> {
  if (operation.to === 'owner') return callOwner(node, operation, args as { clientId: string }, options);
  const { result, missing } = await gather(node, operation, args, options);
  if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
  return result;
}

/** A gate that is out of reach may come back with its clients: only of one that is gone it is known that they are too. */
async function callOwner(
  node: LinkNode,
  operation: AnyOperation,
  args: { clientId: string },
  options?: CallOptions,
): Promise<unknown> {
  const deadline = deadlineOf(options);
  if (!node.hasMetGates) await node.untilGates(deadline - performance.now());
  const peer = ownerOf(node, args.clientId);
  if (!peer) {
    const owner = parseClientId(args.clientId);
    const isMissing = owner && node.fateOf(owner.gate, owner.epoch) === 'missing';
    throw new GateError(isMissing ? 'LINK_UNAVAILABLE' : 'SESSION_NOT_FOUND');
  }
  try {
    return await ask(node, peer, operation, args, deadline);
  } catch (error) {
    if (!(error instanceof GateError) || error.code !== 'NODE_LOST') throw error;
    throw new GateError(isStillThere(node, peer.info) ? 'LINK_UNAVAILABLE' : 'SESSION_NOT_FOUND');
  }
}

async function gather(
  node: LinkNode,
  operation: AnyOperation,
  args: unknown,
  options?: CallOptions,
): Promise<Gathered<unknown>> {
  const deadline = deadlineOf(options);
  if (!node.hasMetGates) await node.untilGates(deadline - performance.now());
  if (operation.to === 'all-gates' && !node.hasGates) throw new GateError('LINK_UNAVAILABLE', 'No gate is in reach');
  const asked = [...targets(node, operation, args)];
  // Now, and not when the answers are there: a gate that comes back meanwhile has not been asked all the same.
  const missing = new Set<NodeId>(missingGates(node, operation, args));
  if (operation.namesLost) for (const id of node.absent.recent()) missing.add(id);
  const answers = await Promise.allSettled(asked.map(([peer, share]) => ask(node, peer, operation, share, deadline)));
  let result = operation.empty?.();
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') {
      result = operation.merge ? operation.merge(result, answer.value) : answer.value;
      continue;
    }
    const error: unknown = answer.reason;
    // What a gate says about the arguments is the caller's to hear; silence makes the answer partial.
    if (error instanceof GateError && !SILENCE.has(error.code)) throw error;
    const [{ info }] = asked[index] as [Peer, unknown];
    if (!operation.urgent || !hasLeft(node, info, error)) missing.add(info.id);
  }
  return { result, missing: [...missing] };
}

/**
 * Whether a gate has said goodbye, or started anew, while it was asked: it has no clients any more, so that nothing is
 * missing from the answer to a question. What it had done before it went nobody knows.
 */
function hasLeft(node: LinkNode, info: NodeInfo, error: unknown): boolean {
  return error instanceof GateError && error.code === 'NODE_LOST' && !isStillThere(node, info);
}

/** Whether this boot of a gate is only out of reach, or was so for a moment and is back: it has its clients. */
function isStillThere(node: LinkNode, { id, epoch }: NodeInfo): boolean {
  return node.isMissing(id, epoch) || node.peers.get(id)?.info.epoch === epoch;
}

/** The codes with which a gate is missing from an answer. */
const SILENCE: ReadonlySet<string> = new Set([
  'TIMEOUT',
  'NODE_LOST',
  'LINK_UNAVAILABLE',
  'LINK_CLOSED',
  'LINK_CORRUPT',
  'UNKNOWN_OPERATION',
]);

function ask(node: LinkNode, peer: Peer, operation: AnyOperation, args: unknown, deadline: number): Promise<unknown> {
  const pending = new PendingCall(operation);
  node.request(peer, operation, args, pending, deadline);
  return pending.promise;
}

function deadlineOf(options: CallOptions | undefined): number {
  return performance.now() + (options?.deadlineMs ?? DEFAULT_CALL_DEADLINE_MS);
}
