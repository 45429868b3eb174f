import { GateError } from '@nestgate/protocol';
import type { NodeId, NodeInfo } from '../../link.js';
import type { Verdict } from './tcp-greeting.js';

/** What the peer table needs from a connection. */
export interface TcpPeerTableEntry {
  readonly isDialer: boolean;
  /** The node at the other end, after its proof was verified. */
  readonly proved: NodeInfo | undefined;
  destroy(): void;
}

/**
 * The peers of a node, with exactly one connection to each. Two nodes may open several connections at once: through a name
 * and an address, through two addresses of one host, or because each dials the other. The dialer decides which of its own
 * connections is a duplicate. When two nodes dial each other at the same time, the node with the smaller id decides.
 */
export class TcpPeerTable<C extends TcpPeerTableEntry> {
  /** Information that the peers have sent about themselves. */
  readonly known = new Map<NodeId, NodeInfo>();
  readonly channels = new Map<NodeId, C>();
  /** Outgoing connections that wait for the listener's `ready`. */
  private readonly dialing = new Map<NodeId, C>();

  constructor(
    private readonly self: NodeInfo,
    /** Whether other gates may connect to this one. */
    private readonly takesGates: boolean,
  ) {}

  /**
   * Checks a node whose proof was verified.
   * @throws {GateError} `FORBIDDEN` for an unexpected role, `BAD_ARGUMENT` for an id in use.
   */
  meet(channel: C, peer: NodeInfo): Verdict {
    const isGate = peer.role === 'gate';
    if (channel.isDialer ? !isGate : isGate && !this.takesGates && !this.isSelf(peer)) {
      // A gate accepts incoming gates only when the option `peers` is set.
      throw new GateError('FORBIDDEN', `A node of the role ${peer.role} is not expected here`);
    }
    // The addresses of the peers may include this gate's own address.
    if (this.isSelf(peer)) return 'duplicate';
    this.checkId(peer);
    if (!channel.isDialer) return 'go';
    if (this.channels.has(peer.id) || this.dialing.has(peer.id)) return 'duplicate';
    this.dialing.set(peer.id, channel);
    return 'go';
  }

  /**
   * Checks a node that has sent `ready`: it has no other connection to this node, as far as it knows.
   * @throws {GateError} `BAD_ARGUMENT` for an id in use.
   */
  admit(channel: C, peer: NodeInfo): Verdict {
    this.checkId(peer);
    const { id } = peer;
    const incumbent = this.channels.get(id);
    if (channel.isDialer) return incumbent ? 'duplicate' : 'go';
    // An incoming connection never replaces one that this node has dialled; its heartbeat detects a dead connection.
    if (incumbent?.isDialer) return 'duplicate';
    const own = this.dialing.get(id);
    if (own && this.self.id < id) return 'duplicate';
    own?.destroy();
    return 'go';
  }

  /** Stores a connection on which both sides have agreed. Returns the connection that it replaces after a reconnect. */
  enter(channel: C, peer: NodeInfo): C | undefined {
    const { id } = peer;
    const incumbent = this.channels.get(id);
    this.dialing.delete(id);
    this.channels.set(id, channel);
    this.known.set(id, peer);
    return incumbent;
  }

  /** Stores new information about a peer. Returns false for a connection that has been replaced. */
  update(channel: C, peer: NodeInfo): boolean {
    if (!this.has(channel)) return false;
    this.known.set(peer.id, peer);
    return true;
  }

  /** Whether a connection is the current one of its node. */
  has(channel: C): boolean {
    return channel.proved !== undefined && this.channels.get(channel.proved.id) === channel;
  }

  /** Removes a closed connection. Returns the state it was in. */
  remove(channel: C): 'peer' | 'dialing' | undefined {
    const id = channel.proved?.id;
    if (id === undefined) return undefined;
    if (this.dialing.get(id) === channel) {
      this.dialing.delete(id);
      return 'dialing';
    }
    if (!this.has(channel)) return undefined;
    this.channels.delete(id);
    this.known.delete(id);
    return 'peer';
  }

  /** Whether a node is connected or being dialled. */
  includes(id: NodeId): boolean {
    return this.channels.has(id) || this.dialing.has(id) || id === this.self.id;
  }

  private isSelf({ epoch, id }: NodeInfo): boolean {
    return id === this.self.id && epoch === this.self.epoch;
  }

  /** Another boot of a node is a different node. The existing node keeps the id. */
  private checkId({ epoch, id }: NodeInfo): void {
    const incumbent = id === this.self.id ? this.self : this.known.get(id);
    if (incumbent && incumbent.epoch !== epoch) throw new GateError('BAD_ARGUMENT', `The id "${id}" is taken`);
  }
}
