import { GateError } from '@nestgate/protocol';
import { parseClientId } from './client-id.js';
import type { LinkNode } from './link-node.js';
import type { NodeId } from './link.js';
import type { ArgsOf, Contract, Operation, ResultOf, Target } from './operation.js';
import type { Peer } from './peer.js';
import { PendingCall } from './pending.js';

/** How long a call waits for its gates, in milliseconds, unless it says otherwise. */
export const DEFAULT_CALL_DEADLINE_MS = 5_000;

export interface CallOptions {
  /** @defaultValue 5000 */
  readonly deadlineMs?: number;
}

/** The merged answers of several gates, and those that did not answer. */
export interface Gathered<R> {
  readonly result: R;
  readonly missing: readonly NodeId[];
}

/**
 * Sends an operation and does not wait for its outcome. Returns what to wait for when the link is congested, else
 * `undefined`.
 */
type Cast<O> = (args: ArgsOf<O>) => Promise<void> | undefined;

/**
 * Sends an operation and waits. Rejects with the gate's coded error, `SESSION_NOT_FOUND` when the owner of the client is
 * gone, `TIMEOUT` after the deadline, or `PARTIAL_RESULT` (details `{result, missing}`) when some gates did not answer.
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

/** The peer that owns a client, or `undefined` when that boot of that gate is not on the link. */
export function ownerOf(node: LinkNode, clientId: string): Peer | undefined {
  const parsed = parseClientId(clientId);
  const peer = parsed && node.peers.get(parsed.gate);
  return peer?.info.role === 'gate' && peer.info.epoch === parsed?.epoch ? peer : undefined;
}

/** Where an operation with these arguments goes: each peer with its share. */
function* targets(node: LinkNode, operation: AnyOperation, args: unknown): Iterable<[Peer, unknown]> {
  if (operation.to === 'owner') {
    const peer = ownerOf(node, (args as { clientId: string }).clientId);
    if (peer) yield [peer, args];
  } else if (operation.to === 'owners') {
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
  let congested: Promise<void> | undefined;
  for (const [peer, share] of targets(node, operation, args)) {
    node.notify(peer, operation, share);
    const drained = peer.whenDrained();
    if (drained) congested = congested ? Promise.all([congested, drained]).then(() => undefined) : drained;
  }
  return congested;
}

async function call(node: LinkNode, operation: AnyOperation, args: unknown, options?: CallOptions): Promise<unknown> {
  if (operation.to === 'owner') {
    for (const [peer, share] of targets(node, operation, args)) {
      return ask(node, peer, operation, share, options).catch((error: unknown) => {
        // The gate took the session with it.
        throw error instanceof GateError && error.code === 'NODE_LOST' ? new GateError('SESSION_NOT_FOUND') : error;
      });
    }
    throw new GateError('SESSION_NOT_FOUND');
  }
  const { result, missing } = await gather(node, operation, args, options);
  if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
  return result;
}

async function gather(
  node: LinkNode,
  operation: AnyOperation,
  args: unknown,
  options?: CallOptions,
): Promise<Gathered<unknown>> {
  const asked = [...targets(node, operation, args)];
  const answers = await Promise.allSettled(asked.map(([peer, share]) => ask(node, peer, operation, share, options)));
  let result = operation.empty?.();
  const missing: NodeId[] = [];
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') {
      result = operation.merge ? operation.merge(result, answer.value) : answer.value;
      continue;
    }
    const error: unknown = answer.reason;
    // What a gate says about the arguments is the caller's to hear; silence makes the answer partial.
    if (error instanceof GateError && !SILENCE.has(error.code)) throw error;
    missing.push((asked[index] as [Peer, unknown])[0].info.id);
  }
  return { result, missing };
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

function ask(
  node: LinkNode,
  peer: Peer,
  operation: AnyOperation,
  args: unknown,
  options?: CallOptions,
): Promise<unknown> {
  const pending = new PendingCall(operation);
  node.request(peer, operation, args, pending, Date.now() + (options?.deadlineMs ?? DEFAULT_CALL_DEADLINE_MS));
  return pending.promise;
}
