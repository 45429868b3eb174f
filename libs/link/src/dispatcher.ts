import { GateError } from '@nestgate/protocol';
import type { ByteReader } from './bytes.js';
import type { RequestKey } from './envelope.js';
import type { Contract, Operation } from './operation.js';
import type { Peer } from './peer.js';

/** Where a request came from, for handlers that answer later or need to know their caller. */
export interface IncomingCall extends RequestKey {
  readonly peer: Peer;
  /** The id of the operation. */
  readonly operationId: number;
  /** When the caller gives up, in milliseconds of this node's `performance.now()`. */
  readonly deadline: number;
}

/**
 * One handler per operation of a contract. Operations on a named node answer by themselves with `node.reply` or
 * `node.fail` (they may do so without a promise); all others return their result.
 */
export type Handlers<C extends Contract> = {
  [K in keyof C]: C[K] extends Operation<infer A, infer R, infer T>
    ? T extends 'node'
      ? (args: A, call: IncomingCall) => void
      : (args: A, call: IncomingCall) => R | Promise<R>
    : never;
};

/** How answers leave. */
export interface Replier {
  reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void;
  fail(call: IncomingCall, error: GateError, urgent?: boolean): void;
  reportDefect(error: unknown): void;
}

interface Entry {
  readonly operation: Operation<unknown, unknown>;
  readonly handle: (args: unknown, call: IncomingCall) => unknown;
}

/** Runs the handlers of the contracts that a node serves. */
export class Dispatcher {
  private readonly entries = new Map<number, Entry>();

  constructor(private readonly node: Replier) {}

  /** Serves a contract. Operations that another call has registered are replaced. */
  serve<C extends Contract>(contract: C, handlers: Handlers<C>): void {
    for (const [name, operation] of Object.entries(contract)) {
      const handle = handlers[name as keyof C];
      this.entries.set(operation.id, { operation, handle });
    }
  }

  /** Runs a request of a peer. */
  dispatch(call: IncomingCall, reader: ByteReader): void {
    const entry = this.entries.get(call.operationId);
    if (entry) this.handle(entry, entry.operation.args.read(reader), call);
    else this.refuseUnknown(call);
  }

  /** Runs a request of the node itself. */
  run(call: IncomingCall, args: unknown): void {
    const entry = this.entries.get(call.operationId);
    if (entry) this.handle(entry, args, call);
    else this.refuseUnknown(call);
  }

  private refuseUnknown(call: IncomingCall): void {
    if (call.generation !== 0) this.node.fail(call, new GateError('UNKNOWN_OPERATION'));
  }

  private handle({ operation, handle }: Entry, args: unknown, call: IncomingCall): void {
    let result: unknown;
    try {
      result = handle(args, call);
    } catch (error) {
      this.refuse(call, operation, error);
      return;
    }
    if (operation.to === 'node') return;
    if (result instanceof Promise) {
      result
        .then(
          value => this.answer(call, operation, value),
          (error: unknown) => this.refuse(call, operation, error),
        )
        .catch((error: unknown) => this.node.reportDefect(error));
    } else {
      this.answer(call, operation, result);
    }
  }

  private answer(call: IncomingCall, operation: Operation<unknown, unknown>, result: unknown): void {
    if (call.generation !== 0) this.node.reply(call, operation, result);
  }

  private refuse(call: IncomingCall, { urgent }: Operation<unknown, unknown>, error: unknown): void {
    const coded = error instanceof GateError ? error : undefined;
    // An error without a code is a defect of a handler or hook: its text stays here, its code travels.
    if (!coded) this.node.reportDefect(error);
    if (call.generation !== 0) this.node.fail(call, coded ?? new GateError('INTERNAL'), urgent);
  }
}
