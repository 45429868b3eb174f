import type { LinkNode } from '@nestgate/link';
import {
  type IncomingCall,
  type MoveEnd,
  moveContract,
  type Peer,
  PendingCall,
  type ResumeAnswer,
  type ResumeAsk,
  type MovingStream,
  type SessionTransfer,
} from '@nestgate/link/internal';
import { type Body, CLOSE, type CloseCodeInfo, type ResumeRefusalCode } from '@nestgate/protocol';
import type { ClientAgent } from '../../client/client-agent.js';
import type { GateCounters } from '../../gate-counters.js';
import type { Hub } from '../../hub/hub.js';
import { ELSEWHERE_MS, type OpenReceipt } from '../../receipts/receipt.js';
import type { StreamTable } from '../../routing/stream-table.js';
import type { SessionKeeper } from '../../session/session-keeper.js';
import type { MovingSessions } from './moving-sessions.js';
import type { ResumableConnection } from '../resumable-connection.js';
import type { TailSink } from '../resumable-queue.js';
import { TURN_MS } from './turns.js';

/** How long changes of a session that are at work are waited for before it moves, in milliseconds. */
const SETTLE_MS = 500;
/** How long the other gate has to begin, in milliseconds. After that the session is taken back. */
const BEGIN_MS = 3_000;
/** Bytes of the tail in one message. */
const TAIL_BYTES = 64 * 1024;
/** How long a message that a hook is making may hold up the end, in milliseconds. */
const MAKING_MS = 500;
const MAKING_POLL_MS = 10;

/** What shows that a session may be resumed, or why not. */
export type Found =
  | { readonly connection: ResumableConnection; readonly generation: number }
  | { readonly code: ResumeRefusalCode; readonly closeCode?: number | undefined };

/** What the gate does for sessions that leave it. */
export interface DepartureHost {
  readonly node: LinkNode;
  readonly hub: Hub;
  readonly keeper: SessionKeeper;
  readonly moving: MovingSessions;
  readonly streams: StreamTable;
  readonly counters: GateCounters;
  /** Looks a session up by its ticket. */
  find(clientId: string, ticket: string, userId: string | undefined): Found;
  /** What tickets of a session are made with. */
  keyOf(connection: ResumableConnection): Buffer;
  /** The session does not wait for its client here any more. */
  release(connection: ResumableConnection): void;
  /** It does again. */
  takeBack(connection: ResumableConnection): void;
  /** Tells all nodes that the session is here. */
  announce(connection: ResumableConnection): void;
  /** Resolves when this gate is not asking another one for the session any more, or that takes too long. */
  whenFetched(clientId: string): Promise<void>;
  /** Resolves when the session has come wholly, with false when that takes too long. */
  hasArrived(clientId: string): Promise<boolean>;
}

/** One session that moves to another gate. */
class Departure implements TailSink {
  readonly clientId: string;
  /** Nodes whose messages are still this gate's to deliver. */
  readonly expected = new Set<Peer>();
  phase: 'fenced' | 'turning' | 'ending' | 'ended' = 'fenced';
  /** Some node may have sent to the other gate already. */
  hasTurned = false;
  timer: NodeJS.Timeout | undefined;
  /** Resolves with the gate that has the session in the end, or `undefined`: this one. */
  readonly end: Promise<string | undefined>;
  resolve!: (movedTo: string | undefined) => void;
  private isCongested = false;

  constructor(
    readonly connection: ResumableConnection,
    readonly to: Peer,
    private readonly onDefect: (error: unknown) => void,
  ) {
    this.clientId = connection.agent.sessionState.origin.sessionId;
    this.end = new Promise(resolve => (this.resolve = resolve));
  }

  get agent(): ClientAgent {
    return this.connection.agent;
  }

  pull(): void {
    const { to, clientId } = this;
    while (!this.isCongested) {
      const items = this.connection.queue.takeTail(TAIL_BYTES);
      if (items.length === 0) return;
      to.notify(moveContract.tail, { clientId, isLate: this.phase === 'ended', items });
      const drained = to.whenDrained();
      if (drained) this.waitFor(drained);
    }
  }

  /** Forwards all that there is, whether the link is congested or not. */
  flush(): void {
    this.isCongested = false;
    this.pull();
    if (this.isCongested) this.flush();
  }

  private waitFor(drained: Promise<void>): void {
    this.isCongested = true;
    drained
      .then(() => {
        this.isCongested = false;
        this.pull();
      })
      .catch(this.onDefect);
  }
}

/**
 * The sessions that move from this gate to another one. This gate fences the session, and goes on to deliver what each node has sent before
 * its marker: it forwards it to the new gate. When all nodes have turned, it lets the session go.
 */
export class Departures {
  private readonly departures = new Map<string, Departure>();
  private readonly onDefect: (error: unknown) => void;

  constructor(private readonly host: DepartureHost) {
    this.onDefect = error => host.node.reportDefect(error, 'resume.move');
  }

  get size(): number {
    return this.departures.size;
  }

  /** The gate that a session is about to move to. */
  destinationOf(clientId: string): Peer | undefined {
    return this.departures.get(clientId)?.to;
  }

  /** Another gate has a client that shows a ticket of a session. Answers the call. */
  async resume(ask: ResumeAsk, call: IncomingCall): Promise<void> {
    const { peer } = call;
    const answer = peer.info.role === 'gate' ? await this.answer(ask, peer) : { code: 'RESUME_UNKNOWN' };
    peer.reply(call, moveContract.resume, answer);
    const { session } = answer;
    const departure = session && this.departures.get(ask.clientId);
    if (departure) {
      departure.connection.queue.forwardTo(departure, session.seen);
      departure.pull();
    }
  }

  /** A node sends to the new gate from now on. */
  turned(to: string, clientIds: readonly string[], sender: Peer): void {
    for (const clientId of clientIds) {
      const departure = this.departures.get(clientId);
      if (departure?.to.info.id !== to) continue;
      departure.hasTurned = true;
      departure.expected.delete(sender);
      if (departure.phase === 'ended') continue;
      this.host.moving.exclude(sender, clientId, departure.agent);
      if (departure.expected.size === 0) this.finish(departure);
    }
  }

  /** The new gate has asked all nodes. */
  turning(to: Peer, clientId: string): boolean {
    const departure = this.departures.get(clientId);
    if (departure?.to !== to) return false;
    if (departure.phase !== 'fenced') return true;
    departure.phase = 'turning';
    this.limit(departure, TURN_MS, () => this.finish(departure));
    return true;
  }

  /**
   * A frame that was accepted here is to begin a stream, which the other gate does. Resolves with false when the session stays here after
   * all.
   */
  async passOn({ sessionState }: ClientAgent, topic: string, body: Body, id: number): Promise<boolean> {
    const departure = this.departures.get(sessionState.origin.sessionId);
    if (!departure || (await departure.end) === undefined) return false;
    const { clientId, to } = departure;
    to.notify(moveContract.begin, { clientId, id, topic, body });
    return true;
  }

  /** The other gate has something to say about a session that is moving there. */
  onEnd(from: Peer, clientId: string, end: MoveEnd): void {
    const departure = this.departures.get(clientId);
    if (departure?.to === from && end.kind === 'declined') this.takeBack(departure, 'declined');
  }

  /** The session has ended here while it was moving. False when it was not. */
  onClosed({ agent }: ResumableConnection, code: number, reason: string): boolean {
    const departure = this.departures.get(agent.sessionState.origin.sessionId);
    if (departure?.agent !== agent) return false;
    if (departure.phase !== 'ended') {
      departure.to.notify(moveContract.final, { clientId: departure.clientId, end: { kind: 'closed', code, reason } });
    }
    this.forget(departure, departure.to.info.id);
    return true;
  }

  /** A node has come: its messages are this gate's until it turns. */
  onJoin(peer: Peer): void {
    for (const { phase, expected } of this.departures.values()) if (phase !== 'ended') expected.add(peer);
  }

  /** A node has gone. */
  onLeave(): void {
    const { peers } = this.host.node;
    for (const departure of this.departures.values()) {
      if (peers.get(departure.to.info.id) !== departure.to) this.lose(departure);
      else if (departure.phase !== 'ended') {
        for (const peer of departure.expected) if (peers.get(peer.info.id) !== peer) departure.expected.delete(peer);
        if (departure.phase === 'turning' && departure.expected.size === 0) this.finish(departure);
      }
    }
  }

  private async answer(ask: ResumeAsk, to: Peer): Promise<ResumeAnswer> {
    const { clientId, ticket, userId, seen, wire, isHandOver } = ask;
    const { host } = this;
    const departing = this.departures.get(clientId);
    if (departing) return whereTo(departing, to);
    await host.whenFetched(clientId);
    const found = host.find(clientId, ticket, userId);
    if (!('connection' in found)) {
      const holder = host.node.holders.known(clientId);
      if (!holder || holder.peer === host.node.me || host.hub.find(clientId)) return found;
      const { id, epoch } = holder.peer.info;
      if (host.node.peers.get(id) === holder.peer) return { movedTo: id };
      return { code: host.node.fateOf(id, epoch) === 'missing' ? 'RESUME_BUSY' : 'RESUME_LOST' };
    }
    const { connection, generation: shown } = found;
    if (wireOf(connection) !== wire) return { code: 'RESUME_UNKNOWN' };
    if (!connection.queue.allows(seen)) return { code: 'IMPOSSIBLE' };
    if (!(await host.hasArrived(clientId))) return { code: 'RESUME_BUSY' };
    // Meanwhile another gate may have asked, or the session may have ended.
    const other = this.departures.get(clientId);
    if (other) return whereTo(other, to);
    if (connection.agent.isClosed) return { code: 'RESUME_BUSY' };
    const departure = this.fence(connection, to, isHandOver ? CLOSE.moved : CLOSE.takenOver);
    const isIdle = await host.keeper.turns.whenIdle(connection.agent, SETTLE_MS);
    const isGone = host.node.peers.get(to.info.id) !== to;
    if (this.departures.get(clientId) !== departure) return { code: 'RESUME_BUSY' };
    if (!isIdle || isGone) {
      this.takeBack(departure, isGone ? 'lost' : 'busy');
      return { code: 'RESUME_BUSY' };
    }
    for (const peer of host.node.peers.values()) departure.expected.add(peer);
    this.limit(departure, BEGIN_MS, () => this.takeBack(departure, 'late'));
    // The client may have acknowledged more on its old connection, after it had sent `seen`.
    const streams = host.streams.beginLeave(connection.agent);
    return { session: transferOf(host, connection, Math.max(seen, connection.queue.acked), shown, streams) };
  }

  private fence(connection: ResumableConnection, to: Peer, why: CloseCodeInfo): Departure {
    const { host } = this;
    const departure = new Departure(connection, to, this.onDefect);
    this.departures.set(departure.clientId, departure);
    host.moving.begin(departure.clientId, departure.end);
    const { code, reason } = connection.isMoving ? CLOSE.moved : why;
    connection.fence(code, reason);
    host.release(connection);
    return departure;
  }

  /** All nodes have turned, or have had their time: what was this gate's to deliver has been forwarded. */
  private finish(departure: Departure): void {
    if (departure.phase === 'ending' || departure.phase === 'ended') return;
    departure.phase = 'ending';
    clearTimeout(departure.timer);
    this.endWhenMade(departure, performance.now() + MAKING_MS);
  }

  /** Messages that a hook is still making were sent before. */
  private endWhenMade(departure: Departure, until: number): void {
    if (departure.connection.queue.isMaking && performance.now() < until) {
      this.limit(departure, MAKING_POLL_MS, () => this.endWhenMade(departure, until));
      return;
    }
    const { host } = this;
    const { clientId, agent, to } = departure;
    departure.flush();
    departure.phase = 'ended';
    const doubts = Array.from(departure.expected, ({ info }) => info.id);
    const groups = [...host.hub.groups.namesOf(agent)];
    const streams = host.streams.leave(agent);
    to.notify(moveContract.final, { clientId, end: { kind: 'pushes', doubts, groups, streams } });
    for (const receipt of departure.connection.queue.takeReceipts()) this.followReceipt(departure, receipt);
    host.hub.remove(agent);
    host.keeper.forget(agent);
    host.moving.end(clientId);
    departure.resolve(to.info.id);
    host.counters.add('sessions_moved', 'away');
    agent.onceSettled(() => this.leave(departure));
  }

  /** The client acknowledges to the new gate what was queued here: that gate is asked. */
  private followReceipt({ clientId, to }: Departure, { number, receipt }: OpenReceipt): void {
    const call = new PendingCall(moveContract.received);
    const waitMs = Math.max(0, receipt.deadline - performance.now());
    to.request(moveContract.received, { clientId, number, waitMs }, call, receipt.deadline + ELSEWHERE_MS);
    call.promise.then(
      isReceived => receipt.settle(isReceived),
      () => receipt.settle(false),
    );
  }

  /** No request of the client runs here any more. */
  private leave(departure: Departure): void {
    const { clientId, agent, to } = departure;
    departure.flush();
    to.notify(moveContract.final, { clientId, end: { kind: 'requests' } });
    this.forget(departure, to.info.id);
    agent.onClose(CLOSE.moved.code, CLOSE.moved.reason);
  }

  /** The gate that the session has moved to, or was about to, is gone. */
  private lose(departure: Departure): void {
    if (departure.phase === 'ended') {
      this.forget(departure, departure.to.info.id);
      departure.agent.onClose(CLOSE.moved.code, CLOSE.moved.reason);
    } else this.takeBack(departure, 'lost');
  }

  /** The session stays here. */
  private takeBack(departure: Departure, why: string): void {
    const { host } = this;
    const { connection, agent, clientId, hasTurned, phase } = departure;
    if (phase === 'ended' || this.departures.get(clientId) !== departure) return;
    host.counters.add('sessions_moved', why);
    connection.queue.forwardTo(undefined);
    connection.takeBack();
    host.streams.stay(agent);
    this.forget(departure, undefined);
    host.takeBack(connection);
    if (!hasTurned) return;
    // What those have sent since is lost with the other gate.
    connection.queue.noteDoubt('gate-lost');
    host.announce(connection);
  }

  private forget(departure: Departure, movedTo: string | undefined): void {
    clearTimeout(departure.timer);
    this.departures.delete(departure.clientId);
    departure.phase = 'ended';
    this.host.moving.end(departure.clientId);
    departure.resolve(movedTo);
  }

  private limit(departure: Departure, ms: number, then: () => void): void {
    clearTimeout(departure.timer);
    departure.timer = setTimeout(this.host.node.defects.guard('resume.move', then), ms);
  }

  stop(): void {
    for (const departure of this.departures.values()) this.forget(departure, undefined);
  }
}

/**
 * Everything that a gate has to know of a session that goes on with it. `shown`: the generation of the ticket that was shown. `streams`:
 * those that go on there too.
 */
export function transferOf(
  host: Pick<DepartureHost, 'hub' | 'keeper' | 'keyOf'>,
  connection: ResumableConnection,
  seen: number,
  shown: number,
  streams: readonly MovingStream[] = [],
): SessionTransfer {
  const { agent } = connection;
  const now = performance.now();
  const { worker, otherWorkers } = agent;
  const workers = worker ? [worker, ...(otherWorkers?.keys() ?? [])] : [];
  return {
    snapshot: agent.sessionState.snapshot(),
    groups: [...host.hub.groups.namesOf(agent)],
    openedAs: connection.openedAs,
    key: host.keyOf(connection).toString('base64'),
    generation: connection.tickets.generation,
    confirmed: connection.confirmed,
    shown,
    seen,
    floor: Math.max(seen + 1, connection.queue.floor),
    doubt: connection.queue.openDoubt,
    heard: connection.heard,
    awayMs: Math.max(0, now - connection.lostAt),
    lostCode: connection.lostCode,
    ageMs: now - agent.openedAt,
    arrival: agent.arrival === 'told' ? 'told' : 'untold',
    ...host.keeper.belongings(agent),
    isRunning: agent.orderedCount > 0,
    running: agent.unansweredIds.filter(id => !streams.some(stream => stream.id === id)),
    streams,
    workers: workers.map(({ info }) => info.id),
  };
}

/** What a gate is told that asks for a session which is on its way to a gate. */
function whereTo({ to }: Departure, asker: Peer): ResumeAnswer {
  return to === asker ? { code: 'RESUME_BUSY' } : { movedTo: to.info.id };
}

/** How the frames of a session look, and on what kind of connection. */
export function wireOf({ wire, network }: Pick<ResumableConnection, 'wire' | 'network'>): string {
  return `${wire.codec}/${network}`;
}
