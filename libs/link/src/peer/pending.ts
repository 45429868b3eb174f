import { GateError } from '@nestgate/protocol';
import { randomInt } from 'node:crypto';
import { Deadline, DeadlineWheel } from '../common/deadline-wheel.js';
import type { Codec } from '../wire/codec.js';
import type { RequestKey } from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';

/** Where a request waits: the table of the peer that it was sent to. */
export interface PendingOwner {
  /** Ends a request, unless it has ended. */
  end(pending: Pending, error: GateError): void;
  /** Gives a request more time. For one whose time is over: called in its `expire`. */
  extend(pending: Pending, deadline: number): void;
}

/**
 * A request that waits for its answer. Ends exactly once: by an answer, its deadline, the loss of the peer, or because it
 * could not be sent.
 */
export abstract class Pending<R = unknown> extends Deadline implements RequestKey {
  series = 0;
  /** 0 when it does not wait (any more). */
  generation = 0;
  slot = 0;
  /** The id of the operation that it asks for: only an answer of this one ends it. */
  operationId = 0;
  /** Where it waits; `undefined` when it does not (any more). */
  table: PendingOwner | undefined = undefined;
  /** The number of the batch that it was sent with; 0 until it has been sent. */
  batch = 0;
  /** The request before it in a batch that has not left yet. */
  previousInBatch: Pending | undefined = undefined;

  /** How the answer travels. */
  abstract get result(): Codec<R>;
  /** The answer has come. */
  abstract succeed(result: R): void;
  abstract fail(error: GateError): void;

  /** It was not sent, because of its arguments or of a limit of this node. */
  refuse(error: GateError): void {
    this.fail(error);
  }

  /** The table ends what is late, since it must forget it too. */
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

/** Requests of a node that may wait at a time. */
const MAX_WAITING = 1 << 20;
/** Series have 31 bits, which V8 keeps without a box. */
const MAX_SERIES = 2 ** 31 - 1;

/** What the request tables of a node share: one timer, one bound, and the numbers of their series. */
export class RequestPool {
  /** Requests that wait now, for all peers together. */
  size = 0;
  /** How many may wait at a time. */
  limit = MAX_WAITING;
  readonly wheel = new DeadlineWheel(undefined, error => this.reportDefect(error));
  /** Begins anywhere, so that answers of an earlier boot of the node name no series of this one. */
  private series = randomInt(MAX_SERIES);

  /** `reportDefect` is told what a request throws when it ends. */
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
