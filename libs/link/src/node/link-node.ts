import { GateError } from '@nestgate/protocol';
import { Defects, type ReportDefect } from '../common/defects.js';
import type { LinkCounters } from '../common/link-counters.js';
import type { Link, NodeId, NodeInfo, PeerChange, UnreachedGate } from '../link.js';
import { JoinedChannels } from '../peer/joined-channels.js';
import { LoopbackPeer } from '../peer/loopback-peer.js';
import { Outbound } from '../peer/outbound.js';
import type { IncomingCall, Peer, PeerContext } from '../peer/peer.js';
import { RemotePeer } from '../peer/remote-peer.js';
import { RequestPool } from '../peer/pending.js';
import { GateReach } from '../reach/gate-reach.js';
import type { GateFate } from '../reach/missing-gates.js';
import { NO_ANSWER, writeRequest } from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';
import { moveContract, type SessionTurn, turnContract } from '../contracts/move-contract.js';
import { Dispatcher } from './dispatcher.js';
import { Holders } from './holders.js';
import { Inbound } from './inbound.js';
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
   * Receives errors that no caller would receive, with the place that caught them: exceptions of handlers without a code, and exceptions in
   * callbacks of sockets, timers and the link.
   */
  readonly onDefect?: ReportDefect | undefined;
  /** Called with each connection that the link refuses, and the reason. */
  readonly onRefused?: ((who: string, why: string) => void) | undefined;
  /** Whether {@link LinkNode.untilGates} joins the link. @defaultValue true */
  readonly joinsOnCall?: boolean | undefined;
}

/**
 * A node of the cluster: it joins a link, has a peer for each other node, and dispatches their messages. All messages to one peer in one
 * turn of the event loop are sent as one batch. Frames of clients may wait for the next turns, see {@link Link.lingers}. The node is also
 * a peer of itself.
 */
export class LinkNode {
  readonly dispatcher: Dispatcher;
  /** Exceptions that no caller can catch, by place. */
  readonly defects: Defects;
  readonly counters: LinkCounters = { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 };
  /** The node itself as a peer. */
  readonly me: LoopbackPeer;
  /** Reachability of the gates. */
  readonly reach: GateReach;
  /** The gates of sessions that have moved. */
  readonly holders: Holders;
  /** @internal */
  readonly requests = new RequestPool(error => this.reportDefect(error, 'link.request'));
  private readonly link: Link;
  private readonly joinsOnCall: boolean;
  private readonly noteRefusal: (who: string, why: string) => void;
  private readonly context: PeerContext;
  private readonly peerMap = new Map<NodeId, Peer>();
  private readonly remoteMap = new Map<NodeId, RemotePeer>();
  private readonly joined: JoinedChannels;
  private readonly changes = new Signal<PeerChange>(error => this.reportDefect(error, 'link.peer'));
  private readonly gaps = new Signal<RemotePeer>(error => this.reportDefect(error, 'link.gap'));
  private readonly statuses = new Signal<boolean>(error => this.reportDefect(error, 'link.status'));
  private readonly outbound: Outbound;
  private readonly inbound: Inbound;
  /** The status that listeners have received last. */
  private toldUp = false;
  private isOpened = false;
  private opening: Promise<void> | undefined;
  private state: 'new' | 'open' | 'closed' = 'new';

  constructor(options: LinkNodeOptions) {
    this.link = options.link;
    this.joinsOnCall = options.joinsOnCall ?? true;
    this.noteRefusal = options.onRefused ?? (() => undefined);
    this.defects = new Defects(options.onDefect);
    const { counters, defects, requests } = this;
    this.context = { counters, defects, requests };
    this.dispatcher = new Dispatcher(defects);
    this.reach = new GateReach(options.gateWait);
    this.me = new LoopbackPeer(options.self, this.context, (call, args) => this.dispatcher.run(call, args));
    this.peerMap.set(options.self.id, this.me);
    this.countGates();
    this.holders = new Holders(this.peerMap, error => this.reportDefect(error, 'link.turn'));
    this.dispatcher.serve(turnContract, { turn: ({ sessions }, call) => this.turnTo(sessions, call) });
    this.joined = new JoinedChannels(options.self.role === 'gate');
    this.outbound = new Outbound(this.link, this.context, this.reach, this.remoteMap);
    this.inbound = new Inbound(this.context, this.dispatcher, this.joined, this.gaps);
  }

  get info(): NodeInfo {
    return this.me.info;
  }

  /** All peers by id, this node included. */
  get peers(): ReadonlyMap<NodeId, Peer> {
    return this.peerMap;
  }

  /** All other nodes by id. */
  get remotes(): ReadonlyMap<NodeId, RemotePeer> {
    return this.remoteMap;
  }

  /**
   * Increases at the end of each event loop turn in which messages were written. While it is unchanged, the turn of the last message has
   * not ended.
   */
  get turn(): number {
    return this.me.turns + this.outbound.turns;
  }

  /** Time of the last message of another node, by `performance.now()`; 0 before. */
  get receivedAt(): number {
    return this.inbound.receivedAt;
  }

  /** How many requests of this node wait for an answer. */
  get waitingCount(): number {
    return this.requests.size;
  }

  /**
   * Whether a gate is reachable. False before the link is open, after it is closed, and while the whole link is down.
   */
  get isUp(): boolean {
    return this.reach.isUp;
  }

  /** Whether the driver knows all nodes of the link when it is open. */
  get knowsAllAtOpen(): boolean {
    return this.link.knowsAllAtOpen === true;
  }

  /** The unreachable configured gates, with the reason; empty on links without such a list. */
  get unreachedGates(): readonly UnreachedGate[] {
    return this.reach.unreached;
  }

  /** Whether the link is open and a gate was found; a gate counts itself. If not, calls need {@link untilGates} first. */
  get hasMetGates(): boolean {
    return this.reach.hasHadGates && (this.isOpened || this.info.role === 'gate');
  }

  /**
   * Joins the link, if that was not done, and waits for the first gate, at most for the startup time of the node and for `waitMs`.
   * @throws {GateError} `LINK_UNAVAILABLE` when no gate was found in time, and the errors of {@link open}.
   */
  async untilGates(waitMs: number): Promise<void> {
    if (!this.joinsOnCall && !this.opening) throw new GateError('LINK_UNAVAILABLE', 'This app has not joined the link');
    await this.reach.untilGates(this.state === 'closed' ? undefined : this.open(), waitMs);
  }

  /** What happened to a boot of a gate that is not on the link. */
  fateOf(id: NodeId, epoch: string): GateFate {
    return this.reach.fateOf(id, epoch, this.peerMap.has(id));
  }

  /** Joins the cluster. Further calls return the same promise. */
  open(): Promise<void> {
    return (this.opening ??= this.openLink());
  }

  private async openLink(): Promise<void> {
    if (this.state !== 'new') return;
    this.state = 'open';
    this.reach.open();
    // While the link is not open, the driver refuses to send.
    this.changeStatus(true);
    const { defects } = this;
    // Drivers call these from sockets and timers: an exception must not end a connection, or the process.
    await this.link.open(this.me.info, {
      // `receive` catches exceptions of each message.
      onFrame: (from, frame) => this.inbound.receive(this.remoteMap.get(from), frame),
      onPeer: defects.guard('link.peer', change => this.changePeer(change)),
      onDrain: defects.guard('link.drain', id => this.noteDrain(id)),
      onStatus: defects.guard('link.status', isUp => this.changeStatus(isUp)),
      onUnreached: defects.guard('link.unreached', gates => this.reach.noteUnreached(gates)),
      onRefused: defects.guard('link.refused', this.noteRefusal),
      onDefect: defects.report,
    });
    this.isOpened = true;
  }

  /** Leaves the cluster. Requests still waiting fail with `LINK_CLOSED`. */
  async close(options: { drain: boolean } = { drain: true }): Promise<void> {
    if (this.state === 'closed') return;
    if (options.drain) {
      this.flush();
      // Acknowledge the messages of the peers: they cannot request it later.
      for (const peer of this.remoteMap.values())
        if (peer.numbers.received > 0) peer.answerMark({ bytes: 0, messages: 0 });
    }
    this.state = 'closed';
    this.reach.close();
    this.me.stop();
    this.outbound.stop();
    for (const peer of this.remoteMap.values()) peer.drop(true);
    await this.link.close(options);
    for (const peer of this.peerMap.values()) peer.requests.abort(new GateError('LINK_CLOSED'));
    this.requests.close();
    this.changeStatus(false);
  }

  /** Announces changed information about this node. */
  announce(change: Partial<Pick<NodeInfo, 'modules' | 'draining'>>): void {
    this.me.info = { ...this.me.info, ...change };
    if (this.state === 'open') this.link.announce(this.me.info);
    this.changes.emit({ type: 'change', node: this.me.info });
  }

  /** Listens to peers that join, change or leave, including this node. Returns a function that removes the listener. */
  onPeer(listener: (change: PeerChange) => void): () => void {
    return this.changes.on(listener);
  }

  /** Listens to changes of {@link isUp}: the link, or the last gate, is lost or returns. Returns a function that removes the listener. */
  onStatus(listener: (isUp: boolean) => void): () => void {
    return this.statuses.on(listener);
  }

  /** Listens to gaps in the batches of a peer. Returns a function that removes the listener. */
  onGap(listener: (peer: RemotePeer) => void): () => void {
    return this.gaps.on(listener);
  }

  /**
   * Joins a channel, on gates. Settles when casts of any node reach this node. `undefined` on links where messages to a channel reach
   * every gate.
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
   * Whether messages to a channel should be cast. With one gate, and on links where casts reach every gate, a cast costs more than
   * messages to the gates. While messages wait for a slow gate, a cast would overtake them.
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
   * Sends to the gates that have joined a channel, except this node. Returns a promise that settles when backpressure ends, if there is
   * any.
   */
  cast<A>(channel: string, operation: Operation<A, unknown>, args: A): Promise<void> | undefined {
    writeRequest(this.outbound.toChannel(channel), operation, NO_ANSWER, 0, args);
    this.outbound.wroteCast();
    return this.outbound.whenDrained();
  }

  /** Counts and logs an error that no caller receives. Never throws. */
  reportDefect(error: unknown, where = 'handler'): void {
    this.defects.report(error, where);
  }

  /** Sends all gathered batches now. */
  flush(): void {
    this.me.flush();
    this.outbound.flush();
  }

  /**
   * Handles `turn`: sessions have moved to a gate. Answers to their previous gate and to the new one, after all messages that this node has
   * sent to them. The previous gate delivers the messages before that answer, the new gate those after it.
   */
  private turnTo(sessions: readonly SessionTurn[], call: IncomingCall): void {
    const { peer } = call;
    if (peer.info.role !== 'gate') {
      peer.fail(call, new GateError('FORBIDDEN'));
      return;
    }
    this.holders.note(peer, sessions);
    const byGate = new Map<NodeId, string[]>();
    for (const { clientId, from } of sessions) {
      const clientIds = byGate.get(from);
      if (clientIds) clientIds.push(clientId);
      else byGate.set(from, [clientId]);
    }
    for (const [from, clientIds] of byGate) {
      this.peerMap.get(from)?.notify(moveContract.turned, { to: peer.info.id, clientIds });
    }
    peer.reply(call, turnContract.turn, undefined);
    this.holders.turns.emit({ peer, sessions });
  }

  private noteDrain(id: NodeId | undefined): void {
    this.outbound.noteDrain();
    if (id === undefined) for (const peer of this.remoteMap.values()) peer.noteDrain();
    else this.remoteMap.get(id)?.noteDrain();
  }

  private changePeer(change: PeerChange): void {
    if ('id' in change) this.removePeer(change);
    else this.putPeer(change);
    this.tellStatus();
  }

  private removePeer(change: Extract<PeerChange, { id: NodeId }>): void {
    // Casts before this moment were for this gate too: they must count as unacknowledged by it.
    this.outbound.flushCasts();
    const peer = this.remoteMap.get(change.id);
    peer?.retire();
    this.peerMap.delete(change.id);
    this.remoteMap.delete(change.id);
    this.countGates();
    if (change.type === 'lost' && peer?.isGate) this.reach.noteLost(peer.info);
    // Notify listeners first: a caller whose request ends may immediately send the next one, which must not go to this peer.
    this.changes.emit(change);
    peer?.lose(new GateError('NODE_LOST'), change.type === 'leave');
  }

  private putPeer(change: Extract<PeerChange, { node: NodeInfo }>): void {
    const { node } = change;
    this.counters.uncertain += this.reach.noteBack(node);
    const known = this.remoteMap.get(node.id);
    if (known && known.info.epoch === node.epoch) {
      known.info = node;
    } else {
      // A new boot of a known node is another peer: unanswered requests of the old one are lost.
      if (known) this.outbound.flushCasts();
      known?.retire();
      const peer = new RemotePeer(node, this.context, this.outbound);
      this.peerMap.set(node.id, peer);
      this.remoteMap.set(node.id, peer);
      this.countGates();
      if (known) {
        this.changes.emit({ type: 'leave', id: node.id });
        known.lose(new GateError('NODE_LOST'), false);
      }
    }
    this.changes.emit(change);
  }

  private countGates(): void {
    let gates = 0;
    for (const { info } of this.peerMap.values()) if (info.role === 'gate') gates++;
    this.reach.noteGates(gates);
  }

  private changeStatus(isUp: boolean): void {
    if (!this.reach.noteStatus(isUp)) return;
    for (const peer of this.remoteMap.values()) {
      if (isUp) peer.restart();
      // Answers that could not be sent while the link was down are lost, and the caller cannot know which: all its requests end.
      else peer.requests.abort(new GateError('NODE_LOST'));
    }
    this.tellStatus();
  }

  private tellStatus(): void {
    const { isUp } = this;
    if (this.toldUp === isUp) return;
    this.toldUp = isUp;
    this.statuses.emit(isUp);
  }
}
