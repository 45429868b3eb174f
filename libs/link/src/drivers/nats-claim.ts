import { GateError } from '@nestgate/protocol';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeInfo } from '../link.js';
import type { NatsInterest } from './nats-interest.js';
import type { NatsSubjects } from './nats-subjects.js';

/** How long the question takes whether an id is free, in milliseconds: who has it and does not answer is as good as dead. */
const CLAIM_MS = 500;
/** The server's answer where nobody listens. */
export const NO_RESPONDERS = 503;

const HELD = 'held';
const WANTED = 'wanted';

/**
 * Takes an id for a node, and keeps it: whoever wants it too is told that it is taken. Of two that start at the same time,
 * the one that was booted first gets it.
 */
export class NatsClaim {
  /** Whether this node has the id. Until then, of two that want it the earlier boot gets it. */
  private isHeld = false;
  private decide: ((isTaken: boolean) => void) | undefined;

  constructor(
    private readonly self: NodeInfo,
    private readonly subjects: NatsSubjects,
    private readonly interest: NatsInterest,
  ) {
    interest.add(subjects.taken, msg => this.hear(msg));
    interest.add(subjects.id(self.id), msg => void msg.respond(`${this.isHeld ? HELD : WANTED} ${self.epoch}`));
  }

  /** Can be called again, with each connection. @throws {GateError} `BAD_ARGUMENT` when another node has the id. */
  async take(nats: NatsConnection): Promise<void> {
    const { id } = this.self;
    this.isHeld = false;
    await this.interest.whenHeard(this.subjects.id(id));
    let timer: NodeJS.Timeout | undefined;
    const isTaken = await new Promise<boolean>(resolve => {
      this.decide = resolve;
      timer = setTimeout(() => resolve(false), CLAIM_MS);
      nats.publish(this.subjects.id(id), undefined, { reply: this.subjects.taken });
    });
    clearTimeout(timer);
    if (isTaken) throw new GateError('BAD_ARGUMENT', `A node with the id "${id}" is on the link already`);
    this.isHeld = true;
  }

  private hear(msg: Msg): void {
    if (msg.headers?.code === NO_RESPONDERS) {
      this.decide?.(false);
      return;
    }
    const [state, epoch = ''] = msg.string().split(' ');
    if (state === HELD || epoch <= this.self.epoch) this.decide?.(true);
  }
}
