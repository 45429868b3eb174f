import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { type ClientDetail, type ClientRow, LinkNode, type NodeReport } from '@nestgate/link';
import { operateContract, PendingCall, type Peer, reportContract } from '@nestgate/link/internal';
import { CLOSE } from '@nestgate/protocol';
import { BoundedLog, NodeReporter } from '@nestgate/worker/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { Gate } from '../gate.js';
import { GateCounters } from '../gate-counters.js';
import { Hub } from '../hub/hub.js';
import type { Memberships } from '../hub/memberships.js';
import { pageOf } from '../hub/page.js';
import { ResumableSessions } from '../resume/resumable-sessions.js';
import { ClientMoves } from './client-moves.js';
import { SessionTaps } from './session-taps.js';

/** How long a gate waits for the report of another node, in milliseconds. */
const REPORT_MS = 1_000;
/** Interval at which a gate that is being drained closes clients, in milliseconds. */
const DRAIN_TICK_MS = 100;

/** Answers the questions of operators, and drains the gate when they want it. */
@Injectable()
export class GateOperator implements OnModuleInit, OnApplicationShutdown {
  private readonly log = new BoundedLog(GateOperator.name);
  private timer: NodeJS.Timeout | undefined;
  private readonly moves: ClientMoves;

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly gate: Gate,
    private readonly counters: GateCounters,
    private readonly sessions: ResumableSessions,
    private readonly reporter: NodeReporter,
    private readonly taps: SessionTaps,
  ) {
    this.moves = new ClientMoves(hub, counters, node.defects.report);
  }

  onModuleInit(): void {
    const { hub, node } = this;
    node.dispatcher.serve(operateContract, {
      inspect: () => this.reports(),
      clientPage: ({ groups, after, limit }) => {
        const agents = groups ? hub.union(hub.groups, groups) : hub.all();
        const ids = pageOf(
          Array.from(agents, ({ sessionState }) => sessionState.origin.sessionId),
          after,
          limit,
        );
        return Array.from(hub.present(ids), rowOf);
      },
      groupCounts: ({ after, limit }) => countsOf(hub.groups, after, limit),
      uidCounts: ({ after, limit }) => countsOf(hub.uids, after, limit),
      detail: ({ clientId }) => this.detailOf(hub.get(clientId)),
      tap: ({ clientId, cursor, topic }, call) =>
        cursor === undefined ? this.taps.begin(clientId, topic, call.peer.info.id) : this.taps.next(cursor),
      tapTopic: ({ id, topic, isNew }, call) => [
        isNew ? this.taps.beginTopic(id, topic, call.peer.info.id) : this.taps.nextOfTopic(id),
      ],
      drain: ({ gate, perSecond }, call) => {
        if (gate !== node.info.id) return false;
        this.drain(perSecond, call.peer.info.id);
        return true;
      },
      move: ({ gate, clients, perSecond }, call) =>
        gate === node.info.id ? [this.move(clients, perSecond, call.peer.info.id)] : [],
    });
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
    this.moves.stop();
  }

  /** The report of this gate, and those of the nodes that only gates know. */
  private async reports(): Promise<readonly NodeReport[]> {
    const { hub, counters } = this;
    const own = this.reporter.report({
      clients: hub.size,
      detached: this.sessions.figures.detached,
      uids: hub.uids.size,
      groups: hub.groups.size,
      framesReceived: counters.framesReceived,
      framesHandled: counters.framesHandled,
      packsQueued: counters.packsQueued,
      framesRefused: Object.values(counters.snapshot()['frames_refused'] ?? {}).reduce((sum, n) => sum + n, 0),
    });
    const others = [...this.node.remotes.values()].filter(({ info }) => info.role !== 'gate');
    const answers = await Promise.allSettled(others.map(reportOf));
    return [own, ...answers.flatMap(answer => (answer.status === 'fulfilled' ? [answer.value] : []))];
  }

  private detailOf(agent: ClientAgent): ClientDetail {
    return {
      ...rowOf(agent),
      groups: [...this.hub.groups.namesOf(agent)],
      settings: agent.sessionState.snapshot().settings,
      worker: agent.worker?.info.id ?? '',
      received: agent.recvNum,
      sent: agent.sendNum,
      unanswered: agent.unansweredCount,
      queuedPacks: agent.pendingPacks,
      queuedBytes: agent.pendingBytes,
      isPaused: agent.isPaused,
    };
  }

  /** Refuses new clients, and closes the others by and by: together they would all come to another gate at once. */
  private drain(perSecond: number, by: string): void {
    if (this.timer) return;
    this.moves.stop();
    this.log.warn(`Drains, as ${by} has asked: ${this.hub.size} clients, ${perSecond} per second`);
    this.gate.refuseClients();
    const perTick = Math.max(1, Math.round((perSecond * DRAIN_TICK_MS) / 1_000));
    const everyMs = Math.max(DRAIN_TICK_MS, 1_000 / perSecond);
    this.timer = setInterval(() => this.closeSome(perTick), everyMs).unref();
  }

  /** Asks clients to move to other gates, as far as there are any. Returns how many it will ask. */
  private move(clients: number, perSecond: number, by: string): number {
    const { node, hub } = this;
    const others = [...node.remotes.values()].filter(({ info }) => info.role === 'gate' && !info.draining);
    const asked = others.length === 0 || this.timer ? 0 : this.moves.begin(clients, perSecond);
    this.log.warn(`Asks ${asked} of ${hub.size} clients to move, as ${by} has asked: ${perSecond} per second`);
    return asked;
  }

  private closeSome(most: number): void {
    const { code, reason } = CLOSE.restarting;
    let closed = 0;
    for (const agent of this.hub.all()) {
      if (agent.isClosed || agent.isAway) continue;
      try {
        agent.close(code, reason);
      } catch (error) {
        agent.onDefect(error, 'drain');
      }
      if (++closed >= most) return;
    }
  }
}

function reportOf(peer: Peer): Promise<NodeReport> {
  const pending = new PendingCall(reportContract.report);
  peer.request(reportContract.report, undefined, pending, performance.now() + REPORT_MS);
  return pending.promise;
}

function countsOf(index: Memberships<ClientAgent>, after: string, limit: number): Record<string, number> {
  return Object.fromEntries(pageOf(index.names(), after, limit).map(name => [name, index.members(name).size]));
}

function rowOf({ sessionState, isAway }: ClientAgent): ClientRow {
  const { sessionId, network, ip, connectedAt } = sessionState.origin;
  return { clientId: sessionId, uid: sessionState.userId, network, ip, connectedAt, isAway };
}
