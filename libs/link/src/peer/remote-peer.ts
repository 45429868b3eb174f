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
 * Another node of the cluster. Messages to it are collected in two outlets until the end of the turn. At most one window of bytes is
 * unacknowledged. Further messages wait in the backlog; urgent messages overtake them.
 */
export class RemotePeer extends Peer implements OutboundPeer {
  /** The delay of its batches. */
  readonly transit = new TransitClock();
  readonly numbers = new BatchNumbers();
  /** Counts the casts in both directions. */
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
  /** True when the node has lost the peer, or another boot has its id. Then nothing is sent to it any more. */
  private isLost = false;
  /** True while the driver has too much unsent data for it. */
  private isDriverFull = false;
  /** True when a batch with `leavesGap` was not sent, and no later batch was sent by whose number the peer would detect the gap. */
  private owesGap = false;

  constructor(
    info: NodeInfo,
    context: PeerContext,
    private readonly outbound: Outbound,
  ) {
    super(info, context);
    // Casts are for this peer too from now on.
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
   * The link is up again: messages in flight have arrived or are lost. A mark is sent immediately, so that the peer detects missing
   * batches by its number, and this node by its answer. Otherwise both would detect them only with the next message.
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
   * The peer is gone: its requests end, and waiting messages are refused. A peer that has left gracefully had no clients any more, so
   * that the last casts do not count as lost.
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

  /** Prepares an outlet for one message. {@link wrote} must follow. */
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

  /** The driver has accepted nothing of a batch: its requests have certainly not run, and end now. Earlier requests may have run. */
  private refuseBatch(batch: Batch): void {
    this.context.counters.refused += batch.messages;
    endRequests(batch, new GateError('LINK_UNAVAILABLE'));
  }

  /** Consumes the number of a batch that was not sent, so that the peer detects a gap. */
  private oweGap(batch: Batch): void {
    this.numbers.assign(batch);
    this.owesGap = true;
    this.outbound.watch(this);
  }

  /** Sends a mark, a digest or an answer to one of them. They bypass the backlog, and do not count as in flight. */
  private sendControl(write: (writer: ByteWriter) => void): void {
    this.send(this.outbound.writeControl(write));
  }

  /**
   * A refused batch keeps its number only if the peer must detect its loss (`leavesGap`). The peer then sees a gap before the next batch.
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
