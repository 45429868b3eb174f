import { GateError } from '@nestgate/protocol';
import { ByteReader } from './bytes.js';
import { Dispatcher, type Replier } from './dispatcher.js';
import { beginMessage, endMessage, MessageKind, readBatchHeader, readError, Status, writeError } from './envelope.js';
import type { Link, NodeId, NodeInfo, PeerChange } from './link.js';
import type { Operation } from './operation.js';
import { Peer } from './peer.js';
import type { Pending } from './pending.js';
import { RequestTable } from './request-table.js';

/** What went wrong on the link, counted since the start. */
export interface LinkCounters {
  /** Batches that a peer sent and that never came. */
  gaps: number;
  /** Batches that were malformed, or came from nobody known. */
  corrupt: number;
  /** Messages that the driver refused to take. */
  refused: number;
  /** Answers that came after their request had ended. */
  late: number;
}

export interface LinkNodeOptions {
  readonly link: Link;
  readonly self: NodeInfo;
  /** Told of errors that a handler threw without a code: defects that nobody else would see. */
  readonly onDefect?: (error: unknown) => void;
}

/**
 * A node of the cluster: its peers, the requests that wait for an answer, and the batches that gather. All messages to
 * one peer in one turn of the event loop leave as one frame. The node is a peer of its own, over the same envelope.
 */
export class LinkNode implements Replier {
  readonly dispatcher = new Dispatcher(this);
  readonly counters: LinkCounters = { gaps: 0, corrupt: 0, refused: 0, late: 0 };
  /** The node itself as a peer. */
  readonly me: Peer;
  private readonly link: Link;
  private readonly peerMap = new Map<NodeId, Peer>();
  private readonly requests = new RequestTable();
  private readonly listeners = new Set<(change: PeerChange) => void>();
  private readonly flushList: Peer[] = [];
  private flushScheduled = false;
  private state: 'new' | 'open' | 'closed' = 'new';

  constructor(private readonly options: LinkNodeOptions) {
    this.link = options.link;
    this.me = new Peer(options.self, true);
    this.peerMap.set(options.self.id, this.me);
  }

  get info(): NodeInfo {
    return this.me.info;
  }

  /** All peers by id, this node included. */
  get peers(): ReadonlyMap<NodeId, Peer> {
    return this.peerMap;
  }

  /** How many requests of this node wait for an answer. */
  get waitingCount(): number {
    return this.requests.size;
  }

  async open(): Promise<void> {
    if (this.state !== 'new') return;
    this.state = 'open';
    await this.link.open(this.me.info, {
      onFrame: (from, frame) => this.receive(this.peerMap.get(from), frame),
      onPeer: change => this.changePeer(change),
      onDrain: id => {
        for (const peer of this.peerMap.values()) if (id === undefined || peer.info.id === id) peer.noteDrain();
      },
    });
  }

  /** Leaves the cluster. Requests still waiting fail with `LINK_CLOSED`. */
  async close(options: { drain: boolean } = { drain: true }): Promise<void> {
    if (this.state === 'closed') return;
    if (options.drain) this.flush();
    this.state = 'closed';
    await this.link.close(options);
    this.requests.close(new GateError('LINK_CLOSED'));
    for (const peer of this.peerMap.values()) peer.noteDrain();
  }

  /** Tells the peers what has changed about this node. */
  announce(change: Partial<Pick<NodeInfo, 'modules' | 'draining'>>): void {
    this.me.info = { ...this.me.info, ...change };
    if (this.state === 'open') this.link.announce(this.me.info);
    this.tell({ type: 'change', node: this.me.info });
  }

  /** Listens to joining, changing and leaving peers, this node's own changes included. Returns how to stop. */
  onPeer(listener: (change: PeerChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Sends a request. `pending` ends once: with the answer, at `deadline`, or when the peer is lost. */
  request<A>(peer: Peer, operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    const correlation = this.requests.nextCorrelation();
    this.writeRequest(peer, operation, args, correlation, deadline - Date.now());
    this.requests.add(pending, peer, correlation, deadline);
  }

  /** Sends a request that nobody waits for. */
  notify<A>(peer: Peer, operation: Operation<A, unknown>, args: A): void {
    this.writeRequest(peer, operation, args, 0, 0);
  }

  reply<R>(peer: Peer, correlation: number, operation: Operation<unknown, R>, result: R): void {
    const { writer } = peer;
    peer.prepare();
    const start = beginMessage(writer, MessageKind.response);
    try {
      writer.u32(correlation);
      writer.u8(Status.ok);
      operation.result.write(writer, result);
    } catch (error) {
      // Half a message would break the whole batch.
      writer.truncate(start);
      this.reportDefect(error);
      this.fail(peer, correlation, new GateError('INTERNAL'));
      return;
    }
    this.finish(peer, start);
  }

  fail(peer: Peer, correlation: number, error: GateError): void {
    const { writer } = peer;
    peer.prepare();
    const start = beginMessage(writer, MessageKind.response);
    try {
      writer.u32(correlation);
      writer.u8(Status.error);
      writeError(writer, error.toBody());
    } catch (defect) {
      // Details that JSON cannot carry: the error itself must arrive all the same.
      writer.truncate(start);
      this.reportDefect(defect);
      this.fail(peer, correlation, new GateError('INTERNAL'));
      return;
    }
    this.finish(peer, start);
  }

  reportDefect(error: unknown): void {
    this.options.onDefect?.(error);
  }

  /** Sends all gathered batches now. */
  flush(): void {
    // Sending to itself runs handlers, which may list more: those go with this flush too.
    for (let i = 0; i < this.flushList.length; i++) this.flushPeer(this.flushList[i] as Peer);
    this.flushList.length = 0;
  }

  private readonly flushTurn = (): void => {
    this.flushScheduled = false;
    const listed = this.flushList.splice(0);
    for (const peer of listed) this.flushPeer(peer);
  };

  private flushPeer(peer: Peer): void {
    peer.listed = false;
    const messages = peer.gathered;
    const batch = peer.takeBatch();
    if (!batch) return;
    if (peer.isSelf) {
      this.receive(peer, batch);
      return;
    }
    const result = this.state === 'open' ? this.link.send(peer.info.id, batch) : 'refused';
    peer.noteSend(result);
    if (result === 'refused') this.refuse(peer, messages);
  }

  /** The driver took nothing of a batch, so no request to this peer can be answered: each of them ends now. */
  private refuse(peer: Peer, messages: number): void {
    this.counters.refused += messages;
    this.requests.abortPeer(peer, new GateError('LINK_UNAVAILABLE'));
  }

  private writeRequest<A>(
    peer: Peer,
    operation: Operation<A, unknown>,
    args: A,
    correlation: number,
    timeLeft: number,
  ): void {
    const { writer } = peer;
    peer.prepare();
    const start = beginMessage(writer, MessageKind.request);
    try {
      writer.u16(operation.id);
      writer.u32(correlation);
      writer.u32(Math.max(0, timeLeft));
      operation.args.write(writer, args);
    } catch (error) {
      // Half a message would break the whole batch.
      writer.truncate(start);
      throw error;
    }
    this.finish(peer, start);
  }

  private finish(peer: Peer, start: number): void {
    endMessage(peer.writer, start);
    peer.gathered++;
    if (peer.isFull && !peer.isSelf) {
      this.flushPeer(peer);
      return;
    }
    if (peer.listed) return;
    peer.listed = true;
    this.flushList.push(peer);
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    setImmediate(this.flushTurn);
  }

  private receive(peer: Peer | undefined, frame: Buffer): void {
    if (!peer) {
      this.counters.corrupt++;
      return;
    }
    try {
      const reader = new ByteReader(frame);
      const header = readBatchHeader(reader);
      this.counters.gaps += peer.gapBefore(header.sequence);
      const now = Date.now();
      // What is left of a request's time was written when the batch began, and has run out further on the way.
      const startedAt = now - peer.transit.delayOf(header.sentAt, now);
      const end = reader.end;
      while (reader.at < end) {
        const next = reader.u32() + reader.at;
        if (next > end) throw new GateError('LINK_CORRUPT', 'A message is longer than its batch');
        reader.end = next;
        try {
          this.receiveMessage(peer, reader, startedAt);
        } catch (error) {
          // Messages have their own lengths, so a malformed one takes none of its neighbours with it.
          this.noteCorrupt(error);
        }
        reader.end = end;
        reader.at = next;
      }
    } catch (error) {
      this.noteCorrupt(error);
    }
  }

  private noteCorrupt(error: unknown): void {
    this.counters.corrupt++;
    if (!(error instanceof GateError)) this.reportDefect(error);
  }

  private receiveMessage(peer: Peer, reader: ByteReader, startedAt: number): void {
    const kind = reader.u8();
    if (kind === MessageKind.request) {
      const operation = reader.u16();
      const correlation = reader.u32();
      const timeLeft = reader.u32();
      this.dispatcher.dispatch(peer, operation, correlation, startedAt + timeLeft, reader);
    } else if (kind === MessageKind.response) {
      // A peer may only answer what it was asked.
      const pending = this.requests.take(reader.u32(), peer);
      if (pending) settle(pending, reader);
      else this.counters.late++;
    }
  }

  private changePeer(change: PeerChange): void {
    if (change.type === 'leave') {
      const peer = this.peerMap.get(change.id);
      this.peerMap.delete(change.id);
      if (peer) this.losePeer(peer);
    } else {
      const known = this.peerMap.get(change.node.id);
      // A new boot of a known node is another peer: whatever the old one owed is lost.
      if (known && known.info.epoch === change.node.epoch) {
        known.info = change.node;
      } else {
        this.peerMap.set(change.node.id, new Peer(change.node, false));
        if (known) {
          this.losePeer(known);
          this.tell({ type: 'leave', id: known.info.id });
        }
      }
    }
    this.tell(change);
  }

  private losePeer(peer: Peer): void {
    peer.noteDrain();
    this.requests.abortPeer(peer, new GateError('NODE_LOST'));
  }

  private tell(change: PeerChange): void {
    for (const listener of this.listeners) listener(change);
  }
}

/** Ends a request with what the reader holds; with an error of its own when that is malformed. */
function settle(pending: Pending, reader: ByteReader): void {
  try {
    if (reader.u8() === Status.ok) pending.succeed(reader);
    else pending.fail(readError(reader));
  } catch (error) {
    pending.fail(error instanceof GateError ? error : new GateError('LINK_CORRUPT'));
    throw error;
  }
}
