import cluster from 'node:cluster';
import type { Link, LinkNode, NodeId, NodeInfo, PeerChange } from '@nestgate/link';
import { BoundedLog } from '../log/bounded-log.js';

/** How long after the start a gate that was not reached is logged, and how long until the next line about it, in milliseconds. */
const WARN_AFTER_MS = 5_000;
const WARN_AGAIN_MS = 300_000;
/** Names that one line shows. */
const SHOWN_NAMES = 10;

/** Logs how a node takes part in the cluster: its link, the nodes that come and go, and the gates that it does not reach. */
export class NodeLog {
  private readonly log = new BoundedLog('NestgateNode');
  private readonly known = new Map<NodeId, NodeInfo>();
  private timer: NodeJS.Timeout | undefined;
  private readonly stopListening: () => void;
  private hasJoined = false;
  private startedAt = 0;

  constructor(
    private readonly node: LinkNode,
    private readonly link: Link,
  ) {
    this.stopListening = node.onPeer(change => this.notePeer(change));
  }

  /** The node is about to join. */
  start(): void {
    if (this.timer) return;
    this.startedAt = performance.now();
    this.warnIn(WARN_AFTER_MS);
  }

  /** The link is open. */
  noteJoined(): void {
    if (this.hasJoined) return;
    this.hasJoined = true;
    const { id, role } = this.node.info;
    this.log.log(`Joined as ${role} ${id}: ${this.link.describe?.() ?? 'a link of the application'}`);
    if (!cluster.isWorker || !this.node.knowsAllAtOpen) return;
    this.log.warn(
      'This process is one of several (node:cluster, PM2), but its link connects nothing outside it: pushes reach only its own ' +
        'clients. Set link to tcp:// or nats://, or run one process',
    );
  }

  stop(): void {
    clearTimeout(this.timer);
    this.stopListening();
  }

  private notePeer(change: PeerChange): void {
    if ('id' in change) {
      const info = this.known.get(change.id);
      this.known.delete(change.id);
      if (!info) return;
      if (change.type === 'leave') this.log.log(`${nameOf(info)} has left`);
      else this.log.warn(`${nameOf(info)} was lost: its connection ended without a leave message`);
      return;
    }
    const { node } = change;
    if (node.id === this.node.info.id) return;
    const before = this.known.get(node.id);
    this.known.set(node.id, node);
    const modules = listOf(node.modules);
    if (!before) this.log.log(`${nameOf(node)} has joined${modules && `, with modules ${modules}`}`);
    else if (node.draining && !before.draining) this.log.log(`${nameOf(node)} is draining`);
    else if (modules !== listOf(before.modules)) this.log.log(`${nameOf(node)} has modules ${modules || '(none)'}`);
  }

  private warnIn(waitMs: number): void {
    const warn = this.node.defects.guard('node.warn', () => {
      this.warnIn(WARN_AGAIN_MS);
      this.warnOfMissing();
    });
    this.timer = setTimeout(warn, waitMs).unref();
  }

  /** A wrong address, a port of something else or an unknown host: the process runs, and does nothing. */
  private warnOfMissing(): void {
    const { isUp, unreachedGates } = this.node;
    if (isUp && unreachedGates.length === 0) return;
    const gates = listOf(unreachedGates.map(({ name, reason }) => `${name} (${reason ?? 'no answer yet'})`));
    const seconds = Math.round((performance.now() - this.startedAt) / 1_000);
    this.log.warn(
      `${isUp ? 'Not all gates are' : 'No gate is'} in reach ${seconds} s after the start${gates && `: ${gates}`}`,
    );
  }
}

function nameOf({ role, id }: NodeInfo): string {
  return `${role} ${id}`;
}

function listOf(names: readonly string[]): string {
  const rest = names.length - SHOWN_NAMES;
  return names.slice(0, SHOWN_NAMES).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
