import { AsyncResource } from 'node:async_hooks';
import { GateError } from '@nestgate/protocol';
import {
  ALL_GATES,
  type Link,
  type LinkEvents,
  type LinkFrame,
  type NodeId,
  type NodeInfo,
  type SendResult,
} from '../../link.js';
import { present } from '../../common/checked.js';

/** Where the memory links of one process meet. Nodes of one bus form a cluster. */
export class MemoryBus {
  /** @internal */
  readonly links = new Map<NodeId, MemoryLink>();

  /** A new link to this bus, for one node. */
  link(): Link {
    return new MemoryLink(this);
  }
}

/**
 * Links nodes of one process. Frames are handed over as buffers, never as object references, so that nothing works here
 * that would fail between processes.
 */
class MemoryLink implements Link {
  readonly routesChannels = true;
  readonly knowsAllAtOpen = true;
  private self: NodeInfo | undefined;
  private events: LinkEvents | undefined;
  private readonly scope = new AsyncResource('MemoryLink');
  private readonly known = new Map<NodeId, NodeInfo>();
  private readonly channels = new Set<string>();

  constructor(private readonly bus: MemoryBus) {}

  describe(): string {
    return 'memory, nodes of this process only';
  }

  open(self: NodeInfo, events: LinkEvents): Promise<void> {
    if (this.self) return Promise.reject(new GateError('BAD_ARGUMENT', 'The link is open already'));
    if (this.bus.links.has(self.id)) {
      return Promise.reject(new GateError('BAD_ARGUMENT', `A node with the id "${self.id}" is on the link already`));
    }
    this.self = self;
    this.events = events;
    for (const other of this.bus.links.values()) {
      const node = present(other.self);
      this.known.set(node.id, node);
      events.onPeer({ type: 'join', node });
      other.meet(self, 'join');
    }
    this.bus.links.set(self.id, this);
    return Promise.resolve();
  }

  peers(): ReadonlyMap<NodeId, NodeInfo> {
    return this.known;
  }

  announce(self: NodeInfo): void {
    if (!this.self) return;
    this.self = self;
    for (const other of this.bus.links.values()) if (other !== this) other.meet(self, 'change');
  }

  send(to: NodeId, frame: LinkFrame): SendResult {
    const target = this.self && this.bus.links.get(to);
    if (!target || target === this) return 'refused';
    target.take(present(this.self), Buffer.isBuffer(frame) ? frame : Buffer.concat(frame));
    return 'sent';
  }

  cast(channel: string, frame: LinkFrame): SendResult {
    if (!this.self) return 'refused';
    for (const other of this.bus.links.values()) {
      if (other === this || other.self?.role !== 'gate') continue;
      // Each receiver owns its buffer.
      if (channel === ALL_GATES || other.channels.has(channel)) other.take(this.self, Buffer.concat([frame].flat()));
    }
    return 'sent';
  }

  join(channel: string): Promise<void> {
    this.channels.add(channel);
    return Promise.resolve();
  }

  leave(channel: string): void {
    this.channels.delete(channel);
  }

  close(): Promise<void> {
    if (!this.self) return Promise.resolve();
    const { id } = this.self;
    this.self = undefined;
    this.bus.links.delete(id);
    this.channels.clear();
    this.known.clear();
    for (const other of this.bus.links.values()) {
      other.known.delete(id);
      other.events?.onPeer({ type: 'leave', id });
    }
    return Promise.resolve();
  }

  private meet(node: NodeInfo, type: 'join' | 'change'): void {
    this.known.set(node.id, node);
    this.events?.onPeer({ type, node });
  }

  /** In the async context of this node: a batch that is full is sent in the midst of a handler, whose context is its own. */
  private take(from: NodeInfo, frame: Buffer): void {
    this.scope.runInAsyncScope(this.hand, undefined, from, frame);
  }

  private readonly hand = (from: NodeInfo, frame: Buffer): void => {
    this.events?.onFrame(from.id, frame);
  };
}
