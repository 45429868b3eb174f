import { GateError } from '@nestgate/protocol';
import type { Codec } from './codec.js';
import { Deadline } from './deadline-wheel.js';
import type { Operation } from './operation.js';
import type { Peer } from './peer.js';

/** A request that waits for its answer. Ends exactly once: by an answer, its deadline, or the loss of the peer. */
export abstract class Pending<R = unknown> extends Deadline {
  /** 0 when it does not wait (any more). */
  correlation = 0;
  peer: Peer | undefined = undefined;
  /** The number of the batch that it was sent with. */
  batch = 0;

  /** How the answer travels. */
  abstract get result(): Codec<R>;
  /** The answer has come. */
  abstract succeed(result: R): void;
  abstract fail(error: GateError): void;

  /** The node ends what is late, since it must forget it too. */
  override expire(): void {
    this.fail(new GateError('TIMEOUT'));
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
