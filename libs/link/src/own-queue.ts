import { AsyncResource } from 'node:async_hooks';
import { type BoundedError, GateError } from '@nestgate/protocol';
import { ByteReader, ByteWriter } from './bytes.js';
import type { Codec } from './codec.js';
import type { Dispatcher, IncomingCall } from './dispatcher.js';
import { assertAnswerSize, readDetails, type RequestKey } from './envelope.js';
import type { LinkCounters } from './link-counters.js';
import type { Operation } from './operation.js';
import type { Peer } from './peer.js';

/** What the queue needs of its node. */
export interface OwnQueueHost {
  readonly me: Peer;
  readonly dispatcher: Dispatcher;
  readonly counters: LinkCounters;
  reportDefect(error: unknown): void;
}

/** A message of the node to itself. */
interface OwnMessage {
  deliver(host: OwnQueueHost): void;
}

/**
 * What a node sends to itself: it arrives as it would at another node, at the end of the turn, in order, and sharing nothing
 * that either side could change. Only that most of it need not be made bytes for that.
 */
export class OwnQueue {
  private messages: OwnMessage[] = [];
  /**
   * Takes turns with {@link messages}: V8 comes to make arrays that are replaced each turn in the old generation, where what
   * they have held outlives them until the next full collection.
   */
  private spare: OwnMessage[] | undefined = undefined;
  /** How many turns of the event loop have delivered something. */
  turns = 0;
  private scheduled = false;
  private readonly writer = new ByteWriter();

  constructor(private readonly host: OwnQueueHost) {}

  /** @throws what the arguments' codec throws for what cannot travel. */
  request<A>(operation: Operation<A, unknown>, key: RequestKey, deadline: number, args: A): void {
    this.add(new OwnRequest(this.host.me, operation.id, key, deadline, this.handOver(operation.args, args)));
  }

  /** @throws {GateError} `LIMIT_EXCEEDED` for an answer that would be too large on any link, and what its codec throws. */
  reply<R>(key: RequestKey, operation: Operation<unknown, R>, result: R): void {
    this.add(new OwnAnswer(operation.id, key, this.handOver(operation.result, result, assertAnswerSize), undefined));
  }

  fail(operationId: number, key: RequestKey, { code, message, details }: BoundedError): void {
    this.add(new OwnAnswer(operationId, key, undefined, new GateError(code, message, readDetails(details))));
  }

  /** Delivers everything now, what that brings about included. */
  flush(): void {
    while (this.messages.length > 0) this.deliver();
  }

  /** Delivers what has gathered. What that brings about comes at the next turn. */
  private deliver(): void {
    const { messages, host } = this;
    this.messages = this.spare ?? [];
    // A message that flushes delivers what has gathered meanwhile, and must not get this array.
    this.spare = undefined;
    for (const message of messages) {
      try {
        message.deliver(host);
      } catch (error) {
        // Its neighbours have nothing to do with it.
        host.counters.corrupt++;
        if (!(error instanceof GateError)) host.reportDefect(error);
      }
    }
    messages.length = 0;
    this.spare = messages;
  }

  stop(): void {
    this.messages = [];
  }

  private add(message: OwnMessage): void {
    this.messages.push(message);
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.flushTurn);
  }

  /** In an async context of its own: who has begun a turn is not whom all that comes of it is about. */
  private readonly flushTurn = AsyncResource.bind((): void => {
    this.scheduled = false;
    this.turns++;
    this.deliver();
  });

  private handOver<T>(codec: Codec<T>, value: T, assertSize?: (bytes: number) => void): T {
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

class OwnRequest implements OwnMessage, IncomingCall {
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
    // As they are now: the request may have ended when this is delivered.
    this.series = key.series;
    this.generation = key.generation;
    this.slot = key.slot;
  }

  deliver({ dispatcher }: OwnQueueHost): void {
    dispatcher.run(this, this.args);
  }
}

class OwnAnswer implements OwnMessage {
  constructor(
    private readonly operationId: number,
    private readonly key: RequestKey,
    private readonly result: unknown,
    private readonly error: GateError | undefined,
  ) {}

  deliver({ me, counters }: OwnQueueHost): void {
    const { series, generation, slot } = this.key;
    const pending = me.requests.take(series, generation, slot, this.operationId);
    if (!pending) {
      counters.late++;
      return;
    }
    try {
      if (this.error) pending.fail(this.error);
      else pending.succeed(this.result);
    } catch (error) {
      // As for an answer that has come over the link: whoever waits hears of the end in any case.
      pending.fail(error instanceof GateError ? error : new GateError('LINK_CORRUPT'));
      throw error;
    }
  }
}
