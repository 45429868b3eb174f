import { type Codec, MALFORMED_BODY, Pending, topicContract } from '@nestgate/link/internal';
import { type Body, BodyKind, BodySlice, type ErrorBody, GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';

/** What the loss of a worker, in its various forms, means to a client. */
const LOST: ReadonlySet<string> = new Set(['NODE_LOST', 'LINK_CLOSED', 'LINK_CORRUPT', 'UNKNOWN_OPERATION']);

/** A client's frame that a worker has, until it is answered. Each ends once, and frees its credit. */
export class ClientRequest extends Pending<Body> {
  constructor(
    private readonly agent: ClientAgent,
    private readonly topic: string,
    private readonly id: number,
  ) {
    super();
  }

  override get result(): Codec<Body> {
    return topicContract.message.result;
  }

  override succeed(body: Body): void {
    const { agent, id, topic } = this;
    agent.counters.framesHandled++;
    if (agent.isClosed) this.noteDropped();
    else if (id > 0) this.reply(body);
    else if (agent.wire.pushesResults && body.kind !== BodyKind.none) agent.pushBody(topic, body);
    agent.endRequest(id);
  }

  private reply(body: Body): void {
    const { agent, id } = this;
    const { wire } = agent;
    agent.sendFrame(wire.reply(id, body));
    if (wire.copiesBodies === true && body instanceof BodySlice) body.release();
  }

  override fail(error: GateError): void {
    const { agent, id, topic } = this;
    // The fast path cut out the body without parsing it, and the worker found invalid JSON.
    if (error.code === MALFORMED_BODY) agent.refuseBadFrame();
    else agent.sendError(id, toClientError(error), topic);
    if (agent.isClosed) this.noteDropped();
    agent.endRequest(id);
  }

  /** No worker has received the frame. Only API calls get `LIMIT_EXCEEDED`. */
  override refuse(error: GateError): void {
    this.fail(new GateError(error.code === 'LIMIT_EXCEEDED' ? 'LINK_UNAVAILABLE' : 'INTERNAL'));
  }

  /** The client has gone before its answer came; one that asked for none misses nothing. */
  private noteDropped(): void {
    if (this.id > 0) this.agent.counters.add('answers_dropped', 'client_gone');
  }
}

/** What an error of a worker, or of the way to it, is to a client. */
export function toClientError(error: GateError): ErrorBody {
  if (LOST.has(error.code)) return new GateError('WORKER_LOST').toBody();
  if (error.code === 'LINK_UNAVAILABLE') return new GateError('NO_WORKER').toBody();
  return error.toBody();
}
