import { Injectable } from '@nestjs/common';
import { type NodeFigures, NodeMetrics } from '@nestgate/worker';
import { GateCounters } from '../gate-counters.js';
import { Hub } from '../hub/hub.js';
import { TopicRouter } from '../routing/topic-router.js';
import { type ResumeFigures, ResumableSessions } from '../resume/resumable-sessions.js';
import { StorageHandler } from '../storage/storage-handler.js';

/** Who is connected to a gate. */
export interface ClientFigures {
  /** Clients whose handshake has passed, sessions without a connection included. */
  readonly connected: number;
  /** Sessions that are bound to a uid. */
  readonly bound: number;
  /** Uids that have a client here. */
  readonly uids: number;
  /** Groups that have a member here. */
  readonly groups: number;
}

/** What became of the frames that clients have sent, counted since the start but for the last two. */
export interface FrameFigures {
  /** Taken up, whatever became of them; heartbeats included. */
  readonly received: number;
  /** Handled without an error, with or without a request id. */
  readonly handled: number;
  /** Not settled yet: with a worker, or with a hook. */
  readonly unanswered: number;
  /** Of those, the ones for whose module no worker is there at the moment. */
  readonly waitingForWorker: number;
}

/** What goes to clients. */
export interface OutboxFigures {
  /** Packs taken to be sent, counted since the start. */
  readonly queued: number;
  /** Packs that the operating system has not taken yet, of all clients. */
  readonly packs: number;
  /** Bytes that the operating system has not taken yet, of all clients. */
  readonly bytes: number;
  /** The bytes of the client for which most are waiting. */
  readonly largestBytes: number;
}

/** What a gate knows of itself at a moment. */
export interface GateFigures extends NodeFigures {
  readonly clients: ClientFigures;
  readonly frames: FrameFigures;
  readonly outbox: OutboxFigures;
  readonly resume: ResumeFigures;
  /** What was refused and dropped since the start, by name and label: {@link GateCounters.snapshot}. */
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** False while the storage is known to be out of reach. */
  readonly storageUp: boolean;
}

/**
 * The figures of a gate, for metrics of any kind; replace it to add to them. Nothing is counted for it on the way of a frame:
 * a reading looks at every client, which is some milliseconds for 10,000 of them. Ask once per report, not per figure.
 */
@Injectable()
export class GateMetrics {
  constructor(
    private readonly node: NodeMetrics,
    private readonly hub: Hub,
    private readonly counters: GateCounters,
    private readonly router: TopicRouter,
    private readonly storage: StorageHandler,
    private readonly sessions: ResumableSessions,
  ) {}

  /** The figures as they are now. */
  snapshot(): GateFigures {
    const { hub, counters, router } = this;
    let [bound, unanswered, packs, bytes, largestBytes] = [0, 0, 0, 0, 0];
    for (const agent of hub.all()) {
      if (agent.sessionState.userId !== '') bound++;
      unanswered += agent.unansweredCount;
      packs += agent.pendingPacks;
      const { pendingBytes } = agent;
      bytes += pendingBytes;
      if (pendingBytes > largestBytes) largestBytes = pendingBytes;
    }
    return {
      ...this.node.snapshot(),
      clients: { connected: hub.size, bound, uids: hub.uids.size, groups: hub.groups.size },
      frames: {
        received: counters.framesReceived,
        handled: counters.framesHandled,
        unanswered,
        waitingForWorker: router.waitingCount,
      },
      outbox: { queued: counters.packsQueued, packs, bytes, largestBytes },
      resume: this.sessions.figures,
      counts: counters.snapshot(),
      // One that only looks like a handler, without extending it, cannot say.
      storageUp: (this.storage.isAvailable as boolean | undefined) !== false,
    };
  }
}
