import { GateError } from '@nestgate/protocol';
import type { Defects } from '../common/defects.js';
import type { ByteReader } from '../wire/bytes.js';
import type { Contract, Operation } from '../wire/operation.js';
import type { IncomingCall } from '../peer/peer.js';

/**
 * One handler per operation of a contract. Handlers of operations on a named node send the answer themselves, with `call.peer.reply` or
 * `call.peer.fail`, so that they need no promise. All other handlers return the result.
 */
export type Handlers<C extends Contract> = {
  [K in keyof C]: C[K] extends Operation<infer A, infer R, infer T>
    ? T extends 'node'
      ? (args: A, call: IncomingCall) => void
      : (args: A, call: IncomingCall) => R | Promise<R>
    : never;
};

interface Entry {
  readonly operation: Operation<unknown, unknown>;
  readonly handle: (args: unknown, call: IncomingCall) => unknown;
}

/** Runs the handlers of the contracts that a node serves. */
export class Dispatcher {
  private readonly entries = new Map<number, Entry>();

  constructor(private readonly defects: Defects) {}

  /** Registers the handlers of a contract. Replaces handlers that are already registered. */
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
    if (call.generation !== 0) call.peer.fail(call, new GateError('UNKNOWN_OPERATION'));
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
        .catch((error: unknown) => this.defects.report(error, 'handler'));
    } else {
      this.answer(call, operation, result);
    }
  }

  private answer(call: IncomingCall, operation: Operation<unknown, unknown>, result: unknown): void {
    if (call.generation !== 0) call.peer.reply(call, operation, result);
  }

  private refuse(call: IncomingCall, { urgent }: Operation<unknown, unknown>, error: unknown): void {
    const coded = error instanceof GateError ? error : undefined;
    // An error without a code is a defect of a handler or hook: its text is logged here, and only the code `INTERNAL` is sent.
    if (!coded) this.defects.report(error, 'handler');
    if (call.generation !== 0) call.peer.fail(call, coded ?? new GateError('INTERNAL'), urgent);
  }
}
