import { GateError } from '@nestgate/protocol';
import type { NodeId, NodeInfo } from '../link.js';
import type { Verdict } from './tcp-greeting.js';

/** What a roster needs to know of a connection. */
export interface RosterEntry {
  readonly isDialer: boolean;
  /** Who is at the other end, once it has proved itself. */
  readonly proved: NodeInfo | undefined;
  destroy(): void;
}

/**
 * The nodes that a node is connected with, by one connection each. Two nodes may try several at once: by a name and an
 * address, by two addresses of one host, or each by dialling the other. Who has dialled knows best what it has; between two
 * that dial each other at the same time, the one with the smaller id does.
 */
export class TcpRoster<C extends RosterEntry> {
  /** What the peers have said of themselves. */
  readonly known = new Map<NodeId, NodeInfo>();
  readonly channels = new Map<NodeId, C>();
  /** Dialled connections that wait for the listener's last word. */
  private readonly courting = new Map<NodeId, C>();

  constructor(
    private readonly self: NodeInfo,
    /** Whether other gates may connect to this one. */
    private readonly takesGates: boolean,
  ) {}

  /**
   * The node at the other end has proved itself.
   * @throws {GateError} `FORBIDDEN` for a role that is not expected, `BAD_ARGUMENT` for an id that is taken.
   */
  meet(channel: C, peer: NodeInfo): Verdict {
    const isGate = peer.role === 'gate';
    if (channel.isDialer ? !isGate : isGate && !this.takesGates && !this.isSelf(peer)) {
      // Only what was dialled as a gate is one, unless this gate was told that it has peers.
      throw new GateError('FORBIDDEN', `A node of the role ${peer.role} is not expected here`);
    }
    // A gate's own address may stand among those of its peers.
    if (this.isSelf(peer)) return 'twin';
    this.checkId(peer);
    if (!channel.isDialer) return 'go';
    if (this.channels.has(peer.id) || this.courting.has(peer.id)) return 'twin';
    this.courting.set(peer.id, channel);
    return 'go';
  }

  /**
   * The node at the other end is ready, and so it is not connected otherwise as far as it knows.
   * @throws {GateError} `BAD_ARGUMENT` for an id that is taken.
   */
  admit(channel: C, peer: NodeInfo): Verdict {
    this.checkId(peer);
    const { id } = peer;
    const incumbent = this.channels.get(id);
    if (channel.isDialer) return incumbent ? 'twin' : 'go';
    // One that this node has dialled itself is not given up for another: when it is dead, that shows by itself.
    if (incumbent?.isDialer) return 'twin';
    const own = this.courting.get(id);
    if (own && this.self.id < id) return 'twin';
    own?.destroy();
    return 'go';
  }

  /** Both sides have agreed. Returns the connection that this one replaces: its node has lost it, and come back. */
  enter(channel: C, peer: NodeInfo): C | undefined {
    const { id } = peer;
    const incumbent = this.channels.get(id);
    this.courting.delete(id);
    this.channels.set(id, channel);
    this.known.set(id, peer);
    return incumbent;
  }

  /** What a peer says of itself has changed. Returns false for a connection that has been replaced. */
  update(channel: C, peer: NodeInfo): boolean {
    if (!this.has(channel)) return false;
    this.known.set(peer.id, peer);
    return true;
  }

  /** Whether a connection is the one with its node. */
  has(channel: C): boolean {
    return channel.proved !== undefined && this.channels.get(channel.proved.id) === channel;
  }

  /** Removes a connection that has ended. Says what it was. */
  remove(channel: C): 'peer' | 'courting' | undefined {
    const id = channel.proved?.id;
    if (id === undefined) return undefined;
    if (this.courting.get(id) === channel) {
      this.courting.delete(id);
      return 'courting';
    }
    if (!this.has(channel)) return undefined;
    this.channels.delete(id);
    this.known.delete(id);
    return 'peer';
  }

  /** Whether a node is connected, or about to be. */
  includes(id: NodeId): boolean {
    return this.channels.has(id) || this.courting.has(id) || id === this.self.id;
  }

  private isSelf({ epoch, id }: NodeInfo): boolean {
    return id === this.self.id && epoch === this.self.epoch;
  }

  /** Another boot of a node is another node: the one that was here first keeps the id. */
  private checkId({ epoch, id }: NodeInfo): void {
    const incumbent = id === this.self.id ? this.self : this.known.get(id);
    if (incumbent && incumbent.epoch !== epoch) throw new GateError('BAD_ARGUMENT', `The id "${id}" is taken`);
  }
}
