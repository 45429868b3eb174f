import { type ByteReader, MALFORMED_BODY, Pending, topicContract } from '@nestgate/link';
import { type Body, BodyKind, type ErrorBody, GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../connection/client-agent.js';

/** What the loss of a worker, in its various forms, means to a client. */
const LOST: ReadonlySet<string> = new Set(['NODE_LOST', 'LINK_CLOSED', 'LINK_CORRUPT', 'UNKNOWN_OPERATION']);

/** A client's frame that a worker has, until it is answered. Each ends once, and frees its credit. */
export class ClientRequest extends Pending {
  constructor(
    private readonly agent: ClientAgent,
    private readonly topic: string,
    private readonly id: number,
  ) {
    super();
  }

  override succeed(reader: ByteReader): void {
    const { agent, id, topic } = this;
    const body: Body = topicContract.message.result.read(reader);
    if (id > 0) agent.sendFrame(agent.wire.reply(id, body));
    else if (agent.wire.pushesResults && body.kind !== BodyKind.none) agent.pushBody(topic, body);
    agent.endRequest(id);
  }

  override fail(error: GateError): void {
    const { agent, id, topic } = this;
    // The frame was sliced without being parsed, and turned out not to be JSON.
    if (error.code === MALFORMED_BODY) agent.refuseBadFrame();
    else agent.sendError(id, this.toClient(error), topic);
    agent.endRequest(id);
  }

  private toClient(error: GateError): ErrorBody {
    if (LOST.has(error.code)) return new GateError('WORKER_LOST').toBody();
    if (error.code === 'LINK_UNAVAILABLE') return new GateError('NO_WORKER').toBody();
    return error.toBody();
  }
}
