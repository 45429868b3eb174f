import type { LinkCounters } from '../common/link-counters.js';
import type { LinkNode } from '../node/link-node.js';
import type { NodeId, NodeRole } from '../link.js';
import { LoopDelay, type LoopDelayFigures } from './loop-delay.js';

/** What waits in this process for one peer to take it. */
export interface PeerBacklog {
  readonly id: NodeId;
  readonly role: NodeRole;
  readonly messages: number;
  readonly bytes: number;
}

/** What a node knows of its link. */
export interface LinkFigures {
  /** Whether there is a gate that can work with what it is sent: see `LinkNode.isUp`. */
  readonly isUp: boolean;
  /** Nodes known, by role, this one not among them. */
  readonly peers: Readonly<Record<NodeRole, number>>;
  /** Gates that were lost a moment ago and may come back, and configured ones that were never reached. */
  readonly missingGates: number;
  /** Requests of this node that wait for an answer. */
  readonly requestsWaiting: number;
  /** What went wrong since the start. */
  readonly counters: Readonly<LinkCounters>;
  /** The peers for which something waits. */
  readonly backlog: readonly PeerBacklog[];
}

/** What every node knows of itself, whatever its role. */
export interface NodeFigures {
  /** True from the moment on when the node tells the others that it takes no new work. */
  readonly isDraining: boolean;
  readonly link: LinkFigures;
  /** Errors that were thrown where nobody can catch them, since the start, by place: each is a defect of nestgate or of a hook. */
  readonly defects: Readonly<Record<string, number>>;
  /** Since the last reading; measured from the first one on. */
  readonly loopDelay: LoopDelayFigures;
}

/** The figures of a node: its link and its event loop. Counted anyway, or found out when they are asked for. */
export class NodeMetrics {
  private readonly loopDelay = new LoopDelay();

  constructor(private readonly node: LinkNode) {}

  /** What the node is. */
  get role(): NodeRole {
    return this.node.info.role;
  }

  /** The figures as they are now. The delay of the event loop is about the time since the last snapshot. */
  snapshot(): NodeFigures {
    const { info, defects } = this.node;
    return { isDraining: info.draining, link: this.link(), defects: defects.counts, loopDelay: this.loopDelay.read() };
  }

  /** Those of the link alone, for health checks: they do not begin a new reading of the rest. */
  link(): LinkFigures {
    const { node } = this;
    const peers = { gate: 0, worker: 0, api: 0 };
    const backlog: PeerBacklog[] = [];
    for (const { info, backlog: waiting } of node.remotes.values()) {
      peers[info.role]++;
      if (!waiting.isEmpty) {
        backlog.push({ id: info.id, role: info.role, messages: waiting.messages, bytes: waiting.size });
      }
    }
    return {
      isUp: node.isUp,
      peers,
      missingGates: node.reach.missingIds.length,
      requestsWaiting: node.waitingCount,
      counters: { ...node.counters },
      backlog,
    };
  }

  /** Ends what a reading has started. */
  stop(): void {
    this.loopDelay.stop();
  }
}
