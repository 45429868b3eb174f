import type { LinkNode } from '@nestgate/link';
import { birthGateOf, type Peer, pushContract, type PushMessage, serialWithPrefix } from '@nestgate/link/internal';
import { type Body, NO_BODY } from '@nestgate/protocol';

/** Pushes to one client whose outcome nobody asks for: what handlers send most, and so the shortest way that there is. */
export class SinglePush {
  /** Reused for each push: it is written to the link immediately. */
  protected readonly message: PushMessage = { serial: 0, topic: '', body: NO_BODY };
  /** The gate of the last push: most workers have few gates. */
  private gate: Peer | undefined;

  constructor(protected readonly node: LinkNode) {}

  /**
   * Sends what has been checked and encoded. Returns the gate that it is on its way to; `undefined`, and nothing is sent,
   * when that is not there, or something is wrong with the link: the general way knows what to say then.
   */
  send(clientId: string, topic: string, body: Body): Peer | undefined {
    const { node, message } = this;
    if (!node.isUp) return undefined;
    const gate = this.gateOf(clientId);
    if (!gate) return undefined;
    message.serial = serialWithPrefix(clientId, gate.clientPrefix);
    // Nobody has such an id; the gate need not be told.
    if (message.serial === 0) return gate;
    message.topic = topic;
    message.body = body;
    gate.notify(pushContract.one, message);
    return gate;
  }

  private gateOf(clientId: string): Peer | undefined {
    const { gate, node } = this;
    const isSame = gate && clientId.startsWith(gate.clientPrefix) && node.peers.get(gate.info.id) === gate;
    if (!isSame) this.gate = birthGateOf(node, clientId);
    return this.gate;
  }
}

/** The same where sessions have moved to other gates than those that their ids name. */
export class RoutedPush extends SinglePush {
  override send(clientId: string, topic: string, body: Body): Peer | undefined {
    const { node, message } = this;
    const holder = node.holders.find(clientId);
    if (!holder) return super.send(clientId, topic, body);
    if (!node.isUp) return undefined;
    message.serial = holder.serial;
    message.topic = topic;
    message.body = body;
    holder.peer.notify(pushContract.one, message);
    return holder.peer;
  }
}
