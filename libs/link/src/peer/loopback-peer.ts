import { AsyncResource } from 'node:async_hooks';
import { boundError, GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../link.js';
import { ByteReader, ByteWriter } from '../wire/bytes.js';
import type { Codec } from '../wire/codec.js';
import { assertAnswerSize, NO_ANSWER, readDetails, type RequestKey } from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';
import { type IncomingCall, Peer, type PeerContext } from './peer.js';
import type { Pending } from './pending.js';

/** Runs a request. */
type Run = (call: IncomingCall, args: unknown) => void;

/** A message of the node to itself. */
interface LoopbackMessage {
  deliver(peer: LoopbackPeer): void;
}

/**
 * The node itself as a peer. Messages arrive as at another node: at the end of the turn, in order, and without shared mutable state.
 * Most messages need no encoding for that.
 */
export class LoopbackPeer extends Peer {
  /** Number of event loop turns that have delivered messages. */
  turns = 0;
  private messages: LoopbackMessage[] = [];
  /**
   * Alternates with {@link messages}, so that neither array is replaced. V8 would allocate an array that is replaced on each turn in the
   * old generation, where its former contents survive until the next full collection.
   */
  private spare: LoopbackMessage[] | undefined = undefined;
  private isScheduled = false;
  private readonly writer = new ByteWriter();

  constructor(
    info: NodeInfo,
    context: PeerContext,
    /** @internal */
    readonly run: Run,
  ) {
    super(info, context);
  }

  override request<A>(operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    try {
      this.requests.add(pending, operation.id, deadline);
      this.add(new LoopbackRequest(this, operation.id, pending, deadline, this.copy(operation.args, args)));
    } catch (error) {
      this.refuse(pending, error);
    }
  }

  override notify<A>(operation: Operation<A, unknown>, args: A): void {
    this.add(new LoopbackRequest(this, operation.id, NO_ANSWER, 0, this.copy(operation.args, args)));
  }

  override reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void {
    try {
      const copy = this.copy(operation.result, result, assertAnswerSize);
      this.add(new LoopbackAnswer(operation.id, call, copy, undefined));
    } catch (error) {
      this.replyFailed(call, error, operation.urgent === true);
    }
  }

  override fail(call: IncomingCall, error: GateError): void {
    const { code, message, details, isTruncated } = boundError(error.toBody());
    if (isTruncated) this.context.counters.truncated++;
    const copy = new GateError(code, message, readDetails(details));
    this.add(new LoopbackAnswer(call.operationId, call, undefined, copy));
  }

  override whenDrained(): undefined {
    return undefined;
  }

  override get isFlowing(): boolean {
    return true;
  }

  override get waitingBytes(): number {
    return 0;
  }

  /** Delivers all messages now, including those that their handlers send. */
  flush(): void {
    while (this.messages.length > 0) this.deliver();
  }

  /** Drops the waiting messages. */
  stop(): void {
    this.messages = [];
  }

  /** Ends the request of an answer. */
  settle(operationId: number, { series, generation, slot }: RequestKey, result: unknown, error?: GateError): void {
    const pending = this.requests.take(series, generation, slot, operationId);
    if (!pending) {
      this.context.counters.late++;
      return;
    }
    try {
      if (error) pending.fail(error);
      else pending.succeed(result);
    } catch (defect) {
      // As with an answer from another node, the request must end in any case.
      pending.fail(defect instanceof GateError ? defect : new GateError('LINK_CORRUPT'));
      throw defect;
    }
  }

  /** Delivers the waiting messages. Messages that their handlers send wait for the next turn. */
  private deliver(): void {
    const { messages, context } = this;
    this.messages = this.spare ?? [];
    // A handler that flushes delivers messages that were written meanwhile, and must not use this array.
    this.spare = undefined;
    for (const message of messages) {
      try {
        message.deliver(this);
      } catch (error) {
        // An exception does not affect the other messages of the turn.
        context.counters.corrupt++;
        if (!(error instanceof GateError)) context.defects.report(error, 'handler');
      }
    }
    messages.length = 0;
    this.spare = messages;
  }

  private add(message: LoopbackMessage): void {
    this.messages.push(message);
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(this.flushTurn);
  }

  /** Runs in its own async context: a turn has messages of several callers, not only of the first. */
  private readonly flushTurn = AsyncResource.bind((): void => {
    this.isScheduled = false;
    this.turns++;
    this.deliver();
  });

  /**
   * A value as the receiver would decode it.
   * @throws the error of the codec for a value that cannot be encoded, and `LIMIT_EXCEEDED` for an answer that would be too large on any link.
   */
  private copy<T>(codec: Codec<T>, value: T, assertSize?: (bytes: number) => void): T {
    if (codec.own) return codec.own(value);
    const { writer } = this;
    try {
      codec.write(writer, value);
      assertSize?.(writer.size);
    } catch (error) {
      writer.truncate(0);
      throw error;
    }
    return codec.read(new ByteReader(writer.take()));
  }
}

class LoopbackRequest implements LoopbackMessage, IncomingCall {
  readonly series: number;
  readonly generation: number;
  readonly slot: number;

  constructor(
    readonly peer: Peer,
    readonly operationId: number,
    key: RequestKey,
    readonly deadline: number,
    private readonly args: unknown,
  ) {
    // Copied now: the request may have ended when this is delivered.
    this.series = key.series;
    this.generation = key.generation;
    this.slot = key.slot;
  }

  deliver(peer: LoopbackPeer): void {
    peer.run(this, this.args);
  }
}

class LoopbackAnswer implements LoopbackMessage {
  constructor(
    private readonly operationId: number,
    private readonly key: RequestKey,
    private readonly result: unknown,
    private readonly error: GateError | undefined,
  ) {}

  deliver(peer: LoopbackPeer): void {
    peer.settle(this.operationId, this.key, this.result, this.error);
  }
}
