import type { Link, LinkEvents, NodeId, NodeInfo, PeerChange } from '@nestgate/link';
import { waitUntil } from '../wait-until.js';

/** A node for tests of links: one link, and everything that it tells. */
export class LinkProbe {
  readonly frames: [from: NodeId, frame: Buffer][] = [];
  readonly changes: PeerChange[] = [];
  readonly statuses: boolean[] = [];
  /** Who can take more again, in the order in which that was told. */
  readonly drains: (NodeId | undefined)[] = [];
  /** What the driver has caught in its own callbacks. */
  readonly defects: [where: string, error: unknown][] = [];
  readonly events: LinkEvents = {
    onFrame: (from, frame) => void this.frames.push([from, frame]),
    onPeer: change => this.changes.push(change),
    onDrain: peer => this.drains.push(peer),
    onStatus: isUp => this.statuses.push(isUp),
    onDefect: (error, where) => this.defects.push([where, error]),
  };

  constructor(
    readonly link: Link,
    readonly info: NodeInfo,
  ) {}

  /** Opens the link. */
  async open(): Promise<this> {
    await this.link.open(this.info, this.events);
    return this;
  }

  knows(id: NodeId): boolean {
    return this.link.peers().has(id);
  }

  /** The frames of one sender, as text. */
  texts(from: NodeId): string[] {
    return this.frames.filter(([sender]) => sender === from).map(([, frame]) => frame.toString());
  }

  /** Reported changes of one node: their types, and its epoch where there is one. */
  story(id: NodeId): string[] {
    return this.changes.flatMap(change => {
      if ('id' in change) return change.id === id ? [change.type] : [];
      return change.node.id === id ? [`${change.type} ${change.node.epoch}`] : [];
    });
  }

  /** Waits until the link knows all of these nodes. */
  async meets(...ids: NodeId[]): Promise<void> {
    await waitUntil(`${this.info.id} to meet ${ids.join(', ')}`, () => ids.every(id => this.knows(id)));
  }
}
