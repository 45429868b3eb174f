import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  clientIdPrefix,
  Deadline,
  DeadlineWheel,
  moveContract,
  type IncomingCall,
  type Peer,
  type ResumeAsk,
  type SessionTransfer,
  type SessionTurn,
} from '@nestgate/link/internal';
import { type Body, CLOSE, type GapReason, type ResumeRefusalCode, resumeRefusal } from '@nestgate/protocol';
import { compileProxies, countedBy, isListed, type Proxies } from '../admission/client-address.js';
import { RefusalLog } from '../admission/refusal-log.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import type { ClientAgent } from '../client/client-agent.js';
import { ClientLifecycle } from '../client/client-lifecycle.js';
import { isSessionWire, type SessionWire } from '../codec/session-wire.js';
import { Codecs } from '../codec/codec.js';
import type { Wire } from '../codec/wire.js';
import type { Connection, ConnectionEvents } from '../connection/connection.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { SessionLearner } from '../hooks/session-learner.js';
import { Hub } from '../hub/hub.js';
import { ClientEvents } from '../routing/client-events.js';
import { StreamTable } from '../routing/stream-table.js';
import { TopicRouter } from '../routing/topic-router.js';
import { SessionKeeper } from '../session/session-keeper.js';
import { SessionState } from '../session/session-state.js';
import { Standstill } from '../hub/standstill.js';
import { type ArrivalHost, Arrivals } from './move/arrivals.js';
import { type DepartureHost, Departures, type Found, transferOf, wireOf } from './move/departures.js';
import { DetachedSessions } from './detached-sessions.js';
import { EndedSessions } from './ended-sessions.js';
import { ResumableConnection, type ResumableHost } from './resumable-connection.js';
import { resolveResumeOptions } from './resolve-resume-options.js';
import { LeavingSessions } from './move/leaving-sessions.js';
import { MovingSessions } from './move/moving-sessions.js';
import { PushReceipts } from '../receipts/push-receipts.js';
import { RingBudget } from './ring-budget.js';
import { type DoorHost, SessionDoor } from './session-door.js';
import { Tickets } from './tickets.js';
import { announcement, Turns } from './move/turns.js';
import { WrongTickets } from './wrong-tickets.js';

/** Sessions that have ended and are remembered. */
const MAX_ENDED = 10_000;
/** How long an acknowledgement waits for something that it can be written with, in milliseconds. */
const ACK_WAIT_MS = 5;
/** When all rings together hold too much, so much of the limit is left to them. */
const SETTLED_PART = 7 / 8;

/** What `resume` says. */
interface ResumeBody {
  readonly session: string;
  readonly ticket: string;
  readonly seen: number;
  readonly sent: number;
}

/** How many clients of a gate are resumable, and what is kept for them. */
export interface ResumeFigures {
  /** Sessions without a connection. */
  readonly detached: number;
  /** Sessions that have ended and are remembered. */
  readonly remembered: number;
  /** Bytes of frames that are kept, those for sessions with a connection included. */
  readonly bytes: number;
}

class KeepEnd extends Deadline {
  constructor(
    private readonly connection: ResumableConnection,
    private readonly onExpire: (connection: ResumableConnection) => void,
  ) {
    super();
  }

  override expire(): void {
    this.onExpire(this.connection);
  }
}

/**
 * The sessions of this gate that outlive their connections: opens and resumes them, and ends those that are without one for too long.
 * Without the option `resume` it passes every connection on.
 */
@Injectable()
export class ResumableSessions
  implements ResumableHost, DoorHost, ArrivalHost, DepartureHost, OnModuleInit, OnApplicationShutdown
{
  readonly options;
  readonly limits;
  readonly makingBytes: number;
  readonly heartbeatMs: number;
  readonly drainQueue;
  readonly budget: RingBudget;
  readonly rest: Uint8Array[] = [];
  readonly reportDefect: DoorHost['reportDefect'];
  isStopping = false;
  /** Sessions leave this gate, and none comes. */
  private isLeaving = false;
  /** One that only looks like a `SessionLearner`, without extending it, may not have the hooks for sessions. */
  private readonly learner: Partial<SessionLearner>;
  private readonly isOn: boolean;
  readonly requestTimeout: number;
  private readonly overTime: number;
  private readonly tickets = new Tickets();
  private readonly wrongTickets = new WrongTickets();
  private readonly refusals = new RefusalLog(ResumableSessions.name);
  readonly ended: EndedSessions;
  private readonly detached: DetachedSessions<ResumableConnection>;
  private readonly keepEnds = new Map<ResumableConnection, KeepEnd>();
  private readonly wheel: DeadlineWheel;
  private readonly proxies: Proxies;
  private readonly prefix: string;
  private readonly turns: Turns;
  private readonly departures: Departures;
  private readonly arrivals: Arrivals;
  /** Sessions that have come from another gate. */
  private readonly visitors = new Set<ResumableConnection>();
  private readonly maxSettingsBytes: number;
  /** How the frames of resumable clients look, by codec and network. */
  private readonly wires = new Map<string, SessionWire>();
  private stopListening: () => void = () => undefined;
  /** Sockets that have said nothing yet. */
  private readonly waiting = new Set<SessionDoor>();
  /** Those that have something to acknowledge. */
  private readonly unacknowledged = new Set<ResumableConnection>();
  private ackTimer: NodeJS.Timeout | undefined;
  /** Those that have `ackEvery` frames to acknowledge. */
  private readonly overdue = new Set<ResumableConnection>();
  private overdueTimer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) options: ResolvedGateOptions,
    readonly counters: GateCounters,
    private readonly clients: ClientLifecycle,
    readonly hub: Hub,
    private readonly expiry: SessionExpiry,
    learner: SessionLearner,
    private readonly events: ClientEvents,
    private readonly router: TopicRouter,
    readonly keeper: SessionKeeper,
    readonly moving: MovingSessions,
    private readonly standstill: Standstill,
    readonly node: LinkNode,
    private readonly receipts: PushReceipts,
    readonly streams: StreamTable,
    codecs: Codecs,
  ) {
    this.learner = learner;
    this.isOn = options.resume !== undefined;
    this.options = options.resume ?? resolveResumeOptions({});
    this.limits = this.options;
    this.makingBytes = options.sendBuffBytes;
    this.heartbeatMs = options.pingInterval;
    this.overTime = options.overTime;
    this.requestTimeout = options.requestTimeout;
    this.drainQueue = clients.drainQueue;
    this.reportDefect = node.defects.report;
    this.prefix = clientIdPrefix(node.info.id, node.info.epoch);
    this.maxSettingsBytes = options.maxSettingsBytes;
    if (this.isOn) {
      for (const wire of [...codecs.ws.values(), codecs.streamCodec('frame2').wire]) {
        if (isSessionWire(wire))
          this.wires.set(`${wire.codec}/${codecs.ws.get(wire.codec) === wire ? 'ws' : 'tcp'}`, wire);
      }
    }
    this.turns = new Turns(node);
    this.departures = new Departures(this);
    this.arrivals = new Arrivals(this, this.turns);
    this.proxies = compileProxies(options.trustedProxies);
    this.budget = new RingBudget(this.options.totalBytes, () => this.makeRoom());
    this.ended = new EndedSessions(MAX_ENDED, this.options.keepMs);
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'resume.keep'));
    this.detached = new DetachedSessions(
      this.options,
      ip => (ip === '' || isListed(ip, this.proxies) ? undefined : countedBy(ip)),
      why => this.noteFull(why),
    );
  }

  /** Without the option, other gates are told that this one does not know how sessions move. */
  onModuleInit(): void {
    if (!this.isOn) return;
    const { arrivals, departures, node } = this;
    this.router.passOn = (agent, topic, body, id) => departures.passOn(agent, topic, body, id);
    node.dispatcher.serve(
      moveContract,
      this.standstill.guard(moveContract, {
        resume: (ask, call) => {
          departures.resume(ask, call).catch((error: unknown) => node.reportDefect(error, 'resume.move'));
        },
        turned: ({ to, clientIds }, { peer }) => departures.turned(to, clientIds, peer),
        received: ({ clientId, number, waitMs }, call) => {
          this.tellReceived(clientId, number, waitMs, call).catch((error: unknown) =>
            node.reportDefect(error, 'resume.receipt'),
          );
        },
        begin: ({ clientId, topic, body, id }, { peer }) => arrivals.onBegin(peer, clientId, topic, body, id),
        tail: ({ clientId, isLate, items }, { peer }) => arrivals.onTail(peer, clientId, isLate, items),
        final: ({ clientId, end }, { peer }) => {
          if (end.kind === 'stale') this.dropStale(clientId, peer);
          departures.onEnd(peer, clientId, end);
          arrivals.onEnd(peer, clientId, end);
        },
        offer: (offers, { peer }) => {
          for (const offer of offers) {
            this.takeOver(offer, peer).catch((error: unknown) => node.reportDefect(error, 'resume.offer'));
          }
        },
      }),
    );
    const stops = [
      node.holders.turns.on(({ peer, sessions }) => this.onTurn(peer, sessions)),
      node.onPeer(change => {
        if ('id' in change) {
          departures.onLeave();
          arrivals.onLeave();
        } else if (change.type === 'join') {
          const peer = node.remotes.get(change.node.id);
          if (peer) this.onJoin(peer);
        }
      }),
    ];
    this.stopListening = () => stops.forEach(stop => stop());
  }

  /** After the last client has gone. */
  onApplicationShutdown(): void {
    this.stopListening();
    this.turns.stop();
    this.departures.stop();
    this.arrivals.stop();
    clearInterval(this.ackTimer);
    clearTimeout(this.overdueTimer);
    this.ackTimer = undefined;
    this.overdueTimer = undefined;
    this.wheel.stop();
  }

  get figures(): ResumeFigures {
    return { detached: this.detached.size, remembered: this.ended.size, bytes: this.budget.bytes };
  }

  /** Whether the request of a handshake is looked at after it. */
  get readsRequests(): boolean {
    return this.clients.readsRequests;
  }

  /** Takes in a client whose handshake has passed. Returns who gets what its connection reports. */
  accept(
    connection: Connection,
    wire: Wire,
    handshake: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): ConnectionEvents {
    if (!this.isOn || !isSessionWire(wire)) return this.clients.connect(connection, wire, handshake, request);
    const door = new SessionDoor(this, connection, wire, handshake, request, this.overTime);
    this.waiting.add(door);
    return door;
  }

  /** The gate stops: its sessions go to other gates, as far as there are any, and the time suffices. */
  async moveAway(limitMs: number): Promise<void> {
    this.isLeaving = true;
    if (this.isOn) await new LeavingSessions(this).leave(limitMs);
  }

  get mayMove(): boolean {
    return this.turns.isKnownByAll;
  }

  get departing(): number {
    return this.departures.size;
  }

  /** From now on sessions end with their sockets, and those without one can be ended like all others. */
  stop(): void {
    this.isStopping = true;
    for (const door of this.waiting) door.refuse(CLOSE.restarting.code, CLOSE.restarting.reason);
  }

  // What doors ask.

  leave(door: SessionDoor): void {
    this.waiting.delete(door);
  }

  open(door: SessionDoor, isKept: boolean): ConnectionEvents {
    const { connection, wire, handshake, request } = door;
    if (!isKept) return this.clients.connect(connection, wire.plain, handshake, request);
    const resumable = new ResumableConnection(this, wire, door, handshake.userId, connection);
    resumable.agent = this.clients.connect(resumable, wire, handshake, request);
    return resumable;
  }

  resume(door: SessionDoor, body: unknown): ConnectionEvents | undefined | Promise<ConnectionEvents | undefined> {
    if (!isResumeBody(body)) {
      door.refuse(CLOSE.policy.code, 'a malformed resume');
      return undefined;
    }
    const { session } = body;
    if (this.departures.destinationOf(session)) return this.fetch(door, body);
    const isHere = this.hub.find(session) || this.ended.find(session, performance.now());
    return !isHere && this.arrivals.mayBeElsewhere(session) ? this.fetch(door, body) : this.resumeHere(door, body);
  }

  /** Lets the socket go on with a session of this gate. */
  private resumeHere(door: SessionDoor, body: ResumeBody): ConnectionEvents | undefined {
    const found = this.find(body.session, body.ticket, door.handshake.userId);
    if (!('connection' in found)) return this.refuse(door, found.code, found.closeCode);
    const { connection: resumable, generation } = found;
    if (wireOf(resumable) !== wireOf(wireAndNetwork(door))) return this.refuse(door, 'RESUME_UNKNOWN');
    if (!resumable.queue.allows(body.seen)) {
      door.refuse(CLOSE.policy.code, 'more frames seen than were sent');
      return undefined;
    }
    this.goOn(resumable, door, body.seen, generation, 'here');
    return resumable;
  }

  /** Lets the socket go on with a session of another gate, which hands it over. */
  private async fetch(door: SessionDoor, body: ResumeBody): Promise<ConnectionEvents | undefined> {
    const { session: clientId, ticket, seen } = body;
    const { userId } = door.handshake;
    const ask = { clientId, ticket, seen, wire: wireOf(wireAndNetwork(door)), userId, isHandOver: false };
    const isWanted = (): boolean => !door.isOver && !this.isLeaving;
    const taken = await this.arrivals.take(ask, this.departures.destinationOf(clientId), isWanted);
    if (taken === 'here') {
      if (door.isOver) return undefined;
      const found = this.resume(door, body);
      return found;
    }
    if ('connection' in taken) {
      const { connection, transfer } = taken;
      if (connection.agent.isClosed) return door.isOver ? undefined : this.resumeHere(door, body);
      connection.agent.userData = door.handshake.userData;
      if (door.isOver) {
        this.wait(connection, connection.keepMs);
        return undefined;
      }
      this.goOn(connection, door, transfer.seen, transfer.shown, 'moved');
      return connection;
    }
    if (door.isOver) return undefined;
    const { code, closeCode } = taken;
    if (code === 'IMPOSSIBLE') {
      door.refuse(CLOSE.policy.code, 'more frames seen than were sent');
      return undefined;
    }
    return this.refuse(door, code, closeCode);
  }

  /** A gate that stops offers a session without a connection. */
  private async takeOver(offer: Omit<ResumeAsk, 'isHandOver'>, peer: Peer): Promise<void> {
    if (this.isLeaving || peer.info.role !== 'gate') return;
    const taken = await this.arrivals.take({ ...offer, isHandOver: true }, peer, () => !this.isLeaving);
    if (taken === 'here' || !('connection' in taken)) return;
    const { connection, transfer } = taken;
    if (connection.agent.isClosed || !connection.isAway) return;
    connection.generation++;
    this.counters.add('sessions_moved', 'taken');
    this.wait(connection, Math.max(0, connection.keepMs - transfer.awayMs));
  }

  /** The gate that had a session asks whether the client acknowledges what was queued there. */
  private async tellReceived(clientId: string, number: number, waitMs: number, call: IncomingCall): Promise<void> {
    const connection = this.hub.find(clientId)?.connection;
    const { received } = await this.receipts.collect(waitMs, wait => {
      if (!(connection instanceof ResumableConnection)) return;
      wait.expect({ awaitReceipt: receipt => connection.queue.awaitNumber(number, receipt) });
    });
    call.peer.reply(call, moveContract.received, received > 0);
  }

  // What sessions that move ask.

  find(clientId: string, ticket: string, userId: string | undefined): Found {
    const agent = this.hub.find(clientId);
    if (!agent) {
      const ended = this.ended.find(clientId, performance.now());
      if (!ended) return { code: this.isLost(clientId) ? 'RESUME_LOST' : 'RESUME_UNKNOWN' };
      if (this.tickets.check(ticket, clientId, ended) === undefined) return { code: 'RESUME_DENIED' };
      const { closeCode } = ended;
      return { code: closeCode === undefined ? 'RESUME_EXPIRED' : 'RESUME_CLOSED', closeCode };
    }
    const { connection } = agent;
    if (!(connection instanceof ResumableConnection)) return { code: 'RESUME_UNKNOWN' };
    const generation = this.tickets.check(ticket, clientId, connection.tickets);
    const isUser = userId === connection.openedAs || (userId !== undefined && userId === agent.sessionState.userId);
    return generation !== undefined && isUser ? { connection, generation } : { code: 'RESUME_DENIED' };
  }

  /** Whether a session is of another gate, which is not there, or of this one before it was started again. */
  private isLost(clientId: string): boolean {
    return !clientId.startsWith(this.prefix);
  }

  keyOf({ key, agent }: ResumableConnection): Buffer {
    return key ?? this.keyOfId(agent.sessionState.origin.sessionId);
  }

  /** What the tickets of a session are made with that was born here. */
  keyOfId(clientId: string): Buffer {
    return this.tickets.keyOf(clientId);
  }

  /** Everything that a gate has to know of a session that goes on with it, and how its frames look. */
  describe(connection: ResumableConnection): { readonly transfer: SessionTransfer; readonly wire: string } {
    const { queue, generation } = connection;
    return { transfer: transferOf(this, connection, queue.acked, generation), wire: wireOf(connection) };
  }

  release(connection: ResumableConnection): void {
    this.forget(connection);
    this.unacknowledged.delete(connection);
    this.overdue.delete(connection);
    connection.isListed = false;
  }

  takeBack(connection: ResumableConnection): void {
    this.wait(connection, Math.max(0, connection.lostAt + connection.keepMs - performance.now()));
  }

  announce(connection: ResumableConnection): void {
    const { agent, generation } = connection;
    const turn: SessionTurn = {
      clientId: agent.sessionState.origin.sessionId,
      serial: agent.serial,
      generation,
      from: '',
    };
    // At once for what is sent from here; the others are told together with others.
    this.node.holders.note(this.node.me, [turn]);
    this.turns.add(announcement(turn));
  }

  whenFetched(clientId: string): Promise<void> {
    return this.arrivals.whenFetched(clientId);
  }

  hasArrived(clientId: string): Promise<boolean> {
    return this.arrivals.hasArrived(clientId);
  }

  adopt(transfer: SessionTransfer, wireName: string): ResumableConnection | undefined {
    const { snapshot, openedAs, arrival, groups, workers, ageMs, awayMs, floor, doubt } = transfer;
    const wire = this.wires.get(wireName);
    if (!wire || this.hub.find(snapshot.sessionId)) return undefined;
    const connection = new ResumableConnection(this, wire, undefined, openedAs, snapshot);
    const state = SessionState.from(snapshot, this.node.info.id, this.maxSettingsBytes);
    const agent = this.clients.adopt(connection, wire, state, arrival);
    connection.agent = agent;
    // The connection is as old as it was.
    (agent as { openedAt: number }).openedAt = Math.floor(performance.now() - ageMs);
    connection.adopt(transfer);
    connection.queue.startAt(transfer.seen, floor);
    if (doubt !== undefined) connection.queue.takeDoubt(doubt as GapReason);
    connection.queue.hold();
    if (this.options.presence === 'drop' && awayMs > 0) this.hub.presence.noteAway(agent);
    this.keeper.adopt(agent, transfer);
    for (const group of groups) this.hub.groups.add(group, agent);
    const worker = this.node.peers.get(workers[0] ?? '');
    if (worker) this.router.prefer(agent, worker);
    this.visitors.add(connection);
    return connection;
  }

  beginStream(agent: ClientAgent, topic: string, body: Body, id: number): void {
    try {
      this.router.route(agent, topic, body, id, performance.now(), true);
    } catch (error) {
      agent.failFrame(id, topic, error, false);
    }
  }

  // What connections ask.

  ticketFor({ agent, generation, key }: ResumableConnection): string {
    return this.tickets.make(agent.sessionState.origin.sessionId, { generation, key });
  }

  acknowledgeLater(connection: ResumableConnection): void {
    connection.isListed = true;
    this.unacknowledged.add(connection);
    this.ackTimer ??= setInterval(() => this.acknowledgeAll(), this.options.ackMs).unref();
  }

  acknowledgeSoon(connection: ResumableConnection): void {
    this.overdue.add(connection);
    connection.queue.acknowledgeWithNext(connection);
    this.overdueTimer ??= setTimeout(() => this.acknowledgeOverdue(), ACK_WAIT_MS);
  }

  onDetach(connection: ResumableConnection, code: number, reason: string): void {
    const { agent } = connection;
    this.counters.add('sessions_detached', code);
    this.clients.pauseHeartbeat(agent);
    if (this.options.presence === 'drop') this.hub.presence.noteAway(agent);
    this.clients.runHook(() => this.learner.onDetach?.(agent.session, { code, reason }));
    this.events.detached(agent, { code, reason });
    // Last: it may end another one, or, where none may be kept, this one.
    this.wait(connection, connection.keepMs);
  }

  onEnd(connection: ResumableConnection, closeCode: number | undefined, reason: string): void {
    this.release(connection);
    this.visitors.delete(connection);
    this.arrivals.forget(connection);
    const { agent, isHandedOver } = connection;
    const { sessionId } = agent.sessionState.origin;
    if (isHandedOver) {
      this.departures.onClosed(connection, closeCode ?? CLOSE.kicked.code, reason);
      return;
    }
    this.node.holders.forget(sessionId);
    this.ended.add(sessionId, { ...connection.tickets, closeCode, endedAt: performance.now() });
  }

  /** The session waits so long for its client. */
  wait(connection: ResumableConnection, ms: number): void {
    const end = new KeepEnd(connection, late => this.expire(late));
    this.keepEnds.set(connection, end);
    this.wheel.add(end, performance.now() + ms);
    this.detached.add(connection);
  }

  /** A gate says that sessions have come to it. */
  private onTurn(peer: Peer, sessions: readonly SessionTurn[]): void {
    for (const { clientId, generation } of sessions) {
      if (peer === this.node.me || this.departures.turning(peer, clientId)) continue;
      const connection = this.hub.find(clientId)?.connection;
      if (!(connection instanceof ResumableConnection)) continue;
      if (generation > connection.generation) this.drop(connection);
      else peer.notify(moveContract.final, { clientId, end: { kind: 'stale' } });
    }
  }

  /** A gate that has the session says that it went on there. */
  private dropStale(clientId: string, peer: Peer): void {
    const connection = this.hub.find(clientId)?.connection;
    if (peer.info.role === 'gate' && connection instanceof ResumableConnection) this.drop(connection);
  }

  /** The session is on another gate: what is here ends without a word. */
  private drop(connection: ResumableConnection): void {
    this.counters.add('sessions_moved', 'stale');
    connection.fence(CLOSE.takenOver.code, CLOSE.takenOver.reason);
    connection.agent.onClose(CLOSE.takenOver.code, CLOSE.takenOver.reason);
  }

  /** A node has come: it is told which sessions are here that were born elsewhere. */
  private onJoin(peer: Peer): void {
    this.departures.onJoin(peer);
    this.arrivals.onJoin(peer);
    const sources = Array.from(this.visitors, connection => {
      const { agent, generation } = connection;
      const { sessionId: clientId } = agent.sessionState.origin;
      const turn: SessionTurn = { clientId, serial: agent.serial, generation, from: '' };
      return this.arrivals.sourceOf(clientId) ?? announcement(turn);
    });
    this.turns.tell(peer, sources).catch((error: unknown) => this.node.reportDefect(error, 'resume.turn'));
  }

  private goOn(
    connection: ResumableConnection,
    door: SessionDoor,
    seen: number,
    generation: number,
    how: 'here' | 'moved',
  ): void {
    const { agent } = connection;
    const { authExpiresAt } = door.handshake;
    const info = connection.attach(door, seen, generation, performance.now());
    this.forget(connection);
    this.counters.add('sessions_resumed', how);
    this.clients.resumeHeartbeat(agent);
    if (this.options.presence === 'drop') this.hub.presence.noteBack(agent);
    if (agent.sessionState.relocate(connection.ip, connection.network)) this.router.tell(agent);
    if (authExpiresAt !== undefined) this.expiry.extend(agent, authExpiresAt);
    this.clients.runHook(() => this.learner.onResume?.(agent.session, info));
    this.events.resumed(agent, info);
  }

  /** The client is told why, and gets a new session. An address that shows too many wrong tickets gets none. */
  private refuse(door: SessionDoor, code: ResumeRefusalCode, closeCode?: number): ConnectionEvents | undefined {
    this.counters.add('resumes_refused', code);
    const { connection, wire } = door;
    connection.write(wire.notice('refused', resumeRefusal(code, closeCode)));
    if (code === 'RESUME_BUSY') {
      door.refuse(CLOSE.overloaded.code, CLOSE.overloaded.reason);
      return undefined;
    }
    if (code === 'RESUME_DENIED' && !this.wrongTickets.admits(countedBy(connection.ip), performance.now())) {
      this.refusals.add(code, `too many wrong tickets from ${connection.ip}`);
      door.refuse(CLOSE.policy.code, 'too many wrong tickets');
      return undefined;
    }
    return this.open(door, true);
  }

  private expire(connection: ResumableConnection): void {
    this.counters.add('sessions_expired', 'expired');
    this.forget(connection);
    connection.expire();
  }

  private noteFull(why: 'full' | 'address'): void {
    this.counters.add('sessions_expired', why);
    const option = why === 'full' ? 'resume.maxDetached' : 'resume.maxDetachedPerAddress';
    this.refusals.add(why, `more sessions without a connection than may be kept: see ${option}`);
  }

  /** It has a connection, or has ended. */
  private forget(connection: ResumableConnection): void {
    this.detached.remove(connection);
    const end = this.keepEnds.get(connection);
    if (!end) return;
    this.wheel.remove(end);
    this.keepEnds.delete(connection);
  }

  private acknowledgeOverdue(): void {
    this.overdueTimer = undefined;
    for (const connection of this.overdue) {
      this.overdue.delete(connection);
      if (connection.isAckDue) this.acknowledge(connection);
      else connection.noteAccepted();
    }
  }

  /** True when more may follow without another frame of the client. */
  private acknowledge(connection: ResumableConnection): boolean {
    try {
      return connection.acknowledge();
    } catch (error) {
      connection.onDefect(error, 'resume.ack');
      return false;
    }
  }

  private acknowledgeAll(): void {
    for (const connection of this.unacknowledged) {
      if (this.acknowledge(connection)) continue;
      connection.isListed = false;
      this.unacknowledged.delete(connection);
    }
    if (this.unacknowledged.size > 0) return;
    clearInterval(this.ackTimer);
    this.ackTimer = undefined;
  }

  /** All rings together hold too much: those of the sessions that have been away longest are cleared, then those of all others. */
  private makeRoom(): void {
    const enough = this.options.totalBytes * SETTLED_PART;
    for (const { queue } of this.detached.values()) {
      if (this.budget.bytes <= enough) return;
      queue.dropForBudget();
    }
    for (const { connection } of this.hub.all()) {
      if (this.budget.bytes <= enough) return;
      if (connection instanceof ResumableConnection) connection.queue.dropForBudget();
    }
  }
}

function wireAndNetwork({ wire, connection: { network } }: SessionDoor): Pick<ResumableConnection, 'wire' | 'network'> {
  return { wire, network };
}

function isResumeBody(body: unknown): body is ResumeBody {
  if (typeof body !== 'object' || body === null) return false;
  const { v, session, ticket, seen, sent } = body as Record<string, unknown>;
  return v === 2 && typeof session === 'string' && typeof ticket === 'string' && isCount(seen) && isCount(sent);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
