import { GateError } from '@nestgate/protocol';
import { clientIdPrefix } from '../client-id.js';
import type { Defects } from '../common/defects.js';
import type { NodeInfo } from '../link.js';
import type { LinkCounters } from '../common/link-counters.js';
import type { RequestKey } from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';
import type { Pending, RequestPool } from './pending.js';
import { RequestTable } from './request-table.js';

/** State that all peers of a node share. */
export interface PeerContext {
  readonly requests: RequestPool;
  readonly counters: LinkCounters;
  readonly defects: Defects;
}

/** A request that a peer has sent, for handlers that answer later or need to know their caller. */
export interface IncomingCall extends RequestKey {
  readonly peer: Peer;
  /** The id of the operation. */
  readonly operationId: number;
  /** The deadline, in milliseconds of this node's `performance.now()`. */
  readonly deadline: number;
}

/**
 * A node of the cluster as this node sees it. Messages to a node are sent through its peer. A peer owns the requests that wait for
 * its answers, so that the loss of one peer ends only these.
 */
export abstract class Peer {
  readonly requests: RequestTable;
  /** The prefix of the ids of its clients, if it is a gate. */
  readonly clientPrefix: string;

  constructor(
    public info: NodeInfo,
    protected readonly context: PeerContext,
  ) {
    this.requests = new RequestTable(context.requests);
    this.clientPrefix = clientIdPrefix(info.id, info.epoch);
  }

  /**
   * Sends a request. `pending` ends once: with the answer, at `deadline`, or when the peer is lost. When it cannot be sent, it
   * ends after this has returned: with `LIMIT_EXCEEDED` when too many requests wait, or `BAD_ARGUMENT`. Never throws: callers
   * are sockets and timers.
   */
  abstract request<A>(operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void;

  /**
   * Sends a request that has no answer.
   * @throws what the codec of the arguments throws.
   */
  abstract notify<A>(operation: Operation<A, unknown>, args: A): void;

  /** Answers a request of this peer. A result that cannot be sent is answered with its error. */
  abstract reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void;

  /** Answers a request of this peer with an error. `urgent`: the answer does not wait behind other messages. */
  abstract fail(call: IncomingCall, error: GateError, urgent?: boolean): void;

  /** Settles when backpressure ends; `undefined` without backpressure. */
  abstract whenDrained(): Promise<void> | undefined;

  /** Whether a message that is sent now leaves immediately. */
  abstract get isFlowing(): boolean;

  /** Bytes in the backlog. */
  abstract get waitingBytes(): number;

  /**
   * Ends a request that cannot be sent, in a microtask: the request must not end while its caller still sends it, and many held frames
   * of one client must not nest their calls.
   */
  protected refuse(pending: Pending, error: unknown): void {
    if (pending.table) this.requests.remove(pending);
    const coded =
      error instanceof GateError
        ? error
        : new GateError('BAD_ARGUMENT', `The request cannot be sent: ${String(error)}`);
    queueMicrotask(() => {
      try {
        pending.refuse(coded);
      } catch (defect) {
        this.context.requests.reportDefect(defect);
      }
    });
  }

  /** Answers with an error instead of a result that cannot be sent. */
  protected replyFailed(call: IncomingCall, error: unknown, urgent: boolean): void {
    if (!(error instanceof GateError)) this.context.defects.report(error, 'handler');
    this.fail(call, error instanceof GateError ? error : new GateError('INTERNAL'), urgent);
  }
}
