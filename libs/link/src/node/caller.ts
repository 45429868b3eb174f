import { GateError } from '@nestgate/protocol';
import { parseClientId } from '../client-id.js';
import type { LinkNode } from './link-node.js';
import {
  type AnyOperation,
  countOutOfReach,
  isOutOfReach,
  missingGates,
  ownerOf,
  ownersOf,
  soleTarget,
  targets,
} from './targets.js';
import type { NodeId, NodeInfo } from '../link.js';
import type { ArgsOf, Contract, Operation, ResultOf, Target } from '../wire/operation.js';
import type { Peer } from '../peer/peer.js';
import { PendingCall } from '../peer/pending.js';
import { present } from '../common/checked.js';

/** Maximum number of moves of a session that one call follows. */
const MAX_HOPS = 3;

/** Default deadline of a call, in milliseconds. */
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
 * Sends an operation without waiting for its result. Returns a promise that settles when backpressure ends, else `undefined`. Rejects
 * with `LINK_UNAVAILABLE` while no gate is reachable or the whole link is down; then only clients of this node receive it. For each
 * unreachable gate, and for each client whose gate was lost, one message is counted as refused.
 */
type Cast<O> = (args: ArgsOf<O>) => Promise<void> | undefined;

/**
 * Sends an operation and waits for the result. Right after the start it also waits for the first gate. Rejects with the error of the
 * gate, `SESSION_NOT_FOUND` when the gate of the client has left, `LINK_UNAVAILABLE` when that gate, or every gate, is unreachable,
 * `TIMEOUT` after the deadline, or `PARTIAL_RESULT` (details `{result, missing}`) when some gates did not answer.
 */
type Call<O> = (args: ArgsOf<O>, options?: CallOptions) => Promise<ResultOf<O>>;

/** Like `Call` for operations on several gates, but resolves with the available result and the missing gates. */
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

/** Creates the caller of a contract whose operations go to gates. */
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

function cast(node: LinkNode, operation: AnyOperation, args: unknown): Promise<void> | undefined {
  if (operation.to === 'all-gates' && node.isUp) node.reach.absent.notePush();
  const channel = operation.to === 'all-gates' && node.castsChannels ? operation.channel?.(args) : undefined;
  let congested: Promise<void> | undefined;
  let missed = 0;
  const only = operation.to === 'owners' ? soleTarget(args) : undefined;
  if (only !== undefined && !node.holders.hasForgotten) {
    const peer = ownerOf(node, only);
    if (peer) {
      peer.notify(operation, args);
      congested = peer.whenDrained();
    } else if (isOutOfReach(node, only)) {
      missed = 1;
    }
  } else if (channel === undefined) {
    for (const [peer, share] of targets(node, operation, args)) {
      peer.notify(operation, share);
      const drained = peer.whenDrained();
      if (drained) congested = congested ? Promise.all([congested, drained]).then(() => undefined) : drained;
    }
    missed = operation.to === 'owners' ? countOutOfReach(node, args) : node.reach.missed;
  } else {
    congested = node.cast(channel, operation, args);
    if (node.info.role === 'gate') node.me.notify(operation, args);
    missed = node.reach.missed;
  }
  if (node.isUp) {
    // An unreachable gate does not stop the operation on the other gates.
    if (missed > 0) {
      node.counters.refused += missed;
      if (operation.to === 'all-gates') for (const id of node.reach.missingIds) node.reach.absent.noteCounted(id);
    }
    return congested;
  }
  node.counters.refused += Math.max(1, missed);
  return Promise.reject(new GateError('LINK_UNAVAILABLE'));
}

async function call(node: LinkNode, operation: AnyOperation, args: unknown, options?: CallOptions): Promise<unknown> {
  if (operation.to === 'owner') return callOwner(node, operation, args as { clientId: string }, options);
  const { result, missing } = await gather(node, operation, args, options);
  if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
  return result;
}

/** An unreachable gate may return with its clients. Only the clients of a gate that has left are certainly gone. */
async function callOwner(
  node: LinkNode,
  operation: AnyOperation,
  args: { clientId: string },
  options?: CallOptions,
): Promise<unknown> {
  const deadline = deadlineOf(options);
  if (!node.hasMetGates) await node.untilGates(deadline - performance.now());
  const owners = ownersOf(node, args.clientId);
  if (owners.length > 1) return askAny(owners, operation, args, deadline);
  const [peer] = owners;
  if (!peer) {
    const owner = parseClientId(args.clientId);
    const isMissing = owner && node.fateOf(owner.gate, owner.epoch) === 'missing';
    throw new GateError(isMissing ? 'LINK_UNAVAILABLE' : 'SESSION_NOT_FOUND');
  }
  try {
    return await askFollowing(node, peer, operation, args, deadline);
  } catch (error) {
    if (!(error instanceof GateError) || error.code !== 'NODE_LOST') throw error;
    throw new GateError(isStillThere(node, peer.info) ? 'LINK_UNAVAILABLE' : 'SESSION_NOT_FOUND');
  }
}

/** Calls the gate of a client, and, when its session has moved, the gate that has it now. */
async function askFollowing(
  node: LinkNode,
  first: Peer,
  operation: AnyOperation,
  args: unknown,
  deadline: number,
): Promise<unknown> {
  let peer = first;
  for (let hops = 0; ; hops++) {
    try {
      return await ask(peer, operation, args, deadline);
    } catch (error) {
      const next = hops < MAX_HOPS ? node.peers.get(movedTo(error)) : undefined;
      if (!next || next === peer) throw error;
      peer = next;
    }
  }
}

/** The id of the gate that has the session now, from the error of its previous gate; `''` for any other error. */
function movedTo(error: unknown): NodeId {
  if (!(error instanceof GateError) || error.code !== 'SESSION_NOT_FOUND') return '';
  const { movedTo: id } = (error.details ?? {}) as { readonly movedTo?: unknown };
  return typeof id === 'string' ? id : '';
}

/** Sends the operation to all gates; the one with the client runs it. */
async function askAny(
  peers: readonly Peer[],
  operation: AnyOperation,
  args: unknown,
  deadline: number,
): Promise<unknown> {
  const answers = await Promise.allSettled(peers.map(peer => ask(peer, operation, args, deadline)));
  const answer = answers.find(({ status }) => status === 'fulfilled');
  if (answer?.status === 'fulfilled') return answer.value;
  const failures = answers.flatMap(each => (each.status === 'rejected' ? [each.reason as unknown] : []));
  const notThere = failures.every(error => error instanceof GateError && error.code === 'SESSION_NOT_FOUND');
  throw new GateError(notThere ? 'SESSION_NOT_FOUND' : 'LINK_UNAVAILABLE');
}

async function gather(
  node: LinkNode,
  operation: AnyOperation,
  args: unknown,
  options?: CallOptions,
): Promise<Gathered<unknown>> {
  const deadline = deadlineOf(options);
  if (!node.hasMetGates) await node.untilGates(deadline - performance.now());
  if (operation.to === 'all-gates' && !node.reach.hasGates)
    throw new GateError('LINK_UNAVAILABLE', 'No gate is in reach');
  const asked = [...targets(node, operation, args)];
  // Determined before the answers arrive: a gate that returns meanwhile has not received the operation.
  const missing = new Set<NodeId>(missingGates(node, operation, args));
  if (operation.namesLost) for (const id of node.reach.absent.recent()) missing.add(id);
  // A gate that is considered dead may return with its clients: the message that it has missed is counted, like other pushes.
  if (operation.to === 'all-gates' && operation.urgent !== true) {
    node.reach.absent.notePush();
    for (const id of missing) node.reach.absent.noteCounted(id);
  }
  const answers = await Promise.allSettled(asked.map(([peer, share]) => ask(peer, operation, share, deadline)));
  let result = operation.empty?.();
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') {
      result = operation.merge ? operation.merge(result, answer.value) : answer.value;
      continue;
    }
    const error: unknown = answer.reason;
    // An error about the arguments goes to the caller. A missing answer makes the result partial.
    if (error instanceof GateError && !SILENCE.has(error.code)) throw error;
    const [{ info }] = present(asked[index]);
    if (!operation.urgent || !hasLeft(node, info, error)) missing.add(info.id);
  }
  return { result, missing: [...missing] };
}

/**
 * Whether a gate has left or restarted during the query. It then has no clients, so that the answer to a query is complete. For other
 * operations it is not known what the gate did before it left.
 */
function hasLeft(node: LinkNode, info: NodeInfo, error: unknown): boolean {
  return error instanceof GateError && error.code === 'NODE_LOST' && !isStillThere(node, info);
}

/** Whether this boot of a gate is unreachable, or was unreachable and has returned: it still has its clients. */
function isStillThere(node: LinkNode, { id, epoch }: NodeInfo): boolean {
  return node.reach.isMissing(id, epoch) || node.peers.get(id)?.info.epoch === epoch;
}

/** Error codes that mean that a gate did not answer. */
const SILENCE: ReadonlySet<string> = new Set([
  'TIMEOUT',
  'NODE_LOST',
  'LINK_UNAVAILABLE',
  'LINK_CLOSED',
  'LINK_CORRUPT',
  'UNKNOWN_OPERATION',
]);

function ask(peer: Peer, operation: AnyOperation, args: unknown, deadline: number): Promise<unknown> {
  const pending = new PendingCall(operation);
  peer.request(operation, args, pending, deadline);
  return pending.promise;
}

function deadlineOf(options: CallOptions | undefined): number {
  return performance.now() + (options?.deadlineMs ?? DEFAULT_CALL_DEADLINE_MS);
}
