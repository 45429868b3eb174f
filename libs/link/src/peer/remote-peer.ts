import { boundError, GateError } from '@nestgate/protocol';
import type { NodeInfo, SendResult } from '../link.js';
import type { ByteWriter } from '../wire/bytes.js';
import type { CastDigest } from '../wire/cast-rounds.js';
import {
  type Counted,
  type Mark,
  NO_ANSWER,
  type Acknowledgement,
  writeCounted,
  writeDigest,
  writeFailure,
  writeMark,
  writeMissed,
  writeRequest,
  writeResult,
  writeAcknowledgement,
} from '../wire/envelope.js';
import type { Operation } from '../wire/operation.js';
import { Backlog, Congestion, FlowWindow } from './flow-window.js';
import { type Batch, BatchNumbers, endRequests, noteSent, Outlet } from './outlet.js';
import { CastTally } from './cast-tally.js';
import type { Outbound, OutboundPeer } from './outbound.js';
import { type IncomingCall, Peer, type PeerContext } from './peer.js';
import type { Pending } from './pending.js';
import { TransitClock } from './transit-clock.js';

/**
 * Another node of the cluster. Messages to it gather in two outlets until the end of the turn. At most a window of bytes is
 * unacknowledged at a time: the rest waits in the backlog, where urgent messages overtake it.
 */
export class RemotePeer extends Peer implements OutboundPeer {
  /** How late its batches come. */
  readonly transit = new TransitClock();
  readonly numbers = new BatchNumbers();
  /** Casts of each side that the other one has received. */
  readonly casts = new CastTally();
  readonly backlog = new Backlog();
  readonly congestion = new Congestion();
  /** True while the outbound side lists the peer for the flush at the end of this turn. */
  isListed = false;
  /** True while `Outbound` requests acknowledgements from it at intervals. */
  isWatched = false;
  /** @internal Queries and their answers, which bypass the backlog. */
  readonly urgent = new Outlet();
  /** Ordered messages. */
  private readonly main = new Outlet();
  private readonly window = new FlowWindow();
  /** True when the node has lost it, or another boot has its id: nothing is sent to it any more. */
  private isLost = false;
  /** True while the driver itself holds too much for it. */
  private isDriverFull = false;
  /** True while answers were refused by the link, and nothing has been sent since by which the peer can tell. */
  private owesGap = false;

  constructor(
    info: NodeInfo,
    context: PeerContext,
    private readonly outbound: Outbound,
  ) {
    super(info, context);
    // Casts concern it from now on.
    this.casts.acknowledged = outbound.castTotal;
  }

  override request<A>(operation: Operation<A, unknown>, args: A, pending: Pending, deadline: number): void {
    const outlet = operation.urgent === true ? this.urgent : this.main;
    try {
      this.requests.add(pending, operation.id, deadline);
      this.open(outlet);
      // The deadline is relative to the start of the batch, as on the receiving side.
      writeRequest(outlet.writer, operation, pending, deadline - outlet.begunAt, args);
      outlet.addRequest(pending);
    } catch (error) {
      this.refuse(pending, error);
      return;
    }
    this.wrote(outlet, operation.lingers);
  }

  override notify<A>(operation: Operation<A, unknown>, args: A): void {
    const { main } = this;
    this.open(main);
    writeRequest(main.writer, operation, NO_ANSWER, 0, args);
    if (operation.leavesGap === true) main.leavesGap = true;
    this.wrote(main, false);
  }

  override reply<R>(call: IncomingCall, operation: Operation<unknown, R>, result: R): void {
    const urgent = operation.urgent === true;
    const outlet = urgent ? this.urgent : this.main;
    try {
      this.open(outlet);
      writeResult(outlet.writer, operation, call, result);
      outlet.leavesGap = true;
    } catch (error) {
      this.replyFailed(call, error, urgent);
      return;
    }
    this.wrote(outlet, false);
  }

  override fail(call: IncomingCall, error: GateError, urgent = false): void {
    const bounded = boundError(error.toBody());
    if (bounded.isTruncated) this.context.counters.truncated++;
    const outlet = urgent ? this.urgent : this.main;
    this.open(outlet);
    writeFailure(outlet.writer, call.operationId, call, bounded);
    outlet.leavesGap = true;
    this.wrote(outlet, false);
  }

  override whenDrained(): Promise<void> | undefined {
    return this.congestion.whenOver();
  }

  override get isFlowing(): boolean {
    return this.backlog.isEmpty && this.window.isOpen;
  }

  override get waitingBytes(): number {
    return this.backlog.size;
  }

  get isGate(): boolean {
    return this.info.role === 'gate';
  }

  /** Whether no message waits and every message is acknowledged or lost. */
  get isSettled(): boolean {
    return this.window.isSettled && this.backlog.isEmpty && !this.owesGap;
  }

  /** Sends the gathered messages. */
  flush(): void {
    this.isListed = false;
    const urgent = this.urgent.take();
    if (urgent) this.transmit(urgent);
    const batch = this.main.take();
    if (!batch) return;
    if (this.isFlowing || !this.outbound.isUp) {
      this.transmit(batch);
    } else if (!this.isLost && this.backlog.push(batch)) {
      this.congestion.begin();
      this.outbound.watch(this);
    } else {
      // The others in the backlog have no number yet. That the gap is seen before them does no harm.
      if (!this.isLost && batch.leavesGap) this.oweGap(batch);
      this.refuseBatch(batch);
    }
  }

  /** The driver accepts more. */
  noteDrain(): void {
    this.isDriverFull = false;
    this.relax();
  }

  /** Acknowledges the messages of the peer before this mark. */
  answerMark(mark: Mark): void {
    const { count, received } = this.numbers;
    this.sendControl(writer => writeAcknowledgement(writer, { ...mark, count, received }));
  }

  /** The peer has acknowledged messages before a mark. */
  noteAcknowledgement(acknowledgement: Acknowledgement): void {
    const missing = this.window.noteAcknowledgement(acknowledgement);
    if (missing > 0) this.context.counters.uncertain += missing;
    this.pump();
  }

  /** Reports missing batches to the peer. */
  reportMissed(first: number, last: number): void {
    this.sendControl(writer => writeMissed(writer, first, last));
  }

  /** Sends a digest of the casts to the peer. */
  sendDigest(digest: CastDigest): void {
    this.sendControl(writer => writeDigest(writer, digest));
  }

  /** Reports how many casts of a digest were received. */
  answerDigest(counted: Counted): void {
    this.sendControl(writer => writeCounted(writer, counted));
  }

  /** The peer has answered a digest. Casts of earlier digests without an answer are uncertain. */
  noteCounted({ base, total, missing }: Counted): void {
    const { casts } = this;
    if (!(total > casts.acknowledged && total <= this.outbound.castTotal)) return;
    const uncertain = missing + Math.max(0, base - casts.acknowledged);
    casts.acknowledged = total;
    if (uncertain > 0) this.context.counters.uncertain += uncertain;
  }

  /** Counts a cast to all gates in the window of this one, because its delivery is not known. */
  noteCast(bytes: number): void {
    if (this.window.note(bytes, 0)) this.sendMark();
  }

  /** Requests an acknowledgement from the peer. */
  sendMark(): void {
    const mark = this.window.mark();
    this.sendControl(writer => writeMark(writer, mark));
  }

  /**
   * The link has come back: what was under way has arrived, or is lost. The peer is sent a mark, by whose number it sees what has
   * not come, and by whose answer this node does: else both would notice with the next message, however late.
   */
  restart(): void {
    this.window.reset();
    this.sendMark();
    this.pump();
  }

  /** Messages to it are refused from now on. */
  retire(): void {
    this.isLost = true;
  }

  /**
   * The peer is gone: its requests end, and what waits for it is refused. One that has left in order had no clients any more: what
   * was cast last was for others.
   */
  lose(error: GateError, hasLeft: boolean): void {
    this.requests.abort(error);
    this.drop(hasLeft);
  }

  /** Drops the waiting messages. */
  drop(hasLeft: boolean): void {
    this.isLost = true;
    const { counters } = this.context;
    counters.refused += this.backlog.clear() + (this.main.take()?.messages ?? 0) + (this.urgent.take()?.messages ?? 0);
    this.outbound.unwatch(this);
    this.isDriverFull = false;
    this.congestion.end();
    counters.uncertain += this.window.lose();
    if (this.isGate && !hasLeft) counters.uncertain += this.outbound.castTotal - this.casts.acknowledged;
  }

  /** Where one more message is written; {@link wrote} must follow. */
  private open(outlet: Outlet): void {
    this.outbound.beforeMessage();
    outlet.prepare();
  }

  /** A message has been written. `lingers`: it may wait for those of the next turns. */
  private wrote(outlet: Outlet, lingers: boolean | undefined): void {
    outlet.gathered++;
    this.outbound.noteMessage(lingers === true);
    if (outlet.isFull) this.flush();
    else this.outbound.list(this);
  }

  private transmit(batch: Batch): void {
    const result = this.send(batch);
    if (result === 'refused') {
      this.refuseBatch(batch);
      return;
    }
    if (result === 'congested') {
      this.isDriverFull = true;
      this.congestion.begin();
    }
    if (this.window.note(batch.bytes, batch.messages)) this.sendMark();
    if (!this.isWatched) this.outbound.watch(this);
  }

  /** Nothing was accepted of a batch: its requests have certainly not run, and end now. Those before it may have. */
  private refuseBatch(batch: Batch): void {
    this.context.counters.refused += batch.messages;
    endRequests(batch, new GateError('LINK_UNAVAILABLE'));
  }

  /** A batch is not sent, and its number not used again. */
  private oweGap(batch: Batch): void {
    this.numbers.assign(batch);
    this.owesGap = true;
    this.outbound.watch(this);
  }

  /** Marks, digests and their answers wait for nothing, and are not counted as under way themselves. */
  private sendControl(write: (writer: ByteWriter) => void): void {
    this.send(this.outbound.writeControl(write));
  }

  /**
   * Only sent batches have a number, and refused ones with answers: nobody else can tell the peer that they will not come. The gap before
   * the next batch does, whereupon the peer ends its requests.
   */
  private send(batch: Batch): SendResult {
    if (this.isLost) return 'refused';
    const number = this.numbers.assign(batch);
    const result = this.outbound.isUp ? this.outbound.hand(this.info.id, batch) : 'refused';
    if (result !== 'refused') {
      this.owesGap = false;
      noteSent(batch, number);
    } else if (batch.leavesGap) {
      this.owesGap = true;
      this.outbound.watch(this);
    } else {
      this.numbers.takeBack();
    }
    return result;
  }

  private pump(): void {
    while (this.window.isOpen) {
      const batch = this.backlog.shift();
      if (!batch) break;
      this.transmit(batch);
    }
    this.relax();
  }

  private relax(): void {
    if (this.backlog.isEmpty && !this.isDriverFull) this.congestion.end();
  }
}
