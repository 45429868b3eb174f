import type { LinkNode } from '@nestgate/link';
import {
  birthGateOf,
  type Codec,
  type MoveEnd,
  moveContract,
  type Peer,
  Pending,
  type ResumeAnswer,
  type ResumeAsk,
  type SessionTransfer,
  type SessionTurn,
  type TailItem,
  within,
} from '@nestgate/link/internal';
import { parseClientId } from '@nestgate/link';
import {
  type Body,
  CLOSE,
  type GapReason,
  GateError,
  isSendableCloseCode,
  type ResumeRefusalCode,
} from '@nestgate/protocol';
import type { ClientAgent } from '../../client/client-agent.js';
import type { GateCounters } from '../../gate-counters.js';
import type { Hub } from '../../hub/hub.js';
import type { StreamTable } from '../../routing/stream-table.js';
import type { MovingSessions } from './moving-sessions.js';
import type { ResumableConnection } from '../resumable-connection.js';
import type { Turns, TurnSource } from './turns.js';

/** How long the gate that has a session may take to answer, in milliseconds. */
const ASK_MS = 1_000;
/** A session that keeps moving is followed so far. */
const MAX_HOPS = 4;
/** How long the link may take to hear the channels of a session, in milliseconds. */
const JOIN_MS = 1_000;
/** How long the end of the old gate's part is waited for, in milliseconds. */
const FINAL_MS = 5_000;
/** How long another gate that wants a session waits until it has come here wholly, in milliseconds. */
const ARRIVED_MS = 800;

/** How long another gate that wants a session waits until this gate has been answered about it, in milliseconds. */
const FETCHED_MS = 300;

/** A request whose gate is lost may have been handled. */
const LOST = new GateError('WORKER_LOST').toBody();

/** The session has come, or why it has not. */
export type Taken =
  | { readonly connection: ResumableConnection; readonly transfer: SessionTransfer }
  | { readonly code: ResumeRefusalCode | 'IMPOSSIBLE'; readonly closeCode?: number | undefined };

/** What the gate does for sessions that come to it. */
export interface ArrivalHost {
  readonly node: LinkNode;
  readonly hub: Hub;
  readonly moving: MovingSessions;
  readonly streams: StreamTable;
  readonly counters: GateCounters;
  /** How long a stream may send nothing, in milliseconds. */
  readonly requestTimeout: number;
  /** Has a worker begin a stream. */
  beginStream(agent: ClientAgent, topic: string, body: Body, id: number): void;
  /** Makes a client of the session, with its groups and its uid. */
  adopt(transfer: SessionTransfer, wire: string): ResumableConnection | undefined;
}

/** Asks a gate for a session. What comes is taken at once: the frames of the session follow in the same batch. */
class ResumeCall extends Pending<ResumeAnswer> {
  private settle!: (answer: ResumeAnswer) => void;
  private reject!: (error: GateError) => void;
  readonly answer = new Promise<ResumeAnswer>((resolve, reject) => {
    this.settle = resolve;
    this.reject = reject;
  });

  constructor(private readonly onAnswer: (answer: ResumeAnswer) => void) {
    super();
  }

  override get result(): Codec<ResumeAnswer> {
    return moveContract.resume.result;
  }

  override succeed(answer: ResumeAnswer): void {
    this.onAnswer(answer);
    this.settle(answer);
  }

  override fail(error: GateError): void {
    this.reject(error);
  }
}

/** One session that comes from another gate. */
class Arrival implements TurnSource {
  /** Nodes whose messages may still be the old gate's to deliver. */
  readonly waiting = new Set<Peer>();
  /** Of those, the ones that have not turned in time. */
  readonly overdue = new Set<Peer>();
  isTold = false;
  /** The old gate has no more pushes. */
  isFinal = false;
  /** No request of the client runs on the old gate. */
  isSettled: boolean;
  isDoubted = false;
  /** Requests that run on the old gate, and whose reply has not come. */
  readonly running: Set<number>;
  timer: NodeJS.Timeout | undefined;
  /** Late frames, in order. */
  lateFrames: Promise<void> = Promise.resolve();
  /** Resolves when operations on the session may run here. */
  readonly end: Promise<undefined>;
  resolve!: (nothing: undefined) => void;
  /** Resolves when nothing of the session is on its way any more. */
  readonly whole: Promise<void>;
  resolveWhole!: () => void;

  constructor(
    readonly connection: ResumableConnection,
    readonly from: Peer,
    readonly transfer: SessionTransfer,
    /** Has the workers of the client's streams send the rest to this gate. */
    private readonly takeStreams: () => void,
    private readonly onTurned: (arrival: Arrival, peer: Peer, isSure: boolean) => void,
    private readonly onLate: (arrival: Arrival, peer: Peer) => void,
  ) {
    this.isSettled = !transfer.isRunning;
    this.running = new Set(transfer.running);
    this.end = new Promise(resolve => (this.resolve = resolve));
    this.whole = new Promise(resolve => (this.resolveWhole = resolve));
  }

  get clientId(): string {
    return this.agent.sessionState.origin.sessionId;
  }

  get agent(): ClientAgent {
    return this.connection.agent;
  }

  get turn(): SessionTurn {
    const { clientId, agent, transfer, from } = this;
    return { clientId, serial: agent.serial, generation: transfer.generation + 1, from: from.info.id };
  }

  sent(peers: readonly Peer[]): void {
    // Before the turn: what a worker has sent of a stream when it turns is the old gate's, and nothing else is.
    this.takeStreams();
    this.isTold = true;
    for (const peer of peers) this.waiting.add(peer);
  }

  late(peer: Peer): void {
    this.onLate(this, peer);
  }

  turned(peer: Peer, isSure: boolean): void {
    this.onTurned(this, peer, isSure);
  }
}

/**
 * The sessions that come to this gate from another one. This gate delivers what each node sends behind its marker, after all that the old
 * gate forwards.
 */
export class Arrivals {
  private readonly arrivals = new Map<string, Arrival>();
  /** Sessions that are being asked for. */
  private readonly asking = new Map<string, Promise<Taken>>();
  /** Those of them that all gates are asked for. */
  private readonly searching = new Set<string>();

  constructor(
    private readonly host: ArrivalHost,
    private readonly turns: Turns,
  ) {}

  get size(): number {
    return this.arrivals.size;
  }

  /** Whether a session that is not here may be on another gate. */
  mayBeElsewhere(clientId: string): boolean {
    const { node } = this.host;
    const holder = node.holders.known(clientId);
    if (holder) return holder.peer !== node.me;
    const birth = parseClientId(clientId);
    if (!birth || (birth.gate === node.info.id && birth.epoch === node.info.epoch)) return false;
    return (
      birthGateOf(node, clientId) !== undefined || node.fateOf(birth.gate, birth.epoch) === 'missing' || this.hasOthers
    );
  }

  /**
   * Asks for a session: the gate that it is about to move to, or is known to be on, else the one of its id, else all. `isWanted` says
   * whether it still is.
   */
  async take(ask: ResumeAsk, destination: Peer | undefined, isWanted: () => boolean): Promise<Taken | 'here'> {
    const { clientId } = ask;
    const before = this.asking.get(clientId);
    if (before) {
      await before.catch(() => undefined);
      return 'here';
    }
    if (!this.turns.isKnownByAll) return { code: 'RESUME_LOST' };
    const asked = this.follow(ask, destination, isWanted);
    this.asking.set(clientId, asked);
    try {
      return await asked;
    } finally {
      this.asking.delete(clientId);
      this.searching.delete(clientId);
    }
  }

  /**
   * Resolves when a session is not being asked for any more, or that takes too long. The gate that had it may name this one before the
   * session is here. Gates that ask all others do not wait for each other: none of them knows where it is.
   */
  async whenFetched(clientId: string): Promise<void> {
    const asked = this.searching.has(clientId) ? undefined : this.asking.get(clientId);
    if (!asked) return;
    const end = asked.then(
      () => undefined,
      () => undefined,
    );
    await within(end, FETCHED_MS, () => undefined);
  }

  /** Resolves when a session has come wholly, with false when that takes too long. */
  hasArrived(clientId: string): Promise<boolean> {
    const arrival = this.arrivals.get(clientId);
    if (!arrival || (arrival.isFinal && arrival.isSettled && arrival.waiting.size === 0)) return Promise.resolve(true);
    return within(
      arrival.whole.then(() => true),
      ARRIVED_MS,
      () => false,
    );
  }

  /** Frames that were the old gate's to deliver. */
  onTail(from: Peer, clientId: string, isLate: boolean, items: readonly TailItem[]): void {
    const arrival = this.arrivals.get(clientId);
    if (arrival?.from !== from || arrival.agent.isClosed) return;
    const { queue, wire } = arrival.connection;
    if (arrival.running.size > 0) {
      for (const item of items) if (item instanceof Uint8Array) arrival.running.delete(wire.endedBy(item));
    }
    if (!isLate) {
      queue.takeForwarded(items, false);
      return;
    }
    // A reply follows what its handler has sent before, which has gone to this gate.
    arrival.lateFrames = arrival.lateFrames
      .then(() => Promise.all(this.workersOf(arrival).map(worker => this.turns.barrier(worker))))
      .then(() => {
        if (!arrival.agent.isClosed) queue.takeForwarded(items, true);
      })
      .catch((error: unknown) => this.host.node.reportDefect(error, 'resume.tail'));
  }

  /** A frame that the old gate has accepted. */
  onBegin(from: Peer, clientId: string, topic: string, body: Body, id: number): void {
    const arrival = this.arrivals.get(clientId);
    if (arrival?.from === from && !arrival.agent.isClosed) this.host.beginStream(arrival.agent, topic, body, id);
  }

  onEnd(from: Peer, clientId: string, end: MoveEnd): void {
    const arrival = this.arrivals.get(clientId);
    if (arrival?.from !== from) return;
    if (end.kind === 'pushes') {
      const { groups } = this.host.hub;
      for (const group of groups.namesOf(arrival.agent))
        if (!end.groups.includes(group)) groups.remove(group, arrival.agent);
      if (!arrival.isFinal) this.host.streams.settle(arrival.agent, end.streams, end.doubts);
      this.finish(arrival, end.doubts.length > 0 ? 'link' : undefined);
    } else if (end.kind === 'requests') {
      void arrival.lateFrames.then(() => this.settle(arrival));
    } else if (end.kind === 'closed') {
      const { code, reason } = end;
      arrival.agent.close(isSendableCloseCode(code) ? code : CLOSE.kicked.code, reason);
    }
  }

  /** The session has ended, or has gone on to another gate. */
  forget({ agent }: ResumableConnection): void {
    const arrival = this.arrivals.get(agent.sessionState.origin.sessionId);
    if (arrival?.agent === agent) this.drop(arrival);
  }

  /** A node has come that does not know what is here. */
  onJoin(peer: Peer): void {
    for (const { clientId, agent, isFinal } of this.arrivals.values()) {
      if (!isFinal) this.host.moving.exclude(peer, clientId, agent);
    }
  }

  /** A session that this node has just been told about is here: it turns as all others do. */
  sourceOf(clientId: string): TurnSource | undefined {
    const arrival = this.arrivals.get(clientId);
    if (arrival?.isTold) return arrival;
    return undefined;
  }

  /** A node has gone. */
  onLeave(): void {
    const { peers } = this.host.node;
    for (const arrival of this.arrivals.values()) {
      if (peers.get(arrival.from.info.id) === arrival.from) continue;
      this.finish(arrival, 'gate-lost');
      void arrival.lateFrames.then(() => this.settle(arrival, true));
    }
  }

  stop(): void {
    for (const arrival of this.arrivals.values()) this.drop(arrival);
  }

  private get hasOthers(): boolean {
    return this.otherGates().length > 0;
  }

  private otherGates(): Peer[] {
    const { node } = this.host;
    return [...node.peers.values()].filter(peer => peer.info.role === 'gate' && peer !== node.me);
  }

  private async follow(ask: ResumeAsk, destination: Peer | undefined, isWanted: () => boolean): Promise<Taken> {
    const { node } = this.host;
    const { clientId } = ask;
    let peer = destination ?? node.holders.find(clientId)?.peer ?? birthGateOf(node, clientId);
    // It has moved away from here, to a gate that is not on the link any more.
    if (peer === node.me) peer = undefined;
    for (let hops = 0; peer && hops < MAX_HOPS; hops++) {
      // It comes here while it is being asked for.
      if (peer === node.me) return { code: 'RESUME_BUSY' };
      const taken = await this.ask(peer, ask, isWanted);
      if (!('movedTo' in taken)) return taken;
      // Its client has come back elsewhere: the offer is void.
      if (ask.isHandOver) return { code: 'RESUME_BUSY' };
      peer = node.peers.get(taken.movedTo);
    }
    return peer ? { code: 'RESUME_BUSY' } : this.askAll(ask, isWanted);
  }

  /** The gate that has a session, or had it last, is not on the link: another one may have it. */
  private async askAll(ask: ResumeAsk, isWanted: () => boolean): Promise<Taken> {
    const { node } = this.host;
    this.searching.add(ask.clientId);
    const answers = await Promise.all(this.otherGates().map(peer => this.ask(peer, ask, isWanted)));
    const session = answers.find(answer => 'connection' in answer);
    if (session) return session;
    // What one that knows the session says of it is worth more than that the others do not know it.
    const told = answers.find(
      answer => 'code' in answer && answer.code !== 'RESUME_UNKNOWN' && answer.code !== 'RESUME_LOST',
    );
    if (told) return told as Taken;
    const last = node.holders.known(ask.clientId)?.peer.info;
    const { gate = '', epoch = '' } = parseClientId(ask.clientId) ?? {};
    const fate = last ? node.fateOf(last.id, last.epoch) : node.fateOf(gate, epoch);
    return { code: fate === 'missing' ? 'RESUME_BUSY' : 'RESUME_LOST' };
  }

  private async ask(
    peer: Peer,
    ask: ResumeAsk,
    isWanted: () => boolean,
  ): Promise<Taken | { readonly movedTo: string }> {
    const { node } = this.host;
    const until = performance.now() + ASK_MS;
    let connection: ResumableConnection | undefined;
    const call = new ResumeCall(({ session }) => {
      if (session && performance.now() <= until && isWanted()) connection = this.adopt(session, peer, ask.wire);
    });
    peer.request(moveContract.resume, ask, call, until);
    let answer: ResumeAnswer;
    try {
      answer = await call.answer;
    } catch (error) {
      const { code } = error as GateError;
      if (code === 'UNKNOWN_OPERATION') return { code: 'RESUME_LOST' };
      // It may have fenced the session, and must not wait for this gate.
      this.decline(peer, ask.clientId);
      const isGone = node.peers.get(peer.info.id) !== peer && node.fateOf(peer.info.id, peer.info.epoch) !== 'missing';
      return { code: isGone ? 'RESUME_LOST' : 'RESUME_BUSY' };
    }
    const { session, movedTo, code = 'RESUME_UNKNOWN', closeCode } = answer;
    if (session && connection) return { connection, transfer: session };
    if (session) {
      this.decline(peer, ask.clientId);
      return { code: 'RESUME_BUSY' };
    }
    if (movedTo !== undefined) return { movedTo };
    return { code: code as ResumeRefusalCode, closeCode };
  }

  private decline(peer: Peer, clientId: string): void {
    peer.notify(moveContract.final, { clientId, end: { kind: 'declined' } });
  }

  /** Takes a session. Its client is welcomed when this has returned. */
  private adopt(transfer: SessionTransfer, from: Peer, wire: string): ResumableConnection | undefined {
    const { host } = this;
    const connection = host.adopt(transfer, wire);
    if (!connection) return undefined;
    const { agent } = connection;
    const arrival = new Arrival(
      connection,
      from,
      transfer,
      host.streams.expect(agent, from, transfer.streams, host.requestTimeout),
      (one, peer, isSure) => this.turned(one, peer, isSure),
      (one, peer) => this.noteOverdue(one, peer),
    );
    const { clientId } = arrival;
    this.arrivals.set(clientId, arrival);
    host.moving.begin(clientId, arrival.end);
    for (const peer of host.node.peers.values()) host.moving.exclude(peer, clientId, agent);
    if (transfer.isRunning) agent.block();
    arrival.timer = setTimeout(
      host.node.defects.guard('resume.move', () => {
        this.finish(arrival, 'gate-lost');
        this.settle(arrival, true);
      }),
      FINAL_MS,
    );
    this.turnAll(arrival).catch((error: unknown) => host.node.reportDefect(error, 'resume.turn'));
    return connection;
  }

  /** Tells all nodes when the link hears what is for the session. */
  private async turnAll(arrival: Arrival): Promise<void> {
    const { hub } = this.host;
    const { userId } = arrival.agent.sessionState;
    const heard = [
      userId === '' ? undefined : hub.uidInterest.whenHeard(userId),
      ...Array.from(hub.groups.namesOf(arrival.agent), group => hub.groupInterest.whenHeard(group)),
    ].filter(each => each !== undefined);
    if (heard.length > 0) {
      const all = Promise.all(heard).then(
        () => undefined,
        () => undefined,
      );
      await within(all, JOIN_MS, () => undefined);
    }
    if (this.arrivals.get(arrival.clientId) === arrival) this.turns.add(arrival);
  }

  /** The old gate does not wait for the node any more. What it sends is left out until it turns: the old gate may have delivered it. */
  private noteOverdue(arrival: Arrival, peer: Peer): void {
    if (this.arrivals.get(arrival.clientId) !== arrival) return;
    arrival.overdue.add(peer);
    this.doubt(arrival, 'link');
  }

  private turned(arrival: Arrival, peer: Peer, isSure: boolean): void {
    arrival.waiting.delete(peer);
    if (this.arrivals.get(arrival.clientId) !== arrival) return;
    this.host.moving.admit(peer, arrival.clientId);
    // What has been left out since is missing too.
    if (arrival.overdue.delete(peer) && !arrival.agent.isClosed) arrival.connection.queue.noteDoubt('link');
    if (!isSure) this.doubt(arrival, 'link');
    this.endWhenWhole(arrival);
  }

  /** The old gate's part is over, and this gate's begins. */
  private finish(arrival: Arrival, doubt: GapReason | undefined): void {
    if (arrival.isFinal) return;
    arrival.isFinal = true;
    // Its requests may take as long as requests do: the old gate is there, or its loss is noticed.
    clearTimeout(arrival.timer);
    if (doubt) this.doubt(arrival, doubt);
    this.host.streams.breakComing(arrival.agent);
    arrival.connection.queue.release();
    this.host.moving.unhold(arrival.clientId);
    arrival.resolve(undefined);
    this.endWhenWhole(arrival);
  }

  /** No request runs on the old gate any more. `isLost`: those without a reply get none. */
  private settle(arrival: Arrival, isLost = false): void {
    if (arrival.isSettled) return;
    arrival.isSettled = true;
    if (isLost) for (const id of arrival.running) arrival.agent.sendError(id, LOST);
    arrival.agent.unblock();
    this.endWhenWhole(arrival);
  }

  private doubt(arrival: Arrival, why: GapReason): void {
    if (arrival.isDoubted) return;
    arrival.isDoubted = true;
    this.host.counters.add('moves_in_doubt', why);
    if (!arrival.agent.isClosed) arrival.connection.queue.noteDoubt(why);
  }

  private endWhenWhole(arrival: Arrival): void {
    if (arrival.isFinal && arrival.isSettled && arrival.isTold && arrival.waiting.size === 0) this.drop(arrival);
  }

  private drop(arrival: Arrival): void {
    clearTimeout(arrival.timer);
    if (this.arrivals.get(arrival.clientId) === arrival) this.arrivals.delete(arrival.clientId);
    this.host.moving.end(arrival.clientId);
    arrival.connection.queue.release();
    arrival.resolve(undefined);
    arrival.resolveWhole();
  }

  private workersOf({ transfer }: Arrival): Peer[] {
    const { peers } = this.host.node;
    return transfer.workers.flatMap(id => peers.get(id) ?? []);
  }
}
