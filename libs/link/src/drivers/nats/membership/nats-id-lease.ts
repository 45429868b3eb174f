import { GateError } from '@nestgate/protocol';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeInfo } from '../../../link.js';
import type { NatsSubscriptions } from '../connection/nats-subscriptions.js';
import type { NatsSubjects } from '../nats-subjects.js';

/** How long to wait for an answer from a holder of the id, in milliseconds. A holder that does not answer counts as dead. */
const ACQUIRE_MS = 500;
/** Status code of the server's reply when a subject has no subscriber. */
export const NO_RESPONDERS = 503;

const HELD = 'held';
const WANTED = 'wanted';

/**
 * Acquires and holds the id of a node. Another node that requests the same id receives a refusal. When two nodes start at
 * the same time, the earlier boot acquires the id.
 */
export class NatsIdLease {
  /** Whether this node holds the id. Until then the earlier boot wins. */
  private isHeld = false;
  private decide: ((isTaken: boolean) => void) | undefined;

  constructor(
    private readonly self: NodeInfo,
    private readonly subjects: NatsSubjects,
    private readonly subscriptions: NatsSubscriptions,
  ) {
    subscriptions.add(subjects.taken, msg => this.hear(msg));
    subscriptions.add(subjects.id(self.id), msg => void msg.respond(`${this.isHeld ? HELD : WANTED} ${self.epoch}`));
  }

  /** Can be repeated on each connection. @throws {GateError} `BAD_ARGUMENT` when another node holds the id. */
  async acquire(nats: NatsConnection): Promise<void> {
    const { id } = this.self;
    this.isHeld = false;
    await this.subscriptions.whenConfirmed(this.subjects.id(id));
    let timer: NodeJS.Timeout | undefined;
    const isTaken = await new Promise<boolean>(resolve => {
      this.decide = resolve;
      timer = setTimeout(() => resolve(false), ACQUIRE_MS);
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
