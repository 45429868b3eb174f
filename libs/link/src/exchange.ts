import { type BoundedError, boundError, GateError } from '@nestgate/protocol';
import type { IncomingCall, Replier } from './dispatcher.js';
import { NO_ANSWER, writeFailure, writeRequest, writeResult } from './envelope.js';
import type { LinkCounters } from './link-counters.js';
import type { Operation } from './operation.js';
import type { Outbound } from './outbound.js';
import type { OwnQueue } from './own-queue.js';
import type { Peer } from './peer.js';
import type { Pending } from './pending.js';

/** What an exchange needs of its node. */
export interface ExchangeHost {
  readonly own: OwnQueue;
  readonly outbound: Outbound;
  readonly counters: LinkCounters;
  reportDefect(error: unknown, where?: string): void;
}

/** The requests and answers that a node sends: to others as bytes, to itself as they are. */
export class Exchange implements Replier {
  constructor(private readonly host: ExchangeHost) {}

  /** Never throws: callers are sockets and timers, and a request that cannot be sent ends as any other does. */
  request<A>(peer: Peer, operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    const { own, outbound } = this.host;
    const urgent = operation.urgent === true;
    try {
      peer.requests.add(pending, operation.id, deadline);
      if (peer.isSelf) {
        own.request(operation, pending, deadline, args);
        return;
      }
      const outlet = outbound.toPeer(peer, urgent);
      // Its time runs from when the batch began, as the receiver takes it to.
      writeRequest(outlet.writer, operation, pending, deadline - outlet.begunAt, args);
      outlet.addRequest(pending);
    } catch (error) {
      if (pending.table) peer.requests.remove(pending);
      this.refuse(pending, error);
      return;
    }
    outbound.wrote(peer, urgent, operation.lingers);
  }

  notify<A>(peer: Peer, operation: Operation<A, unknown>, args: A): void {
    const { own, outbound } = this.host;
    if (peer.isSelf) {
      own.request(operation, NO_ANSWER, 0, args);
      return;
    }
    writeRequest(outbound.toPeer(peer, false).writer, operation, NO_ANSWER, 0, args);
    outbound.wrote(peer, false);
  }

  reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void {
    const urgent = operation.urgent === true;
    const { own, outbound } = this.host;
    const { peer } = call;
    try {
      if (peer.isSelf) {
        own.reply(call, operation, result);
        return;
      }
      writeResult(outbound.toPeer(peer, urgent).writer, operation, call, result);
    } catch (error) {
      if (!(error instanceof GateError)) this.reportDefect(error);
      this.fail(call, error instanceof GateError ? error : new GateError('INTERNAL'), urgent);
      return;
    }
    outbound.wrote(peer, urgent);
  }

  fail(call: IncomingCall, error: GateError, urgent = false): void {
    const { own, outbound, counters } = this.host;
    const bounded: BoundedError = boundError(error.toBody());
    if (bounded.isTruncated) counters.truncated++;
    const { peer, operationId } = call;
    if (peer.isSelf) {
      own.fail(operationId, call, bounded);
      return;
    }
    writeFailure(outbound.toPeer(peer, urgent).writer, operationId, call, bounded);
    outbound.wrote(peer, urgent);
  }

  reportDefect(error: unknown, where?: string): void {
    this.host.reportDefect(error, where);
  }

  /**
   * Ends a request that cannot be sent, in a microtask: the request must not end while its caller still sends it, and many held frames
   * of one client must not nest their calls.
   */
  private refuse(pending: Pending, error: unknown): void {
    const coded =
      error instanceof GateError ? error : new GateError('BAD_ARGUMENT', `It cannot be sent: ${String(error)}`);
    queueMicrotask(() => {
      try {
        pending.refuse(coded);
      } catch (defect) {
        this.reportDefect(defect, 'link.request');
      }
    });
  }
}
