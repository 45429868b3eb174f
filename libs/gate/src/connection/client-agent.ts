import type { Peer } from '@nestgate/link';
import { type Body, CLOSE, type ErrorBody, GateError } from '@nestgate/protocol';
import { isWellFormed } from '../body-value.js';
import type { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import type { SessionState } from '../session/session-state.js';
import type { Connection, ConnectionEvents } from './connection.js';
import { DeferredSends } from './deferred-sends.js';
import type { DrainQueue } from './drain-queue.js';
import { FrameHold } from './frame-hold.js';
import { MessageRate } from './message-rate.js';
import { Outbox } from './outbox.js';
import type { Wire } from './wire.js';

/** Malformed frames a connection may send; the one that reaches this number closes it. */
const MAX_BAD_FRAMES = 10;

/** What an agent needs of its gate; shared by all agents. */
export interface AgentHost {
  readonly options: ResolvedGateOptions;
  readonly counters: GateCounters;
  readonly drainQueue: DrainQueue;
  /** Takes the frame that the agent's wire has just decoded. */
  take(agent: ClientAgent): void;
  /** The agent ends: forget it. Called once. */
  retire(agent: ClientAgent, code: number, reason: string): void;
  /** Calls back after `closeTimeout`, unless the returned function is called first. */
  afterCloseTimeout(callback: () => void): () => void;
}

/**
 * One connected client: decodes its frames, keeps them in order and within its credit, and queues what is sent to it.
 * What is seldom needed is allocated when it is needed: most clients are idle most of the time.
 */
export class ClientAgent implements ConnectionEvents {
  /** Kept for the application; see `Session.userData`. */
  userData: unknown;
  /** The worker that handled this client's last frame, and the version of the session it was told. */
  worker: Peer | undefined;
  workerVersion = 0;
  /** Earlier workers, and what they were told. */
  otherWorkers: Map<Peer, number> | undefined;
  /** True while frames that have waited for a worker in vain are told so: those behind them do not wait again. */
  waitSpent = false;
  /** Messages received and sent. */
  recvNum = 0;
  sendNum = 0;
  /** When the client connected, in milliseconds since the epoch. */
  readonly connTime: number;
  private readonly outbox: Outbox;
  private readonly rate: MessageRate | undefined;
  private readonly ids = new LazyIdSet();
  private hold: FrameHold | undefined;
  private deferred: DeferredSends | undefined;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private unanswered = 0;
  private blocks = 0;
  private paused = false;
  private halfClosed = false;
  private badFrames = 0;
  private lastBytes = 0;
  private lastHeard: number;
  private lastPing: number;
  private farewell: { readonly code: number; readonly reason: string; readonly cancel: () => void } | undefined;

  constructor(
    private readonly host: AgentHost,
    readonly serial: number,
    readonly session: SessionState,
    readonly connection: Connection,
    readonly wire: Wire,
  ) {
    const now = Date.now();
    this.connTime = now;
    this.lastHeard = now;
    this.lastPing = now;
    this.outbox = new Outbox(connection, host.drainQueue, host.options);
    const { messageRate } = host.options;
    this.rate = messageRate > 0 ? new MessageRate(messageRate, now) : undefined;
  }

  get isClosed(): boolean {
    return this.state !== 'open';
  }

  /** True when the connection is no more. */
  get isGone(): boolean {
    return this.state === 'closed';
  }

  /** Frames that are handled now. */
  get unansweredCount(): number {
    return this.unanswered;
  }

  // What comes from the client.

  onFrame(data: Buffer): void {
    if (this.state !== 'open') return;
    if (this.isBusy || this.hold) this.keep(data);
    else this.take(data);
  }

  onDrain(): void {
    this.outbox.drain();
    this.sayFarewellWhenSent();
  }

  onViolation(code: number, reason: string): void {
    this.close(code, reason);
  }

  onBroken(code: number, reason: string): void {
    if (this.state !== 'open') return;
    this.state = 'closing';
    this.host.counters.add('connections_closed', code);
    this.dropQueued('closed');
    this.host.retire(this, code, reason);
  }

  onHalfClose(): void {
    this.halfClosed = true;
    this.closeWhenDone();
  }

  onClose(code: number, reason: string): void {
    const wasOpen = this.state === 'open';
    this.state = 'closed';
    this.farewell?.cancel();
    this.farewell = undefined;
    this.hold = undefined;
    this.dropQueued('closed');
    if (wasOpen) this.host.retire(this, code, reason);
  }

  /** How long the client has sent nothing, in milliseconds. A socket that the gate itself does not read is not silent. */
  silentFor(now: number): number {
    const { bytesRead } = this.connection;
    if (bytesRead !== this.lastBytes || this.paused) {
      this.lastBytes = bytesRead;
      this.lastHeard = now;
    }
    return now - this.lastHeard;
  }

  pingWhenDue(now: number, interval: number): void {
    if (now - this.lastPing < interval) return;
    this.lastPing = now;
    // A ping behind a full socket would only say what the outbox knows already.
    if (this.connection.writableLength === 0) this.connection.ping();
  }

  // Credit and order.

  /** Holds the frames behind the one at hand until {@link unblock}. */
  block(): void {
    this.blocks++;
  }

  unblock(): void {
    this.blocks--;
    this.pump();
  }

  /** A frame goes to its handler. Its id is known to be free: frames with another's id do not come so far. */
  beginRequest(id: number): void {
    if (id > 0) this.ids.add(id);
    this.unanswered++;
  }

  /** A frame's handler has settled. */
  endRequest(id: number): void {
    this.ids.delete(id);
    this.unanswered--;
    if (this.hold || this.paused || this.halfClosed) this.pump();
  }

  // What goes to the client.

  /** Queues a message that is still being made; those after it wait for it. */
  deferFrame(making: Promise<Uint8Array | undefined>): boolean {
    if (this.state !== 'open') return false;
    this.deferred ??= new DeferredSends(
      frame => this.enqueue(frame),
      () => this.sayFarewellWhenSent(),
    );
    if (!this.canDefer()) return false;
    this.deferred.defer(making);
    return true;
  }

  /** Queues a framed message; false when it was not taken. `undefined` is one that this wire cannot carry. */
  sendFrame(frame: Uint8Array | undefined): boolean {
    if (this.state !== 'open') return false;
    if (!frame) {
      this.host.counters.add('packs_dropped', 'too_large');
      return false;
    }
    if (!this.isDeferring) return this.enqueue(frame);
    if (!this.canDefer()) return false;
    this.deferred?.add(frame);
    return true;
  }

  /** Queues a message. */
  sendPack(topic: string, body: Body): boolean {
    return this.sendFrame(this.wire.push(topic, body));
  }

  /** Answers a frame with an error: its request, or, without an id, the connection. */
  sendError(id: number, error: ErrorBody, topic?: string): void {
    this.host.counters.add('frames_refused', error.code);
    this.sendFrame(this.wire.error(id, error, topic));
  }

  /** A frame that is no frame. Belongs to no id, and the tenth closes the connection. */
  refuseBadFrame(): void {
    this.sendError(0, BAD_FRAME);
    if (++this.badFrames >= MAX_BAD_FRAMES) this.close(CLOSE.policy.code, 'too many malformed frames');
  }

  /** A frame with the id of a request that is still unanswered. A malformed one is that first of all. */
  private refuseDuplicate(id: number, topic: string): void {
    if (isWellFormed(this.wire.frame.body)) this.sendError(id, DUPLICATE_ID, topic);
    else this.refuseBadFrame();
  }

  /** Closes the connection, after what is queued has been sent or `closeTimeout` is over. */
  close(code: number, reason: string): void {
    if (this.state !== 'open') return;
    this.state = 'closing';
    this.hold = undefined;
    this.host.counters.add('connections_closed', code);
    this.host.retire(this, code, reason);
    this.outbox.drain();
    const cancel = this.host.afterCloseTimeout(() => this.connection.destroy());
    this.farewell = { code, reason, cancel };
    this.sayFarewellWhenSent();
  }

  /** Cuts the connection at once; what is queued is dropped. */
  destroy(code: number, reason: string): void {
    if (this.state === 'open') {
      this.state = 'closing';
      this.host.counters.add('connections_closed', code);
      this.host.retire(this, code, reason);
    }
    this.connection.destroy();
  }

  private enqueue(frame: Uint8Array): boolean {
    if (this.state === 'closed') return false;
    const { outbox } = this;
    const result = outbox.add(frame);
    if (result === 'taken' || result === 'dropped') {
      this.sendNum++;
      if (outbox.dropped > 0) this.host.counters.add('packs_dropped', 'drop-oldest', outbox.dropped);
      return true;
    }
    this.host.counters.add('packs_dropped', this.host.options.slowClientPolicy);
    if (result === 'overflow') this.overflow();
    return false;
  }

  /** The client reads too slowly: what waits for it is dropped, and it is sent away. */
  private overflow(): void {
    this.dropQueued('disconnect');
    this.deferred = undefined;
    this.close(CLOSE.overloaded.code, 'slow reader');
  }

  private get isDeferring(): boolean {
    return this.deferred !== undefined && this.deferred.length > 0;
  }

  /** What waits for a message that is being made counts as queued, and is bounded as that is. */
  private canDefer(): boolean {
    if ((this.deferred?.length ?? 0) < this.host.options.sendPackBuffNum) return true;
    this.overflow();
    return false;
  }

  private dropQueued(why: string): void {
    const dropped = this.outbox.clear();
    if (dropped > 0) this.host.counters.add('packs_dropped', why, dropped);
  }

  private get isBusy(): boolean {
    return this.blocks > 0 || this.unanswered >= this.host.options.concurrentTasks;
  }

  /** A client that sends nothing more is closed when it has got all its answers. */
  private closeWhenDone(): void {
    if (this.unanswered === 0 && this.blocks === 0 && !this.hold)
      this.close(CLOSE.goingAway.code, CLOSE.goingAway.reason);
  }

  private sayFarewellWhenSent(): void {
    const { farewell } = this;
    if (!farewell || this.isDeferring) return;
    this.outbox.drain();
    if (!this.outbox.isEmpty) return;
    this.farewell = undefined;
    farewell.cancel();
    // A client that stopped reading must not keep its paused socket for ever: the close frame needs it to flow.
    if (this.paused) this.connection.resume();
    this.connection.close(farewell.code, farewell.reason);
  }

  private keep(data: Buffer): void {
    (this.hold ??= new FrameHold()).push(data);
    if (this.paused) return;
    // Pausing does not stop the chunk in hand, which is why there is a hold at all; it is never larger than that chunk.
    this.paused = true;
    this.connection.pause();
  }

  private pump(): void {
    while (this.hold && !this.isBusy && this.state === 'open') {
      const data = this.hold.shift();
      if (this.hold.isEmpty) this.hold = undefined;
      if (data) this.take(data);
    }
    if (this.paused && !this.hold && this.state === 'open') {
      this.paused = false;
      this.connection.resume();
    }
    if (this.halfClosed) this.closeWhenDone();
  }

  private take(data: Buffer): void {
    this.recvNum++;
    const { wire } = this;
    const verdict = this.rate ? this.rate.check(Date.now()) : 'pass';
    const fault = wire.decode(data);
    const { id, topic, control } = wire.frame;
    if (fault === 'VIOLATION') {
      this.close(CLOSE.protocolError.code, 'malformed frame');
    } else if (verdict !== 'pass') {
      this.sendError(fault === 'BAD_FRAME' ? 0 : id, RATE_LIMITED, fault ? undefined : topic);
      if (verdict === 'close') this.close(CLOSE.policy.code, 'message rate');
    } else if (fault === 'BAD_FRAME') {
      this.refuseBadFrame();
    } else if (fault === 'BAD_TOPIC') {
      this.sendError(id, BAD_TOPIC, topic);
    } else if (id > 0 && this.ids.has(id)) {
      this.refuseDuplicate(id, topic);
    } else if (control) {
      if (control === 'ping') this.sendFrame(wire.pong(id));
    } else {
      this.host.take(this);
    }
  }
}

const DUPLICATE_ID: ErrorBody = new GateError('DUPLICATE_ID').toBody();
const BAD_FRAME: ErrorBody = new GateError('BAD_FRAME').toBody();
const BAD_TOPIC: ErrorBody = new GateError('BAD_TOPIC').toBody();
const RATE_LIMITED: ErrorBody = new GateError('RATE_LIMITED').toBody();

/** The ids of unanswered requests; allocated with the first one. */
class LazyIdSet {
  private ids: Set<number> | undefined;

  has(id: number): boolean {
    return this.ids?.has(id) ?? false;
  }

  add(id: number): void {
    (this.ids ??= new Set()).add(id);
  }

  delete(id: number): void {
    this.ids?.delete(id);
  }
}
