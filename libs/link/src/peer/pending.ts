import { GateError } from '@nestgate/protocol';
import { randomInt } from 'node:crypto';
import { Deadline, DeadlineWheel } from '../common/deadline-wheel.js';
import type { Codec } from '../wire/codec.js';
import type { RequestKey } from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';

/** The request table of the peer that a request was sent to. */
export interface PendingOwner {
  /** Ends a request, unless it has ended. */
  end(pending: Pending, error: GateError): void;
  /** Sets a later deadline. Called in the `expire` of the request. */
  extend(pending: Pending, deadline: number): void;
}

/**
 * A request that waits for its answer. It ends exactly once: with an answer, at its deadline, with the loss of the peer, or because it
 * could not be sent.
 */
export abstract class Pending<R = unknown> extends Deadline implements RequestKey {
  series = 0;
  /** 0 when the request does not wait. */
  generation = 0;
  slot = 0;
  /** The id of the requested operation. Only an answer to this operation ends the request. */
  operationId = 0;
  /** The table that it waits in; `undefined` when it does not wait. */
  table: PendingOwner | undefined = undefined;
  /** The number of the batch that it was sent with; 0 until it has been sent. */
  batch = 0;
  /** The previous request in a batch that was not sent yet. */
  previousInBatch: Pending | undefined = undefined;

  /** The codec of the answer. */
  abstract get result(): Codec<R>;
  /** The answer has arrived. */
  abstract succeed(result: R): void;
  abstract fail(error: GateError): void;

  /** The request was not sent, because of its arguments or a limit of this node. */
  refuse(error: GateError): void {
    this.fail(error);
  }

  /** The table ends the request, because it must also remove it. */
  override expire(): void {
    this.table?.end(this, new GateError('TIMEOUT'));
  }
}

/** A request whose answer settles a promise. */
export class PendingCall<A, R> extends Pending<R> {
  private settleResult!: (result: R) => void;
  private settleError!: (error: GateError) => void;
  readonly promise = new Promise<R>((resolve, reject) => {
    this.settleResult = resolve;
    this.settleError = reject;
  });

  constructor(private readonly operation: Operation<A, R>) {
    super();
  }

  override get result(): Codec<R> {
    return this.operation.result;
  }

  override succeed(result: R): void {
    this.settleResult(result);
  }

  override fail(error: GateError): void {
    this.settleError(error);
  }
}

/** Maximum number of waiting requests of a node. */
const MAX_WAITING = 1 << 20;
/** Series have 31 bits, which V8 stores without allocation. */
const MAX_SERIES = 2 ** 31 - 1;

/** State that the request tables of a node share: one timer, one bound, and the numbers of their series. */
export class RequestPool {
  /** Waiting requests to all peers. */
  size = 0;
  /** Maximum number of waiting requests. */
  limit = MAX_WAITING;
  readonly wheel = new DeadlineWheel(undefined, error => this.reportDefect(error));
  /** Starts with a random number, so that answers to an earlier boot of the node do not match a series of this one. */
  private series = randomInt(MAX_SERIES);

  /** `reportDefect` receives exceptions of requests that end. */
  constructor(readonly reportDefect: (error: unknown) => void) {}

  /** A number that no other series of this boot has. */
  nextSeries(): number {
    this.series = (this.series % MAX_SERIES) + 1;
    return this.series;
  }

  /** Ends the timer. */
  close(): void {
    this.wheel.stop();
  }
}
