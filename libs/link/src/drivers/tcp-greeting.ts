import { GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../link.js';
import type { TcpHandshake } from './tcp-handshake.js';
import { EMPTY, Type } from './tcp-message.js';

/** What becomes of a connection: it goes on, or it ends because its two nodes are connected already. */
export type Verdict = 'go' | 'twin';

/** What a greeting needs of the connection that it is part of. */
export interface GreetingHost {
  write(type: number, content: Buffer): void;
  /** The other side has proved itself. Throwing refuses it, with the error's message. */
  meet(peer: NodeInfo): Verdict;
  /** The other side is ready. Throwing refuses it, with the error's message. */
  admit(peer: NodeInfo): Verdict;
  /** What this node says of itself now. */
  self(): NodeInfo;
}

/**
 * What two nodes say before they are peers: hello from both, the dialer's proof and the listener's, ready from the dialer
 * and from the listener, which has the last word because it knows whether the dialer's id is free.
 */
export class TcpGreeting {
  /** Who is at the other end, once it has proved itself. */
  peer: NodeInfo | undefined;
  /** What this node has said of itself. */
  told: NodeInfo | undefined;

  constructor(
    private readonly handshake: TcpHandshake,
    private readonly isDialer: boolean,
    private readonly host: GreetingHost,
  ) {
    host.write(Type.hello, handshake.hello());
  }

  /**
   * Takes the other side's next message. Returns `more` when another must come, and `ready` when both have agreed.
   * @throws {GateError} whatever the other side is refused for.
   */
  take(type: number, content: Buffer): 'more' | 'ready' | 'twin' {
    const { handshake, host, isDialer, peer } = this;
    if (type === Type.twin) return 'twin';
    if (type === Type.hello) {
      handshake.meet(content);
      // The dialer proves itself first, so that a listener tells nothing to strangers.
      if (isDialer) this.prove();
      return 'more';
    }
    if (type === Type.proof && handshake.hasMet && !peer) {
      this.peer = handshake.verify(content);
      if (host.meet(this.peer) === 'twin') return 'twin';
      if (isDialer) host.write(Type.ready, EMPTY);
      else this.prove();
      return 'more';
    }
    if (type === Type.ready && peer) {
      if (host.admit(peer) === 'twin') return 'twin';
      // Before anything that the link may want to send at once.
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
