import { type ErrorBody, GateError } from '@nestgate/protocol';
import type { Replier } from './dispatcher.js';
import { writeFailure, writeRequest, writeResult } from './envelope.js';
import type { Operation } from './operation.js';
import type { Outbound } from './outbound.js';
import type { OwnQueue } from './own-queue.js';
import type { Peer } from './peer.js';
import type { Pending } from './pending.js';
import type { RequestTable } from './request-table.js';

/** What an exchange needs of its node. */
export interface ExchangeHost {
  readonly requests: RequestTable;
  readonly own: OwnQueue;
  readonly outbound: Outbound;
  reportDefect(error: unknown): void;
}

/** The requests and answers that a node sends: to others as bytes, to itself as they are. */
export class Exchange implements Replier {
  constructor(private readonly host: ExchangeHost) {}

  request<A>(peer: Peer, operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    const { requests, own, outbound } = this.host;
    const urgent = operation.urgent === true;
    const correlation = requests.add(pending, peer, deadline);
    try {
      if (peer.isSelf) {
        own.request(operation, correlation, deadline, args);
        return;
      }
      const outlet = outbound.toPeer(peer, urgent);
      pending.batch = outlet.number;
      // Its time runs from when the batch began, as the receiver takes it to.
      writeRequest(outlet.writer, operation, correlation, deadline - outlet.begunAt, args);
    } catch (error) {
      requests.remove(pending);
      throw error;
    }
    outbound.wrote(peer, urgent);
  }

  notify<A>(peer: Peer, operation: Operation<A, unknown>, args: A): void {
    const { own, outbound } = this.host;
    if (peer.isSelf) {
      own.request(operation, 0, 0, args);
      return;
    }
    writeRequest(outbound.toPeer(peer, false).writer, operation, 0, 0, args);
    outbound.wrote(peer, false);
  }

  reply<R>(peer: Peer, correlation: number, operation: Operation<unknown, R>, result: R): void {
    const urgent = operation.urgent === true;
    const { own, outbound } = this.host;
    try {
      if (peer.isSelf) {
        own.reply(correlation, operation, result);
        return;
      }
      writeResult(outbound.toPeer(peer, urgent).writer, operation, correlation, result);
    } catch (error) {
      if (!(error instanceof GateError)) this.reportDefect(error);
      this.fail(peer, correlation, error instanceof GateError ? error : new GateError('INTERNAL'), urgent);
      return;
    }
    outbound.wrote(peer, urgent);
  }

  fail(peer: Peer, correlation: number, error: GateError, urgent = false): void {
    try {
      this.sendFailure(peer, correlation, error.toBody(), urgent);
    } catch (defect) {
      // Details that JSON cannot carry: the error itself must arrive all the same.
      this.reportDefect(defect);
      this.sendFailure(peer, correlation, new GateError('INTERNAL').toBody(), urgent);
    }
  }

  reportDefect(error: unknown): void {
    this.host.reportDefect(error);
  }

  private sendFailure(peer: Peer, correlation: number, error: ErrorBody, urgent: boolean): void {
    const { own, outbound } = this.host;
    if (peer.isSelf) {
      own.fail(correlation, error);
      return;
    }
    writeFailure(outbound.toPeer(peer, urgent).writer, correlation, error);
    outbound.wrote(peer, urgent);
  }
}
