import type { TailItem } from '@nestgate/link/internal';
import { DeferredSends, MAKING_BYTES } from '../client/deferred-sends.js';
import type { Drainable, DrainQueue } from '../client/drain-queue.js';
import type { SessionWire } from '../codec/session-wire.js';
import type { ClientQueue, SendQueueOwner } from '../connection/client-queue.js';
import type { Connection } from '../connection/connection.js';
import type { GateCounters } from '../gate-counters.js';
import type { GapReason } from '@nestgate/protocol';
import { ReceiptList } from '../receipts/receipt-list.js';
import type { OpenReceipt, Receipt } from '../receipts/receipt.js';
import { ReplayRing, type RingGap, type RingLimits } from './replay-ring.js';
import type { RingBudget } from './ring-budget.js';

/** At most this much is merged into one write, and larger frames are written by themselves; see `Outbox`. */
const MAX_WRITE_BYTES = 64 * 1024;
const MAX_MERGED_BYTES = 8 * 1024;
/** The gate's own frames that may wait for one client. */
const MAX_OWN_FRAMES = 64;

/** What all resumable queues of a gate share. */
export interface ResumableQueueHost {
  readonly limits: RingLimits;
  /** What may be in the making for one client, in bytes. */
  readonly makingBytes: number;
  readonly counters: GateCounters;
  readonly drainQueue: DrainQueue;
  readonly budget: RingBudget;
  /** What is merged behind the first frame of a write; empty between two writes. One array for good, see `Outbox`. */
  readonly rest: Uint8Array[];
}

/** Has frames of the client to acknowledge. */
export interface Acknowledger {
  /** The acknowledgement as of now; `undefined` when there is nothing to acknowledge any more. */
  takeAck(): Uint8Array | undefined;
}

/** Where the frames of a session go that moves to another gate. */
export interface TailSink {
  /** There are frames to forward. */
  pull(): void;
}

/** Frames may be missing, and how many is not known. */
interface Doubt {
  readonly why: GapReason;
  /** The client is told behind the frame with this number. It knows when it has a later one. */
  readonly after: number;
}

/** A frame of the gate itself, which has no number. */
interface OwnFrame {
  readonly bytes: Uint8Array;
  /** It is written behind the frame with this number. */
  readonly after: number;
}

/**
 * Everything that waits to be sent to the client of a resumable session, and what was sent and not acknowledged. It outlives the
 * sockets: without one it only takes frames. A client that reads slowly is not closed: the oldest frames go, and the client is told
 * which.
 */
export class ResumableQueue extends ReplayRing implements ClientQueue, Drainable {
  sentCount = 0;
  private socket: Connection | undefined = undefined;
  private own: OwnFrame[] | undefined = undefined;
  private deferred: DeferredSends | undefined = undefined;
  private isListed = false;
  /** Makes an acknowledgement that goes along with the next write. */
  private acknowledger: Acknowledger | undefined = undefined;
  /** Takes the frames while the session moves to another gate. */
  private tail: TailSink | undefined = undefined;
  /** While the session comes from another gate: lets the frames of this gate follow those of the other one. */
  private endHold: ((frame: undefined) => void) | undefined = undefined;
  /** Frames of this gate for which there was no room meanwhile. */
  private unheld = 0;
  /** Told with each connection until the client is known to have heard it. */
  private doubt: Doubt | undefined = undefined;
  /** Frames whose acknowledgement a sender waits for. */
  private receipts: ReceiptList | undefined = undefined;
  /** Another gate has the session: what is queued here has no number there. */
  private hasLeft = false;

  constructor(
    private readonly host: ResumableQueueHost,
    private readonly owner: SendQueueOwner,
    private readonly wire: SessionWire,
  ) {
    super(host.limits, host.budget);
  }

  get position(): number {
    return this.sentCount + (this.deferred?.length ?? 0);
  }

  get isEmpty(): boolean {
    if (this.isDeferring) return false;
    // Without a socket nothing can be waited for.
    return !this.socket || (this.written === this.top && !this.own);
  }

  /** Whether all frames with a number have been given to the socket. */
  get isWritten(): boolean {
    return this.written === this.top;
  }

  get pendingPacks(): number {
    return this.unwritten + (this.own?.length ?? 0) + (this.deferred?.length ?? 0);
  }

  get pendingBytes(): number {
    return this.unwrittenBytes + (this.socket?.writableLength ?? 0) + (this.deferred?.bytes ?? 0);
  }

  /**
   * What follows is written to this connection: first `notice`, then the frames behind the last one that the client has.
   * `allows(seen)` is true.
   */
  attach(socket: Connection, seen: number, notice: Uint8Array): void {
    this.rewind(seen);
    this.own = [{ bytes: notice, after: 0 }];
    if (this.doubt) {
      this.doubt = { why: this.doubt.why, after: seen };
      this.own.push({ bytes: this.doubtNotice(this.doubt), after: 0 });
    }
    this.socket = socket;
    this.drain();
  }

  // A session that moves to another gate.

  /**
   * From behind `seen` on the frames go to another gate, which tells the client of those that are lost before the first one that is kept;
   * `undefined`: they are kept for the next connection as before.
   */
  forwardTo(tail: TailSink | undefined, seen = this.acked): void {
    if (tail) {
      this.rewind(seen);
      this.passGap();
    }
    this.tail = tail;
  }

  /** Another gate has the session: takes what is waited for, so that it is waited for there. */
  takeReceipts(): readonly OpenReceipt[] {
    this.hasLeft = true;
    return this.receipts?.take() ?? [];
  }

  /** The next frames for the other gate, and the gaps between them. Takes so many bytes, or one frame more. */
  takeTail(maxBytes: number): TailItem[] {
    const items: TailItem[] = [];
    let bytes = 0;
    while (!this.isWritten && bytes < maxBytes) {
      const { gap } = this;
      if (gap) {
        this.passGap();
        items.push({ n: gap.n, why: gap.why });
        continue;
      }
      const frame = this.take();
      bytes += frame.length;
      items.push(frame);
    }
    return items;
  }

  /** Whether a message is still being made. */
  get isMaking(): boolean {
    return this.isDeferring;
  }

  // Acknowledgements that senders wait for.

  /** Settles `receipt` when the client has acknowledged the message that was queued last, or cannot any more. */
  awaitReceipt(receipt: Receipt): void {
    if (!this.isDeferring) this.awaitNumber(this.top, receipt);
    else this.deferred?.afterLast(isSent => (isSent ? this.awaitNumber(this.top, receipt) : receipt.settle(false)));
  }

  /** The same for the frame with this number. */
  awaitNumber(number: number, receipt: Receipt): void {
    if (number <= this.acked) receipt.settle(true);
    else if (this.hasLeft || number > this.top || (number > this.written && number < this.floor)) receipt.settle(false);
    else (this.receipts ??= new ReceiptList()).add(number, receipt);
  }

  override ack(seen: unknown): boolean {
    const isPossible = super.ack(seen);
    this.receipts?.noteAcked(this.acked);
    if (this.doubt && this.acked > this.doubt.after) this.doubt = undefined;
    return isPossible;
  }

  override rewind(seen: number): void {
    super.rewind(seen);
    this.receipts?.noteAcked(seen);
    this.noteGap();
  }

  /** Those in the gap are lost: nobody can acknowledge them. */
  private noteGap(): void {
    this.receipts?.noteLost(this.written + 1, this.floor - 1);
  }

  // A session that comes from another gate.

  /** What this gate sends waits until {@link release}. */
  hold(): void {
    const held = new Promise<undefined>(resolve => (this.endHold = resolve));
    (this.deferred ??= this.createDeferred()).defer(held);
  }

  /** The other gate has forwarded frames: they come before those of this gate. `isLate`: behind those that have come so far. */
  takeForwarded(items: readonly TailItem[], isLate: boolean): void {
    for (const item of items) {
      if (!(item instanceof Uint8Array)) {
        this.skip(item.n, item.why as GapReason);
        this.noteGap();
      } else if (isLate) this.send(item);
      else this.append(item);
    }
    this.list();
  }

  /** The other gate has no more frames: those of this gate follow. */
  release(): void {
    this.endHold?.(undefined);
    this.endHold = undefined;
  }

  /** Frames may be missing, and how many is not known: the client is told, now and with its next connection. */
  noteDoubt(why: GapReason): void {
    this.host.counters.add('resume_gaps', why);
    this.doubt = { why, after: this.top };
    if (this.socket) this.sendNow(this.doubtNotice(this.doubt));
  }

  /** Why the client, for all that is known, has yet to hear that frames may be missing. */
  get openDoubt(): GapReason | undefined {
    return this.doubt?.why;
  }

  /** The same of a session that comes from another gate. It has no connection yet. */
  takeDoubt(why: GapReason): void {
    this.doubt = { why, after: this.top };
  }

  /** The first connection. */
  begin(socket: Connection): void {
    this.socket = socket;
  }

  /** There is no connection any more. The gate's own frames go with it. */
  detach(): void {
    this.socket = undefined;
    this.own = undefined;
    this.acknowledger = undefined;
  }

  send(frame: Uint8Array | undefined): boolean {
    if (!frame) {
      this.host.counters.add('packs_dropped', 'too_large');
      return false;
    }
    if (!this.isDeferring) {
      this.enqueue(frame);
      return true;
    }
    if (!this.hasRoomFor(frame.length)) return this.noteUnheld();
    this.deferred?.add(frame);
    return true;
  }

  sendFirst(frame: Uint8Array): void {
    this.enqueue(frame);
  }

  /** An acknowledgement goes along with the next write: one of its own would cost as much as that of many replies. */
  acknowledgeWithNext(acknowledger: Acknowledger): void {
    this.acknowledger = acknowledger;
  }

  /** Queues a frame of the gate itself, or of the connection, behind all that is in the ring. */
  sendNow(frame: Uint8Array): boolean {
    if (!this.socket || (this.own && this.own.length >= MAX_OWN_FRAMES)) {
      this.host.counters.add('packs_dropped', this.socket ? 'control' : 'away');
      return false;
    }
    (this.own ??= []).push({ bytes: frame, after: this.top });
    this.list();
    return true;
  }

  defer(making: Promise<Uint8Array | undefined>, bytes: number): boolean {
    if (!this.hasRoomFor(bytes + MAKING_BYTES)) return this.noteUnheld();
    (this.deferred ??= this.createDeferred()).defer(making, bytes);
    return true;
  }

  mayDefer(bytes: number): boolean {
    return !this.isDeferring || this.hasRoomFor(bytes + MAKING_BYTES) || this.noteUnheld();
  }

  drain(): void {
    this.isListed = false;
    const { socket } = this;
    if (!socket) {
      this.tail?.pull();
      return;
    }
    while (!this.isWritten || this.own) {
      if (socket.writableLength > 0) {
        socket.awaitDrain();
        return;
      }
      socket.write(this.takeNext());
    }
  }

  /** The client's connection ends, and what was not written is written to its next one. */
  onDefect(error: unknown): void {
    this.owner.onDefect(error, 'write');
  }

  drop(why: string): void {
    const dropped = this.clear('expired') + (this.deferred?.clear() ?? 0);
    this.own = undefined;
    this.written = this.top;
    this.receipts?.end();
    if (dropped > 0) this.host.counters.add('packs_dropped', why, dropped);
  }

  /** Lets the frames go, because all rings together hold too much. */
  dropForBudget(): void {
    this.noteLost('budget', this.clear('budget'));
  }

  private doubtNotice({ why, after }: Doubt): Uint8Array {
    return this.wire.notice('gap', { from: after + 1, n: null, why });
  }

  private get isDeferring(): boolean {
    return this.deferred !== undefined && this.deferred.length > 0;
  }

  private enqueue(frame: Uint8Array): void {
    const { counters, budget } = this.host;
    if (!this.wire.isCounted(frame)) {
      if (!this.sendNow(frame)) return;
      this.sentCount++;
      counters.packsQueued++;
      return;
    }
    this.sentCount++;
    counters.packsQueued++;
    // A burst within one turn is not a slow client: only what the socket does not take is lost.
    if (this.unwritten > 0 && this.isFullFor(frame.length)) this.drain();
    const lost = this.add(frame);
    if (lost > 0) this.noteLost('overrun', lost);
    if (budget.isOver) budget.settle();
    this.list();
  }

  private noteLost(why: string, count: number): void {
    if (count === 0) return;
    this.host.counters.add('packs_dropped', why, count);
    this.noteGap();
    this.owner.onDropped?.(count);
  }

  /** Adds a frame of another gate, which has counted it. */
  private append(frame: Uint8Array): void {
    if (this.unwritten > 0 && this.isFullFor(frame.length)) this.drain();
    const lost = this.add(frame);
    if (lost > 0) {
      this.host.counters.add('packs_dropped', 'overrun', lost);
      this.noteGap();
    }
    if (this.host.budget.isOver) this.host.budget.settle();
  }

  /** While the session comes from another gate, what is not taken has its place: from then on all is missing until {@link release}. */
  private noteUnheld(): false {
    if (this.endHold) this.unheld++;
    return false;
  }

  private list(): void {
    if (this.isListed || (!this.socket && !this.tail)) return;
    this.isListed = true;
    this.host.drainQueue.add(this);
  }

  /** The next write: frames of the gate itself, and those of the ring, in order, as many as go into one write. */
  private takeNext(): Uint8Array {
    if (this.acknowledger) this.takeAck(this.acknowledger);
    if (this.gap) this.tellGap(this.gap);
    const first = this.isOwnNext ? this.takeOwn() : this.take();
    let size = first.length;
    if (size > MAX_MERGED_BYTES) return first;
    const { rest } = this.host;
    for (;;) {
      const isOwn = this.isOwnNext;
      const length = isOwn ? (this.own as OwnFrame[])[0]?.bytes.length : this.nextLength;
      if (!length || length > MAX_MERGED_BYTES || size + length > MAX_WRITE_BYTES) break;
      rest.push(isOwn ? this.takeOwn() : this.take());
      size += length;
    }
    if (rest.length === 0) return first;
    const data = this.host.drainQueue.merge(first, rest, size);
    rest.length = 0;
    return data;
  }

  private takeAck(acknowledger: Acknowledger): void {
    this.acknowledger = undefined;
    const bytes = acknowledger.takeAck();
    if (bytes) (this.own ??= []).push({ bytes, after: this.top });
  }

  /** Those between are lost: the client is told before the next frame. */
  private tellGap(gap: RingGap): void {
    this.passGap();
    this.host.counters.add('resume_gaps', gap.why);
    // What the gate itself has said before them is not lost.
    const before = this.own?.filter(({ after }) => after < this.written) ?? [];
    const behind = this.own?.slice(before.length) ?? [];
    this.own = [...before, { bytes: this.wire.notice('gap', gap), after: this.written }, ...behind];
  }

  private get isOwnNext(): boolean {
    const { own } = this;
    return own !== undefined && (own[0] as OwnFrame).after <= this.written;
  }

  private takeOwn(): Uint8Array {
    const own = this.own as OwnFrame[];
    const { bytes } = own.shift() as OwnFrame;
    if (own.length === 0) this.own = undefined;
    return bytes;
  }

  /** What is being made is bounded; its order is not known yet, so that nothing else can go for it. */
  private hasRoomFor(bytes: number): boolean {
    const { deferred, host } = this;
    if (!deferred || deferred.length === 0) return true;
    if (this.unheld === 0 && deferred.length < host.limits.frames && deferred.bytes + bytes <= host.makingBytes)
      return true;
    host.counters.add('packs_dropped', 'making');
    return false;
  }

  private createDeferred(): DeferredSends {
    const deferred = new DeferredSends(
      frame => this.enqueue(frame),
      () => {
        if (this.deferred === deferred) this.deferred = undefined;
        if (this.unheld > 0) {
          this.skip(this.unheld, 'overrun');
          this.noteGap();
        }
        this.unheld = 0;
        this.owner.onCaughtUp();
      },
    );
    return deferred;
  }
}
