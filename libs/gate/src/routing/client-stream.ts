import {
  type Codec,
  MALFORMED_BODY,
  Pending,
  type Peer,
  streamContract,
  type StreamEnd,
  UNKNOWN_STREAM,
} from '@nestgate/link/internal';
import { type Body, type ErrorCode, GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { toClientError } from './client-request.js';

/** The list of the streams of one client. */
export interface StreamOwner {
  /** The item that was queued last is to be acknowledged when the socket has taken it. */
  mark(stream: ClientStream): void;
  /** Tells the worker how many items the socket has taken. */
  tell(stream: ClientStream): void;
  /** The stream has ended. `isForgotten`: the worker does not know that. */
  remove(stream: ClientStream, isForgotten: boolean): void;
}

/** Ends of which a worker that is still there may not know. */
const ENDED_HERE: ReadonlySet<string> = new Set(['TIMEOUT', 'NODE_LOST', 'LINK_CLOSED']);

/**
 * A request whose reply is a stream, until the stream has ended. It ends once: with the answer of its worker, which comes behind the last
 * item; by its deadline, which each item moves; when the worker is lost; or because the client wants it no more, is gone, or does not
 * read. No item is sent after the end.
 *
 * One whose client comes from another gate is `coming` until that gate has forwarded all that it had, and told which of its streams have not
 * ended there. Until then nothing ends it here, and its items keep their places in the queue: without the items before them they are not sent.
 */
export class ClientStream extends Pending<StreamEnd> {
  /** Items that the worker has sent. */
  received = 0;
  /** Of those, the ones of which the worker knows that the socket has taken them. */
  written = 0;
  /** Where the last item stands among all frames for the client. */
  lastPosition = 0;
  private heardAt = performance.now();
  private isOver = false;
  private isEndedHere = false;
  /** It goes on at the gate to which the client is moving. */
  private isMoved = false;
  private isComing = false;
  /** What has ended it while it was coming. */
  private failure: GateError | undefined = undefined;
  private ending: StreamEnd | undefined = undefined;
  /** Resolves with whether the items that came meanwhile follow those of the other gate. */
  private whole: Promise<boolean> | undefined = undefined;
  private resolveWhole: ((isWhole: boolean) => void) | undefined = undefined;
  private isUnwanted = false;

  constructor(
    private readonly owner: StreamOwner,
    private readonly agent: ClientAgent,
    readonly worker: Peer,
    /** The number by which the worker names it. */
    readonly number: number,
    readonly id: number,
    readonly topic: string,
    private readonly idleMs: number,
  ) {
    super();
  }

  override get result(): Codec<StreamEnd> {
    return streamContract.begin.result;
  }

  get hasEnded(): boolean {
    return this.isOver;
  }

  /** Takes an item of the worker. */
  take(body: Body, isMarked: boolean): void {
    const { agent, id } = this;
    this.received++;
    this.heardAt = performance.now();
    const frame = agent.wire.item?.(id, body);
    if (!frame) {
      this.breakOff('INTERNAL');
    } else if (this.whole ? this.sendWhenWhole(frame, this.whole) : agent.sendFrame(frame)) {
      this.lastPosition = agent.sendPosition;
      if (isMarked) this.owner.mark(this);
    } else {
      // The policy for slow clients has acted: without this item the stream is not whole.
      this.breakOff('SLOW_CONSUMER');
    }
  }

  private sendWhenWhole(frame: Uint8Array, whole: Promise<boolean>): boolean {
    if (this.failure) return false;
    const making = whole.then(isWhole => (isWhole ? frame : undefined));
    return this.agent.deferFrame(making, frame.length);
  }

  /** The worker may not know how many items have been written. */
  tellAgain(): void {
    this.owner.tell(this);
  }

  /** Ends the stream on the gate's side, with an error. */
  breakOff(code: ErrorCode): void {
    const { table } = this;
    const error = new GateError(code);
    this.isEndedHere = true;
    if (table) table.end(this, error);
    else this.fail(error);
  }

  /** Ends the stream without an error: the client wants no more of it. */
  cancel(): void {
    const { agent, id } = this;
    if (this.isComing) this.isUnwanted = true;
    else this.release('cancel', true, () => agent.sendFrame(agent.wire.end?.(id)));
  }

  /** Ends the stream, and tells the client nothing. `isForgotten`: the worker does not know that. */
  release(how: string, isForgotten: boolean, tell?: () => void): void {
    const { agent, id, table } = this;
    this.isEndedHere = isForgotten;
    if (!this.close(how)) return;
    if (!agent.isClosed) tell?.();
    // It has ended already: this takes it out of the table.
    table?.end(this, new GateError('SESSION_NOT_FOUND'));
    agent.endStream(id);
  }

  /** The end of the stream, or, of a handler that gives none, its return value. */
  override succeed(end: StreamEnd): void {
    const { agent, id } = this;
    const { items, isMoved, body } = end;
    if (items !== this.received) {
      this.fail(new GateError('NODE_LOST'));
      return;
    }
    if (isMoved) {
      this.isMoved = true;
      return;
    }
    if (this.isComing && !agent.isClosed) {
      this.ending = end;
      return;
    }
    if (!this.close('end')) return;
    agent.counters.framesHandled++;
    if (!agent.isClosed) agent.sendFrame(body ? agent.wire.reply(id, body) : agent.wire.end?.(id));
    agent.endStream(id);
  }

  override fail(error: GateError): void {
    const { agent, id } = this;
    if (this.isComing && !agent.isClosed) {
      this.failure ??= error;
      return;
    }
    if (ENDED_HERE.has(error.code)) this.isEndedHere = true;
    if (!this.close(agent.isClosed ? 'client_gone' : 'error')) return;
    if (!agent.isClosed) this.tellClient(error);
    agent.endStream(id);
  }

  private tellClient(error: GateError): void {
    const { agent, id, topic } = this;
    // The fast path cut out the body without parsing it, and the worker found invalid JSON.
    if (error.code === MALFORMED_BODY) agent.refuseBadFrame();
    else agent.sendError(id, toClientError(error), topic);
  }

  override refuse(error: GateError): void {
    this.fail(new GateError(error.code === 'LIMIT_EXCEEDED' ? 'LINK_UNAVAILABLE' : 'INTERNAL'));
  }

  // A stream of a session that moves.

  /** The client has come from another gate, which has not said yet whether the stream has ended there. */
  await(): void {
    this.isComing = true;
    this.whole = new Promise(resolve => (this.resolveWhole = resolve));
  }

  /** Whether the stream has ended at the other gate is known now. `isSure`: no item can be missing. */
  settle(isOpen: boolean, isSure: boolean): void {
    if (!this.isComing) return;
    this.isComing = false;
    this.whole = undefined;
    this.resolveWhole?.(isOpen && isSure);
    const { failure, ending } = this;
    if (!isOpen) this.release('moved', true);
    else if (!isSure) this.breakOff('WORKER_LOST');
    else if (failure) this.fail(failure.code === UNKNOWN_STREAM ? new GateError('WORKER_LOST') : failure);
    else if (ending) this.succeed(ending);
    else if (this.isUnwanted) this.cancel();
  }

  /** The client has moved to another gate, which goes on with the stream. */
  leave(): void {
    this.release('moved', !this.isMoved);
  }

  /** The client has not moved after all. What has is lost. */
  stay(): void {
    if (this.isMoved) this.breakOff('WORKER_LOST');
  }

  /** Between two items, and before the first one, may pass so much time. That in which the client reads nothing does not count. */
  override expire(): void {
    const until = this.heardAt + this.idleMs;
    if (until > performance.now()) {
      this.table?.extend(this, until);
    } else if (this.received > this.written && !this.agent.isWritten(this.lastPosition)) {
      this.owner.tell(this);
      this.table?.extend(this, performance.now() + this.idleMs);
    } else {
      super.expire();
    }
  }

  /** False when it has ended already. */
  private close(how: string): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.agent.counters.add('streams_ended', how);
    this.owner.remove(this, this.isEndedHere);
    return true;
  }
}
