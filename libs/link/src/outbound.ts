import { writeBatchHeader } from './envelope.js';
import type { Link, SendResult } from './link.js';
import { Outlet } from './outlet.js';
import { Peer, UNNUMBERED } from './peer.js';

/** Messages to whoever has joined one channel. */
class CastOutlet extends Outlet {
  channel = '';

  override prepare(): void {
    if (this.writer.length === 0) writeBatchHeader(this.writer, UNNUMBERED, Date.now());
  }
}

/** What becomes of batches besides travelling. */
export interface OutboundEvents {
  /** A batch of the node for itself. */
  onOwn(batch: Buffer): void;
  /** The driver took nothing of a batch of so many messages. `peer` is `undefined` for one that went to a channel. */
  onRefused(peer: Peer | undefined, messages: number): void;
}

/**
 * What leaves a node: messages gather per peer, and leave as one frame at the end of the turn. A cast to a channel is a
 * frame beside those, so that the two are sent in the order in which they were written: whoever gets both, gets them in
 * that order.
 */
export class Outbound {
  private readonly listed: Peer[] = [];
  private readonly casts = new CastOutlet();
  private scheduled = false;
  private isOpen = false;

  constructor(
    private readonly link: Link,
    private readonly events: OutboundEvents,
  ) {}

  open(): void {
    this.isOpen = true;
  }

  /** From now on everything is refused. */
  close(): void {
    this.isOpen = false;
    this.noteDrain();
  }

  /** Prepares a peer's batch for one more message. */
  toPeer(peer: Peer): void {
    if (this.casts.gathered > 0 && !peer.isSelf) this.flushCasts();
    peer.prepare();
  }

  /** Prepares the batch for a channel for one more message, and returns it. */
  toChannel(channel: string): Outlet {
    const { casts } = this;
    for (const peer of this.listed) if (!peer.isSelf) this.flushPeer(peer);
    if (casts.channel !== channel) this.flushCasts();
    casts.channel = channel;
    casts.prepare();
    return casts;
  }

  /** A message to a peer has been written. */
  wrotePeer(peer: Peer): void {
    peer.gathered++;
    if (peer.isFull && !peer.isSelf) {
      this.flushPeer(peer);
      return;
    }
    if (peer.listed) return;
    peer.listed = true;
    this.listed.push(peer);
    this.schedule();
  }

  /** A message to a channel has been written. */
  wroteCast(): void {
    this.casts.gathered++;
    if (this.casts.isFull) this.flushCasts();
    else this.schedule();
  }

  /** Settles when casts can be sent; `undefined` when they can now. */
  whenDrained(): Promise<void> | undefined {
    return this.casts.whenDrained();
  }

  noteDrain(): void {
    this.casts.noteDrain();
  }

  /** Sends all gathered batches now. */
  flush(): void {
    // Sending to itself runs handlers, which may list more: those go with this flush too.
    for (let i = 0; i < this.listed.length; i++) this.flushPeer(this.listed[i] as Peer);
    this.listed.length = 0;
    this.flushCasts();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.flushTurn);
  }

  private readonly flushTurn = (): void => {
    this.scheduled = false;
    const peers = this.listed.splice(0);
    // What has gathered for a channel was written after what has gathered for peers, or that would have been sent.
    for (const peer of peers) this.flushPeer(peer);
    this.flushCasts();
  };

  private flushPeer(peer: Peer): void {
    peer.listed = false;
    const messages = peer.gathered;
    const batch = peer.takeBatch();
    if (!batch) return;
    if (peer.isSelf) {
      this.events.onOwn(batch);
      return;
    }
    const result: SendResult = this.isOpen ? this.link.send(peer.info.id, batch) : 'refused';
    peer.noteSend(result);
    if (result === 'refused') this.events.onRefused(peer, messages);
  }

  private flushCasts(): void {
    const { casts } = this;
    const messages = casts.gathered;
    const batch = casts.takeBatch();
    if (!batch) return;
    const result: SendResult = this.isOpen ? this.link.cast(casts.channel, batch) : 'refused';
    casts.noteSend(result);
    if (result === 'refused') this.events.onRefused(undefined, messages);
  }
}
