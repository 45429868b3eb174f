import { GateError } from '@nestgate/protocol';
import type { ByteReader } from './bytes.js';
import type { Contract, Operation } from './operation.js';
import type { Peer } from './peer.js';

/** Where a request came from, for handlers that answer later or need to know their caller. */
export interface IncomingCall {
  readonly peer: Peer;
  /** 0 when the caller wants no answer. */
  readonly correlation: number;
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
  reply<R>(peer: Peer, correlation: number, operation: Operation<unknown, R>, result: R): void;
  fail(peer: Peer, correlation: number, error: GateError, urgent?: boolean): void;
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

  dispatch(peer: Peer, operationId: number, correlation: number, deadline: number, reader: ByteReader): void {
    const entry = this.entries.get(operationId);
    if (!entry) {
      if (correlation !== 0) this.node.fail(peer, correlation, new GateError('UNKNOWN_OPERATION'));
      return;
    }
    this.handle(entry, entry.operation.args.read(reader), { peer, correlation, deadline });
  }

  /** Runs a request of the node itself. */
  run(operationId: number, args: unknown, call: IncomingCall): void {
    const entry = this.entries.get(operationId);
    if (entry) this.handle(entry, args, call);
    else if (call.correlation !== 0) this.node.fail(call.peer, call.correlation, new GateError('UNKNOWN_OPERATION'));
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
      result.then(
        value => this.answer(call, operation, value),
        (error: unknown) => this.refuse(call, operation, error),
      );
    } else {
      this.answer(call, operation, result);
    }
  }

  private answer(call: IncomingCall, operation: Operation<unknown, unknown>, result: unknown): void {
    if (call.correlation !== 0) this.node.reply(call.peer, call.correlation, operation, result);
  }

  private refuse(call: IncomingCall, { urgent }: Operation<unknown, unknown>, error: unknown): void {
    const coded = error instanceof GateError ? error : undefined;
    // An error without a code is a defect of a handler or hook: its text stays here, its code travels.
    if (!coded) this.node.reportDefect(error);
    if (call.correlation !== 0) this.node.fail(call.peer, call.correlation, coded ?? new GateError('INTERNAL'), urgent);
  }
}
