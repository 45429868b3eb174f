import { GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../../link.js';
import type { TcpHandshake } from './tcp-handshake.js';
import { EMPTY, Type } from './tcp-message.js';

/** Decision about a connection: continue, or close it because its two nodes are already connected. */
export type Verdict = 'go' | 'duplicate';

/** What {@link TcpGreeting} needs from its connection. */
export interface GreetingHost {
  write(type: number, content: Buffer): void;
  /** Called when the proof of the other side was verified. An exception refuses the node with the message of the error. */
  meet(peer: NodeInfo): Verdict;
  /** Called when the other side is ready. An exception refuses the node with the message of the error. */
  admit(peer: NodeInfo): Verdict;
  /** Current information about this node. */
  self(): NodeInfo;
}

/**
 * The handshake of two nodes: both send `hello`, the dialer and then the listener send `proof`, the dialer and then the
 * listener send `ready`. The listener is last, because it knows whether the id of the dialer is free.
 */
export class TcpGreeting {
  /** The node at the other end, after its proof was verified. */
  peer: NodeInfo | undefined;
  /** Information that this node has sent. */
  told: NodeInfo | undefined;

  constructor(
    private readonly handshake: TcpHandshake,
    private readonly isDialer: boolean,
    private readonly host: GreetingHost,
  ) {
    host.write(Type.hello, handshake.hello());
  }

  /**
   * Handles the next message of the other side. Returns `more` while the handshake continues and `ready` at its end.
   * @throws {GateError} the reason to refuse the other side.
   */
  take(type: number, content: Buffer): 'more' | 'ready' | 'duplicate' {
    const { handshake, host, isDialer, peer } = this;
    if (type === Type.duplicate) return 'duplicate';
    if (type === Type.hello) {
      handshake.meet(content);
      // The dialer proves first, so that the listener discloses nothing to an unauthenticated connection.
      if (isDialer) this.prove();
      return 'more';
    }
    if (type === Type.proof && handshake.hasMet && !peer) {
      this.peer = handshake.verify(content);
      if (host.meet(this.peer) === 'duplicate') return 'duplicate';
      if (isDialer) host.write(Type.ready, EMPTY);
      else this.prove();
      return 'more';
    }
    if (type === Type.ready && peer) {
      if (host.admit(peer) === 'duplicate') return 'duplicate';
      // `ready` must precede any frame that the link sends after this method returns.
      if (!isDialer) host.write(Type.ready, EMPTY);
      return 'ready';
    }
    throw new GateError('LINK_CORRUPT', 'Not a nestgate node');
  }

  private prove(): void {
    this.told = this.host.self();
    this.host.write(Type.proof, this.handshake.prove(this.told));
  }
}
