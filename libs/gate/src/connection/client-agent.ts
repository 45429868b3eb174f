import type { Peer } from '@nestgate/link';
import {
  type Body,
  CLOSE,
  closeReason,
  type ErrorBody,
  GateError,
  isSendableCloseCode,
  logText,
} from '@nestgate/protocol';
import { encodeMessage, type Session } from '@nestgate/worker';
import { isWellFormed } from '../body-value.js';
import type { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import type { SessionState } from '../session/session-state.js';
import type { Connection, ConnectionEvents } from './connection.js';
import { Credit } from './credit.js';
import { MessageRate, type RateVerdict } from './message-rate.js';
import { SendQueue, type SendQueueHost, type SendQueueOwner } from './send-queue.js';
import type { Wire } from './wire.js';

/** Malformed frames a connection may send; the one that reaches this number closes it. */
const MAX_BAD_FRAMES = 10;

/**
 * How far the welcome of a client has come: `coming` until all connect hooks are done; then `told` when a worker has handled
 * its `@OnConnect`, `untold` when none listened.
 */
export type Arrival = 'coming' | 'told' | 'untold';

/** How a connection has ended. */
export interface ConnectionEnd {
  /** The close code. */
  readonly code: number;
  readonly reason: string;
}

/** What an agent needs of its gate; shared by all agents. */
export interface AgentHost extends SendQueueHost {
  readonly options: ResolvedGateOptions;
  /** Takes the frame that the agent's wire has just decoded. */
  take(agent: ClientAgent): void;
  /** The agent ends: forget it. Called once. */
  retire(agent: ClientAgent, code: number, reason: string): void;
  /** A copy of the agent's session. */
  sessionOf(agent: ClientAgent): Session;
  /** Counts and logs an error that nobody else would hear of. Never throws. */
  reportDefect(error: unknown, where: string): void;
  /** Calls back after `closeTimeout`, unless the returned function is called first. */
  afterCloseTimeout(callback: () => void): () => void;
}

/**
 * One connected client: decodes its frames, keeps them in order and within its credit, and queues what is sent to it.
 * What is seldom needed is allocated when it is needed: most clients are idle most of the time.
 */
export class ClientAgent implements ConnectionEvents, SendQueueOwner {
  /** Kept for the application; see `Session.userData`. */
  userData: unknown;
  /** The worker that handled this client's last frame, and the version of the session it was told. */
  worker: Peer | undefined;
  workerVersion = 0;
  /** Earlier workers, and what they were told. */
  otherWorkers: Map<Peer, number> | undefined;
  /** Until when frames do not wait for a worker, because one before them has, in vain; of `performance.now()`. */
  waitSpentUntil = 0;
  /** @internal Only its gate changes it. */
  arrival: Arrival = 'coming';
  /** How the connection has ended; `undefined` while it has not. */
  error: ConnectionEnd | undefined;
  /** Messages received so far. */
  recvNum = 0;
  /** When the client connected, as `performance.now()`; whole milliseconds take no memory of their own. */
  readonly openedAt = Math.floor(performance.now());
  private readonly queue: SendQueue;
  private readonly credit: Credit;
  /** Made with the first frame: most clients are idle. */
  private rate: MessageRate | undefined;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private halfClosed = false;
  private badFrames = 0;
  private lastBytes = 0;
  private lastHeard = 0;
  private lastPing = 0;
  private lastTaken = 0;
  private lastTakenAt = 0;
  private farewell: { readonly code: number; readonly reason: string; readonly cancel: () => void } | undefined;

  constructor(
    private readonly host: AgentHost,
    readonly serial: number,
    /** The state behind {@link session}: the gate's own, which only its keeper changes. */
    readonly sessionState: SessionState,
    readonly connection: Connection,
    readonly wire: Wire,
  ) {
    this.queue = new SendQueue(host, this, connection);
    this.credit = new Credit(host.options.concurrentTasks, connection);
  }

  /** When the client connected, in milliseconds since the epoch. */
  get connTime(): number {
    return this.sessionState.origin.connectedAt;
  }

  /** A copy of the client's session; its `to…` methods change the session itself. */
  get session(): Session {
    return this.host.sessionOf(this);
  }

  /** True once the client has been welcomed: its handshake has passed, `SessionLearner.onConnect` and `@OnConnect` are done. */
  get isShaked(): boolean {
    return this.arrival !== 'coming';
  }

  /** True as soon as the connection is being closed. */
  get isClosed(): boolean {
    return this.state !== 'open';
  }

  /** True when the connection is no more. */
  get isGone(): boolean {
    return this.state === 'closed';
  }

  /** Frames that are handled now. */
  get unansweredCount(): number {
    return this.credit.unanswered;
  }

  /** True while the gate does not read this client. */
  get isPaused(): boolean {
    return this.credit.isPaused;
  }

  get awaitsAnswers(): boolean {
    return this.state === 'open' && this.credit.unanswered > 0;
  }

  /** Messages queued for the client so far. */
  get sendNum(): number {
    return this.queue.sentCount;
  }

  /** Messages that wait for the client to take them. */
  get pendingPacks(): number {
    return this.queue.pendingPacks;
  }

  /** Bytes that wait for the client to take them. */
  get pendingBytes(): number {
    return this.queue.pendingBytes;
  }

  /** The counters of its gate. */
  get counters(): GateCounters {
    return this.host.counters;
  }

  // What comes from the client.

  onFrame(data: Buffer): void {
    if (this.state !== 'open') return;
    const { isPaused } = this.credit;
    if (this.credit.admits(data)) this.take(data);
    else if (!isPaused) this.notePause();
  }

  onDrain(): void {
    this.queue.drain();
    this.sayFarewellWhenSent();
  }

  onProbe(answer: Buffer): void {
    if (this.state === 'open') this.queue.sendNow(answer);
  }

  onViolation(code: number, reason: string): void {
    // A connection of the application's own may say anything.
    this.close(isSendableCloseCode(code) ? code : CLOSE.policy.code, reason);
  }

  onBroken(code: number, reason: string): void {
    if (this.state !== 'open') return;
    this.queue.drop('closed');
    this.end(code, reason);
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
    this.credit.clear();
    this.queue.drop('closed');
    if (!wasOpen) return;
    this.error = { code, reason };
    this.retire(code, reason);
  }

  /**
   * An error was thrown in a callback of this connection, a timer that looks at it, or a write to it. It closes with 1011, or,
   * when that fails too, at once; no other client notices.
   */
  onDefect(error: unknown, where: string): void {
    this.host.reportDefect(error, where);
    if (this.state !== 'open') return;
    try {
      this.sendAway(CLOSE.internal.code, CLOSE.internal.reason);
    } catch {
      this.cut();
    }
  }

  /**
   * A frame cannot be handled, because of an error that is not its client's: it ends with `INTERNAL`, its credit is returned,
   * and those behind it go on. `wasBegun`: it counts as unanswered.
   */
  failFrame(id: number, topic: string | undefined, error: unknown, wasBegun: boolean): void {
    this.host.reportDefect(error, 'frame');
    try {
      this.sendError(id, INTERNAL, topic);
      if (wasBegun) this.endRequest(id);
    } catch (defect) {
      this.onDefect(defect, 'frame');
    }
  }

  /** The client begins to count as heard and pinged. `now` is of the heartbeat's own time, here and in the next two. */
  startHeartbeat(now: number): void {
    this.lastHeard = now;
    this.lastPing = now;
  }

  /** How long the client has sent nothing, in milliseconds. A socket that the gate itself does not read is not silent. */
  silentFor(now: number): number {
    const { bytesRead } = this.connection;
    if (bytesRead !== this.lastBytes || this.credit.isPaused) {
      this.lastBytes = bytesRead;
      this.lastHeard = now;
    }
    return now - this.lastHeard;
  }

  /**
   * Cuts off a client that has taken nothing for so long, though the socket holds something for it. One that sends pings, or
   * anything else, is not silent, and may still never read.
   */
  cutWhenStuck(now: number, maxMs: number): void {
    const { writableLength, takenBytes } = this.connection;
    if (writableLength === 0 || takenBytes !== this.lastTaken) {
      this.lastTaken = takenBytes;
      this.lastTakenAt = now;
    } else if (now - this.lastTakenAt >= maxMs) {
      this.queue.drop('disconnect');
      this.onStalled();
    }
  }

  pingWhenDue(now: number, interval: number): void {
    if (now - this.lastPing < interval) return;
    this.lastPing = now;
    // Behind a full socket too: a client that reads slowly, but reads, answers when it has come so far.
    this.connection.ping();
  }

  // Credit and order.

  /** Holds the frames behind the one at hand until {@link unblock}. */
  block(): void {
    this.credit.block();
  }

  unblock(): void {
    this.credit.unblock();
    this.pump();
  }

  /** Holds the frames behind the one at hand until all before it have settled: then `next` takes that one on. */
  blockUntilSettled(next: () => void): void {
    this.credit.blockUntilSettled(next);
  }

  /** A frame goes to its handler. Its id is known to be free: frames with another's id do not come so far. */
  beginRequest(id: number): void {
    this.credit.begin(id);
  }

  /** A frame's handler has settled. */
  endRequest(id: number): void {
    this.credit.end(id);
    if (this.credit.isPaused || this.halfClosed) this.pump();
  }

  // What goes to the client.

  /** Queues a message that is still being made, of a body of `bytes`; those after it wait for it. */
  deferFrame(making: Promise<Uint8Array | undefined>, bytes = 0): boolean {
    return this.state === 'open' && this.queue.defer(making, bytes);
  }

  /** False when so many messages are being made for the client that another one, of a body of `bytes`, must not be begun. */
  mayDefer(bytes: number): boolean {
    return this.state === 'open' && this.queue.mayDefer(bytes);
  }

  /** Drops what waits for the client, counted by this reason. */
  dropQueued(why: string): void {
    this.queue.drop(why);
  }

  /** Queues a framed message; false when it was not taken. `undefined` is one that this wire cannot carry. */
  sendFrame(frame: Uint8Array | undefined): boolean {
    return this.state === 'open' && this.queue.send(frame);
  }

  /**
   * Sends a message to the client; false when it was not taken.
   * @throws {GateError} `BAD_ARGUMENT` for a topic outside the grammar, or a body that cannot be encoded.
   */
  sendPack(topic: string, body?: unknown): boolean {
    const message = encodeMessage(topic, body);
    return this.pushBody(message.topic, message.body);
  }

  /** Queues a message whose topic has been checked and whose body is encoded. */
  pushBody(topic: string, body: Body): boolean {
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

  onOverflow(): void {
    this.close(CLOSE.overloaded.code, CLOSED_AS_SLOW);
  }

  onStalled(): void {
    this.destroy(CLOSE.overloaded.code, CLOSED_AS_SLOW);
  }

  onCaughtUp(): void {
    this.sayFarewellWhenSent();
  }

  // Its end.

  /**
   * Closes the connection, after what is queued has been sent or `closeTimeout` is over. Of the reason, what is beyond 123
   * bytes of UTF-8 is cut.
   * @throws {GateError} `BAD_ARGUMENT` for a code that no close frame may carry (allowed: 1000–1003, 1007–1014, 3000–4999), on
   * TCP too, and for a reason that is no string. Nothing has changed then.
   */
  close(code: number = CLOSE.kicked.code, reason: string = CLOSE.kicked.reason): void {
    assertClose(code, reason);
    if (this.state === 'open') this.sendAway(code, closeReason(reason));
  }

  private sendAway(code: number, reason: string): void {
    this.end(code, reason);
    this.queue.drain();
    const cancel = this.host.afterCloseTimeout(() => this.cut());
    this.farewell = { code, reason, cancel };
    this.sayFarewellWhenSent();
  }

  /**
   * Cuts the connection at once; what is queued is dropped. Code and reason are not sent: `onDisconnect` is told them.
   * @throws {GateError} `BAD_ARGUMENT` as {@link close} does.
   */
  destroy(code: number, reason: string): void {
    assertClose(code, reason);
    if (this.state === 'open') this.end(code, closeReason(reason));
    this.connection.destroy();
  }

  /** The gate's side of the connection is over: the client is nobody's any more. */
  private end(code: number, reason: string): void {
    this.state = 'closing';
    this.error = { code, reason };
    this.credit.clear();
    this.host.counters.add('connections_closed', code);
    this.retire(code, reason);
  }

  /** Whatever the rest of the gate makes of it, the connection ends. */
  private retire(code: number, reason: string): void {
    try {
      this.host.retire(this, code, reason);
    } catch (error) {
      this.host.reportDefect(error, 'retire');
    }
  }

  private cut(): void {
    try {
      this.connection.destroy();
    } catch (error) {
      this.host.reportDefect(error, 'close');
    }
  }

  /** A client that sends nothing more is closed when it has got all its answers. */
  private closeWhenDone(): void {
    if (this.credit.isIdle) this.close(CLOSE.goingAway.code, CLOSE.goingAway.reason);
  }

  private sayFarewellWhenSent(): void {
    const { farewell } = this;
    if (!farewell) return;
    this.queue.drain();
    if (!this.queue.isEmpty) return;
    this.farewell = undefined;
    farewell.cancel();
    // A client that was not read must not keep its paused socket for ever: the close handshake needs it to flow.
    try {
      if (this.credit.isPaused) this.connection.resume();
      this.connection.close(farewell.code, farewell.reason);
    } catch (error) {
      // Nobody else would end it any more.
      this.host.reportDefect(error, 'close');
      this.cut();
    }
  }

  private pump(): void {
    while (this.state === 'open') {
      const data = this.credit.next();
      if (!data) break;
      this.take(data);
    }
    if (this.halfClosed) this.closeWhenDone();
  }

  /** The boundary of a frame: what is thrown on its way to the link ends this frame, and nothing else. */
  private take(data: Buffer): void {
    this.recvNum++;
    this.host.counters.framesReceived++;
    const { unanswered } = this.credit;
    let id = 0;
    let topic: string | undefined;
    try {
      const { wire } = this;
      const verdict = this.checkRate();
      const fault = wire.decode(data);
      const { frame } = wire;
      ({ id, topic } = frame);
      if (fault === 'VIOLATION') {
        this.close(CLOSE.protocolError.code, 'malformed frame');
      } else if (verdict !== 'pass') {
        this.sendError(fault === 'BAD_FRAME' ? 0 : id, RATE_LIMITED, fault ? undefined : topic);
        if (verdict === 'close') this.close(CLOSE.policy.code, 'message rate');
      } else if (fault === 'BAD_FRAME') {
        this.refuseBadFrame();
      } else if (fault === 'BAD_TOPIC') {
        this.sendError(id, BAD_TOPIC, topic);
      } else if (id > 0 && this.credit.hasId(id)) {
        this.refuseDuplicate(id, topic);
      } else if (frame.control) {
        if (frame.control === 'ping') this.sendFrame(wire.pong(id));
      } else {
        this.host.take(this);
      }
    } catch (error) {
      this.failFrame(id, topic, error, this.credit.unanswered > unanswered);
    }
  }

  private notePause(): void {
    const isSpent = this.credit.unanswered >= this.host.options.concurrentTasks;
    this.host.counters.add('reads_paused', isSpent ? 'unanswered' : 'waiting');
  }

  private checkRate(): RateVerdict {
    const { messageRate } = this.host.options;
    if (messageRate === 0) return 'pass';
    const now = performance.now();
    return (this.rate ??= new MessageRate(messageRate, now)).check(now);
  }

  /** A frame with the id of a request that is still unanswered. A malformed one is that first of all. */
  private refuseDuplicate(id: number, topic: string): void {
    if (isWellFormed(this.wire.frame.body)) this.sendError(id, DUPLICATE_ID, topic);
    else this.refuseBadFrame();
  }
}

function assertClose(code: unknown, reason: unknown): void {
  if (!isSendableCloseCode(code)) {
    throw new GateError(
      'BAD_ARGUMENT',
      `The close code ${logText(code)} cannot be sent; allowed: 1000–1003, 1007–1014, 3000–4999`,
    );
  }
  if (typeof reason !== 'string') throw new GateError('BAD_ARGUMENT', 'A close reason must be a string');
}

const CLOSED_AS_SLOW = 'slow reader';
const DUPLICATE_ID: ErrorBody = new GateError('DUPLICATE_ID').toBody();
const INTERNAL: ErrorBody = new GateError('INTERNAL').toBody();
const BAD_FRAME: ErrorBody = new GateError('BAD_FRAME').toBody();
const BAD_TOPIC: ErrorBody = new GateError('BAD_TOPIC').toBody();
const RATE_LIMITED: ErrorBody = new GateError('RATE_LIMITED').toBody();
