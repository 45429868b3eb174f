import { GateError } from '@nestgate/protocol';
import type { ByteReader } from './bytes.js';
import { Deadline } from './deadline-wheel.js';
import type { Operation } from './operation.js';
import type { Peer } from './peer.js';

/** A request that waits for its answer. Ends exactly once: by an answer, its deadline, or the loss of the peer. */
export abstract class Pending extends Deadline {
  /** 0 when it does not wait (any more). */
  correlation = 0;
  peer: Peer | undefined = undefined;

  /** The answer has come; the reader stands at the result. */
  abstract succeed(reader: ByteReader): void;
  abstract fail(error: GateError): void;

  /** The node ends what is late, since it must forget it too. */
  override expire(): void {
    this.fail(new GateError('TIMEOUT'));
  }
}

/** A request whose answer settles a promise. */
export class PendingCall<A, R> extends Pending {
  private settleResult!: (result: R) => void;
  private settleError!: (error: GateError) => void;
  readonly promise = new Promise<R>((resolve, reject) => {
    this.settleResult = resolve;
    this.settleError = reject;
  });

  constructor(private readonly operation: Operation<A, R>) {
    super();
  }

  override succeed(reader: ByteReader): void {
    this.settleResult(this.operation.result.read(reader));
  }

  override fail(error: GateError): void {
    this.settleError(error);
  }
}
