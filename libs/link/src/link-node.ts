import { GateError } from '@nestgate/protocol';
import { AbsentGates } from './absent-gates.js';
import { Defects, type ReportDefect } from './defects.js';
import { Dispatcher, type IncomingCall, type Replier } from './dispatcher.js';
import { NO_ANSWER, writeRequest } from './envelope.js';
import { Exchange } from './exchange.js';
import { FirstGate, GATE_WAIT_MS } from './first-gate.js';
import { Inbound } from './inbound.js';
import { JoinedChannels } from './joined-channels.js';
import type { LinkCounters } from './link-counters.js';
import type { Link, NodeId, NodeInfo, PeerChange, UnreachedGate } from './link.js';
import { type GateFate, MissingGates } from './missing-gates.js';
import type { Operation } from './operation.js';
import { type Batch, endRequests } from './outlet.js';
import { Outbound, type OutboundHost } from './outbound.js';
import { OwnQueue, type OwnQueueHost } from './own-queue.js';
import { Peer } from './peer.js';
import type { Pending } from './pending.js';
import { RequestPool } from './request-pool.js';
import { Signal } from './signal.js';

export interface LinkNodeOptions {
  readonly link: Link;
  readonly self: NodeInfo;
  /**
   * How long calls wait for the first gate, in milliseconds from the start of the node; 0: not at all.
   * @defaultValue 3000
   */
  readonly gateWait?: number | undefined;
  /**
   * Told of errors that nobody else would see, and where they were caught: what a handler threw without a code, and what was
   * thrown in a callback of a socket, a timer or the link.
   */
  readonly onDefect?: ReportDefect | undefined;
  /** Called with each connection that the link refuses, and the reason. */
  readonly onRefused?: ((who: string, why: string) => void) | undefined;
  /** Whether {@link LinkNode.untilGates} joins the link. @defaultValue true */
  readonly joinsOnCall?: boolean | undefined;
}

/**
 * A node of the cluster: its peers, and the requests that wait for an answer. All messages to one peer in one turn of the
 * event loop leave as one frame; frames of clients may wait for those of the next turns, see {@link Link.lingers}. The node is a peer of its own, over the same envelope.
 */
export class LinkNode implements Replier, OutboundHost, OwnQueueHost {
  readonly dispatcher = new Dispatcher(this);
  /** Errors that were thrown where nobody can catch them, by place. */
  readonly defects: Defects;
  readonly counters: LinkCounters = { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 };
  /** The node itself as a peer. */
  readonly me: Peer;
  private readonly link: Link;
  private readonly joinsOnCall: boolean;
  private readonly noteStranger: (who: string, why: string) => void;
  private readonly peerMap = new Map<NodeId, Peer>();
  /** @internal */
  readonly requests = new RequestPool(error => this.reportDefect(error, 'link.request'));
  private readonly missing = new MissingGates();
  private readonly firstGate: FirstGate;
  private readonly joined: JoinedChannels;
  /** @internal What lost gates miss. */
  readonly absent = new AbsentGates();
  private readonly changes = new Signal<PeerChange>(error => this.reportDefect(error, 'link.peer'));
  private readonly gaps = new Signal<Peer>(error => this.reportDefect(error, 'link.gap'));
  private readonly statuses = new Signal<boolean>(error => this.reportDefect(error, 'link.status'));
  private readonly own: OwnQueue;
  private readonly outbound: Outbound;
  private readonly exchange: Exchange;
  private readonly inbound: Inbound;
  private linkUp = false;
  /** What the listeners of the status were last told. */
  private toldUp = false;
  /** Gates on the link, this node included. */
  private gates = 0;
  private isOpened = false;
  private unreached: readonly UnreachedGate[] = [];
  private opening: Promise<void> | undefined;
  private state: 'new' | 'open' | 'closed' = 'new';

  constructor(options: LinkNodeOptions) {
    this.link = options.link;
    this.joinsOnCall = options.joinsOnCall ?? true;
    this.noteStranger = options.onRefused ?? (() => undefined);
    this.defects = new Defects(options.onDefect);
    this.me = new Peer(options.self, true, this.requests);
    this.peerMap.set(options.self.id, this.me);
    this.firstGate = new FirstGate(options.gateWait ?? GATE_WAIT_MS);
    this.countGates();
    this.joined = new JoinedChannels(options.self.role === 'gate');
    const { dispatcher, counters, gaps, joined } = this;
    const outbound = new Outbound(this.link, this);
    const own = new OwnQueue(this);
    const reportDefect = (error: unknown, where?: string): void => this.reportDefect(error, where);
    this.outbound = outbound;
    this.own = own;
    this.exchange = new Exchange({ own, outbound, counters, reportDefect });
    this.inbound = new Inbound({ dispatcher, counters, gaps, joined, outbound, reportDefect });
  }

  get info(): NodeInfo {
    return this.me.info;
  }

  /** All peers by id, this node included. */
  get peers(): ReadonlyMap<NodeId, Peer> {
    return this.peerMap;
  }

  /**
   * Grows at the end of each turn of the event loop in which messages were gathered: as long as it stays the same, nothing
   * else has had its turn since messages were sent.
   */
  get turn(): number {
    return this.own.turns + this.outbound.turns;
  }

  /** When something of another node has come last, by `performance.now()`; 0 before that. */
  get receivedAt(): number {
    return this.inbound.receivedAt;
  }

  /** How many requests of this node wait for an answer. */
  get waitingCount(): number {
    return this.requests.size;
  }

  /**
   * Whether there is a gate that can work with what it is sent. False before the link is open, after it is closed, and while
   * it is down as a whole.
   */
  get isUp(): boolean {
    return this.linkUp && this.state === 'open' && this.gates > 0;
  }

  /** Whether all nodes of the link are known when it is open, as its driver says. */
  get knowsAllAtOpen(): boolean {
    return this.link.knowsAllAtOpen === true;
  }

  /** The configured gates that are out of reach now, and why; empty on links without such a list. */
  get unreachedGates(): readonly UnreachedGate[] {
    return this.unreached;
  }

  /** Whether there is a gate on the link, this node included. */
  get hasGates(): boolean {
    return this.gates > 0;
  }

  /** Whether the link is open and has had a gate; else calls need {@link untilGates} first. A gate always has itself. */
  get hasMetGates(): boolean {
    return this.firstGate.hasCome && (this.isOpened || this.info.role === 'gate');
  }

  /**
   * Joins the link, unless that has been done, and waits for the first gate, within the time that a process has for that
   * at its start. Waits for `waitMs` at most.
   * @throws {GateError} `LINK_UNAVAILABLE` when there was no gate by then, and what {@link open} rejects with.
   */
  async untilGates(waitMs: number): Promise<void> {
    if (!this.joinsOnCall && !this.opening) throw new GateError('LINK_UNAVAILABLE', 'This app has not joined the link');
    if (this.state !== 'closed') await this.firstGate.wait(this.open(), waitMs);
    if (!this.firstGate.hasCome) throw new GateError('LINK_UNAVAILABLE', 'No gate is in reach');
  }

  /** The gates whose answers are missing: lost a moment ago, or configured and never reached. */
  get missingGates(): readonly NodeId[] {
    return this.missing.ids();
  }

  /** Those of {@link missingGates} that were never reached, by address. */
  get neverReachedGates(): readonly NodeId[] {
    return this.missing.neverReached();
  }

  /** How many gates a push to all of them misses; quick to say where it is none. */
  get gatesOutOfReach(): number {
    return this.missing.gaps;
  }

  /** Whether this boot of a gate was lost a moment ago, and may come back. */
  isMissing(id: NodeId, epoch: string): boolean {
    return this.missing.has(id, epoch);
  }

  /** What became of a boot of a gate that is not on the link. */
  fateOf(id: NodeId, epoch: string): GateFate {
    return this.missing.fateOf(id, epoch, this.peerMap.has(id));
  }

  /** Joins the cluster. Asked several times, all wait for the one joining. */
  open(): Promise<void> {
    return (this.opening ??= this.openLink());
  }

  private async openLink(): Promise<void> {
    if (this.state !== 'new') return;
    this.state = 'open';
    this.firstGate.begin();
    // The driver itself says what it cannot send yet.
    this.changeStatus(true);
    const { defects } = this;
    // Drivers call these from sockets and timers: what is thrown here must not end a connection, or the process.
    await this.link.open(this.me.info, {
      // `receive` has a boundary for each message.
      onFrame: (from, frame) => this.inbound.receive(this.peerMap.get(from), frame),
      onPeer: defects.guard('link.peer', change => this.changePeer(change)),
      onDrain: defects.guard('link.drain', id => this.outbound.noteDrain(id)),
      onStatus: defects.guard('link.status', isUp => this.changeStatus(isUp)),
      onUnreached: defects.guard('link.unreached', gates => {
        this.unreached = gates;
        this.missing.noteUnreached(gates);
      }),
      onRefused: defects.guard('link.refused', this.noteStranger),
      onDefect: defects.report,
    });
    this.isOpened = true;
  }

  /** Leaves the cluster. Requests still waiting fail with `LINK_CLOSED`. */
  async close(options: { drain: boolean } = { drain: true }): Promise<void> {
    if (this.state === 'closed') return;
    if (options.drain) {
      this.flush();
      this.outbound.takeLeave();
    }
    this.state = 'closed';
    this.own.stop();
    this.outbound.stop();
    await this.link.close(options);
    for (const peer of this.peerMap.values()) peer.requests.abort(new GateError('LINK_CLOSED'));
    this.requests.close();
    this.changeStatus(false);
  }

  /** Tells the peers what has changed about this node. */
  announce(change: Partial<Pick<NodeInfo, 'modules' | 'draining'>>): void {
    this.me.info = { ...this.me.info, ...change };
    if (this.state === 'open') this.link.announce(this.me.info);
    this.changes.emit({ type: 'change', node: this.me.info });
  }

  /** Listens to joining, changing and leaving peers, this node's own changes included. Returns how to stop. */
  onPeer(listener: (change: PeerChange) => void): () => void {
    return this.changes.on(listener);
  }

  /** Listens to {@link isUp} changing: the link as a whole, or the last gate, going and coming back. Returns how to stop. */
  onStatus(listener: (isUp: boolean) => void): () => void {
    return this.statuses.on(listener);
  }

  /** Listens to batches of a peer that are missing. Returns how to stop. */
  onGap(listener: (peer: Peer) => void): () => void {
    return this.gaps.on(listener);
  }

  /**
   * Gates: take part in a channel. Settles when casts of any node reach this one; `undefined` where messages to a channel
   * reach every gate anyway.
   */
  join(channel: string): Promise<void> | undefined {
    if (!this.link.routesChannels) return undefined;
    const joining = this.link.join(channel);
    this.joined.add(channel, joining);
    return joining;
  }

  leave(channel: string): void {
    if (!this.link.routesChannels) return;
    this.joined.delete(channel);
    this.link.leave(channel);
  }

  /**
   * Whether messages to a channel should be cast. With one gate, and where casts go everywhere, they cost more; and while
   * something waits for a slow gate, they would overtake it.
   */
  get castsChannels(): boolean {
    if (!this.link.routesChannels) return false;
    let gates = 0;
    for (const peer of this.peerMap.values()) {
      if (peer.info.role !== 'gate') continue;
      if (!peer.isFlowing) return false;
      gates++;
    }
    return gates > 1;
  }

  /**
   * Sends to the gates that have joined a channel, without this node. Returns what to wait for when the link is
   * congested.
   */
  cast<A>(channel: string, operation: Operation<A, unknown>, args: A): Promise<void> | undefined {
    writeRequest(this.outbound.toChannel(channel), operation, NO_ANSWER, 0, args);
    this.outbound.wroteCast();
    return this.outbound.whenDrained();
  }

  /**
   * Sends a request. `pending` ends once: with the answer, at `deadline`, or when the peer is lost. When it cannot be sent, it
   * ends after this has returned: with `LIMIT_EXCEEDED` when too many requests wait, or `BAD_ARGUMENT`.
   */
  request<A>(peer: Peer, operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    this.exchange.request(peer, operation, args, pending, deadline);
  }

  /** Sends a request that nobody waits for. */
  notify<A>(peer: Peer, operation: Operation<A, unknown>, args: A): void {
    this.exchange.notify(peer, operation, args);
  }

  reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void {
    this.exchange.reply(call, operation, result);
  }

  /** `urgent`: the answer to a question, which does not wait behind what else is on its way. */
  fail(call: IncomingCall, error: GateError, urgent = false): void {
    this.exchange.fail(call, error, urgent);
  }

  /** Counts and logs an error that nobody else would hear of. Never throws. */
  reportDefect(error: unknown, where = 'handler'): void {
    this.defects.report(error, where);
  }

  /** Counts messages that were not sent because their peer is out of reach. */
  noteRefused(messages: number): void {
    this.counters.refused += messages;
  }

  /** @internal Counts messages that were sent and have not arrived, or may not have. */
  noteUncertain(messages: number): void {
    this.counters.uncertain += messages;
  }

  /** Sends all gathered batches now. */
  flush(): void {
    this.own.flush();
    this.outbound.flush();
  }

  /** @internal Nothing was taken of a batch: its requests have certainly not run, and end now. Those before it may have. */
  onRefused(batch: Batch): void {
    this.noteRefused(batch.messages);
    endRequests(batch, new GateError('LINK_UNAVAILABLE'));
  }

  private changePeer(change: PeerChange): void {
    if ('id' in change) {
      const peer = this.peerMap.get(change.id);
      this.peerMap.delete(change.id);
      this.countGates();
      if (change.type === 'lost' && peer?.info.role === 'gate') {
        this.missing.add(peer.info);
        this.absent.add(peer.info);
      }
      // Told first: whoever hears of the end of a request may send the next one at once, and not to this peer again.
      this.changes.emit(change);
      if (peer) this.losePeer(peer, change.type === 'leave');
    } else {
      this.missing.noteBack(change.node);
      this.noteUncertain(this.absent.return(change.node));
      const known = this.peerMap.get(change.node.id);
      // A new boot of a known node is another peer: whatever the old one owed is lost.
      if (known && known.info.epoch === change.node.epoch) {
        known.info = change.node;
      } else {
        const peer = new Peer(change.node, false, this.requests);
        this.outbound.meet(peer);
        this.peerMap.set(change.node.id, peer);
        this.countGates();
        if (known) {
          this.changes.emit({ type: 'leave', id: known.info.id });
          this.losePeer(known, false);
        }
      }
      this.changes.emit(change);
    }
    this.tellStatus();
  }

  private countGates(): void {
    this.gates = 0;
    for (const { info } of this.peerMap.values()) if (info.role === 'gate') this.gates++;
    if (this.gates > 0) this.firstGate.note();
  }

  private losePeer(peer: Peer, hasLeft: boolean): void {
    peer.requests.abort(new GateError('NODE_LOST'));
    this.outbound.drop(peer, hasLeft);
  }

  private changeStatus(isUp: boolean): void {
    if (this.linkUp === isUp) return;
    this.linkUp = isUp;
    this.missing.noteStatus(isUp);
    if (isUp) this.outbound.restart();
    // An answer that could not be sent meanwhile is not sent later, and nobody can tell whose that was.
    else for (const peer of this.peerMap.values()) if (!peer.isSelf) peer.requests.abort(new GateError('NODE_LOST'));
    this.tellStatus();
  }

  private tellStatus(): void {
    const { isUp } = this;
    if (this.toldUp === isUp) return;
    this.toldUp = isUp;
    this.statuses.emit(isUp);
  }
}
