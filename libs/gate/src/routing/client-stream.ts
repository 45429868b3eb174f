import { type Codec, MALFORMED_BODY, Pending, type Peer, streamContract } from '@nestgate/link/internal';
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
 */
export class ClientStream extends Pending<Body | undefined> {
  /** Items that the worker has sent. */
  received = 0;
  /** Of those, the ones of which the worker knows that the socket has taken them. */
  written = 0;
  /** Where the last item stands among all frames for the client. */
  lastPosition = 0;
  private heardAt = performance.now();
  private isOver = false;
  private isEndedHere = false;

  constructor(
    private readonly owner: StreamOwner,
    private readonly agent: ClientAgent,
    readonly worker: Peer,
    /** The number by which the worker names it. */
    readonly number: number,
    readonly id: number,
    private readonly topic: string,
    private readonly idleMs: number,
  ) {
    super();
  }

  override get result(): Codec<Body | undefined> {
    return streamContract.begin.result;
  }

  /** Takes an item of the worker. */
  take(body: Body, isMarked: boolean): void {
    const { agent, id } = this;
    this.received++;
    this.heardAt = performance.now();
    const frame = agent.wire.item?.(id, body);
    if (!frame) {
      this.breakOff('INTERNAL');
    } else if (agent.sendFrame(frame)) {
      this.lastPosition = agent.sendPosition;
      if (isMarked) this.owner.mark(this);
    } else {
      // The policy for slow clients has acted: without this item the stream is not whole.
      this.breakOff('SLOW_CONSUMER');
    }
  }

  /** Ends the stream on the gate's side, with an error. */
  breakOff(code: ErrorCode): void {
    this.isEndedHere = true;
    this.table?.end(this, new GateError(code));
  }

  /** Ends the stream without an error: the client wants no more of it. */
  cancel(): void {
    const { agent, id, table } = this;
    this.isEndedHere = true;
    if (!this.close('cancel')) return;
    if (!agent.isClosed) agent.sendFrame(agent.wire.end?.(id));
    // It has ended already: this takes it out of the table.
    table?.end(this, new GateError('SESSION_NOT_FOUND'));
    agent.endStream(id);
  }

  /** The end of the stream, or, of a handler that gives none, its return value. */
  override succeed(body: Body | undefined): void {
    const { agent, id } = this;
    if (!this.close('end')) return;
    agent.counters.framesHandled++;
    if (!agent.isClosed) agent.sendFrame(body ? agent.wire.reply(id, body) : agent.wire.end?.(id));
    agent.endStream(id);
  }

  override fail(error: GateError): void {
    const { agent, id } = this;
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
