import type { Peer } from '@nestgate/link/internal';
import {
  type Body,
  CLOSE,
  closeReason,
  type ErrorBody,
  GateError,
  isSendableCloseCode,
  logText,
} from '@nestgate/protocol';
import type { Session } from '@nestgate/worker';
import { encodeMessage } from '@nestgate/worker/internal';
import type { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import type { SessionState } from '../session/session-state.js';
import type { ClientQueue, SendQueueOwner } from '../connection/client-queue.js';
import type { Connection, ConnectionEvents } from '../connection/connection.js';
import { FrameIntake, type OpenAsks, type OpenStreams } from './frame-intake.js';
import { Liveness } from './liveness.js';
import type { Drainable } from './drain-queue.js';
import { SendQueue, type SendQueueHost } from './send-queue.js';
import type { Wire } from '../codec/wire.js';

/**
 * Progress of the connect hooks: `coming` until all are done; then `told` when a worker has handled `@OnConnect`, or `untold` when no
 * worker listens.
 */
export type Arrival = 'coming' | 'told' | 'untold';

/** How a connection has ended. */
export interface ConnectionEnd {
  /** The close code. */
  readonly code: number;
  readonly reason: string;
}

/** What an agent needs from its gate; shared by all agents. */
export interface AgentHost extends SendQueueHost {
  readonly options: ResolvedGateOptions;
  /** Handles the frame that the wire of the agent has just decoded. */
  take(agent: ClientAgent): void;
  /** The agent ends: removes it from all indexes. Called once. */
  retire(agent: ClientAgent, code: number, reason: string): void;
  /** A copy of the agent's session. */
  sessionOf(agent: ClientAgent): Session;
  /** Counts and logs an error that no caller receives. Never throws. */
  reportDefect(error: unknown, where: string): void;
  /** Calls back after `closeTimeout`, unless the returned function is called first. */
  afterCloseTimeout(callback: () => void): () => void;
}

/**
 * One connected client: decodes its frames, keeps them in order and within its credit, and queues outgoing messages. Rarely used
 * state is allocated on first use, because most clients are idle most of the time.
 */
export class ClientAgent implements ConnectionEvents, SendQueueOwner {
  /** Kept for the application; see `Session.userData`. */
  userData: unknown;
  /** The worker that handled this client's last frame, and the session version that was sent to it. */
  worker: Peer | undefined;
  workerVersion = 0;
  /** Earlier workers, and the session versions that were sent to them. */
  otherWorkers: Map<Peer, number> | undefined;
  /** Time until which frames do not wait for a worker, because an earlier frame waited without success; of `performance.now()`. */
  waitSpentUntil = 0;
  /** @internal Only its gate changes it. */
  arrival: Arrival = 'coming';
  /** How the connection has ended; `undefined` while it has not. */
  error: ConnectionEnd | undefined;
  /** Messages received so far. */
  recvNum = 0;
  /** When the client connected, as `performance.now()`. In whole milliseconds, because V8 stores a fraction in a separate object. */
  readonly openedAt = Math.floor(performance.now());
  /** The streams of the client; created with the first one. @internal */
  streams: OpenStreams | undefined;
  /** Calls that the client has not answered; created with the first one. @internal */
  asks: OpenAsks | undefined;
  private readonly queue: ClientQueue;
  private readonly intake: FrameIntake;
  /** Whether the client is alive, for the heartbeat. @internal */
  readonly liveness: Liveness;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private halfClosed = false;
  private pendingClose: { readonly code: number; readonly reason: string; readonly cancel: () => void } | undefined;

  constructor(
    private readonly host: AgentHost,
    readonly serial: number,
    /** The authoritative state of {@link session}. Only `SessionKeeper` changes it. */
    readonly sessionState: SessionState,
    readonly connection: Connection,
    readonly wire: Wire,
  ) {
    this.queue = connection.session?.createQueue(this) ?? new SendQueue(host, this, connection);
    this.intake = new FrameIntake(this, host, connection);
    this.liveness = new Liveness(connection);
  }

  /** When the client connected, in milliseconds since the epoch. */
  get connTime(): number {
    return this.sessionState.origin.connectedAt;
  }

  /** A copy of the client's session; its `to…` methods change the session itself. */
  get session(): Session {
    return this.host.sessionOf(this);
  }

  /** True after the handshake, `SessionLearner.onConnect` and `@OnConnect`. */
  get isShaked(): boolean {
    return this.arrival !== 'coming';
  }

  /** True as soon as the connection is being closed. */
  get isClosed(): boolean {
    return this.state !== 'open';
  }

  /** True when the connection has ended. */
  get isGone(): boolean {
    return this.state === 'closed';
  }

  /** Frames that are handled now. */
  get unansweredCount(): number {
    return this.intake.unanswered;
  }

  /** Ids of the unanswered requests. @internal */
  get unansweredIds(): readonly number[] {
    return this.intake.openIds;
  }

  /** Unanswered frames that later frames have to wait for: all except streams. */
  get orderedCount(): number {
    return this.intake.unanswered - this.intake.streams;
  }

  /** True while the gate has paused the socket. */
  get isPaused(): boolean {
    return this.intake.isPaused;
  }

  /** True while a resumable session has no connection. */
  get isAway(): boolean {
    return this.connection.session?.isAway === true;
  }

  get awaitsAnswers(): boolean {
    return this.state === 'open' && this.intake.unanswered > 0;
  }

  /** Messages queued for the client so far. */
  get sendNum(): number {
    return this.queue.sentCount;
  }

  /** Messages that wait for the client to read them. */
  get pendingPacks(): number {
    return this.queue.pendingPacks;
  }

  /** Bytes that wait for the client to read them. */
  get pendingBytes(): number {
    return this.queue.pendingBytes;
  }

  /** The counters of its gate. */
  get counters(): GateCounters {
    return this.host.counters;
  }

  // Events of the connection.

  onFrame(data: Buffer): void {
    if (this.state === 'open') this.intake.onFrame(data);
  }

  onDrain(): void {
    this.queue.drain();
    this.streams?.noteWritten();
    this.closeWhenSent();
  }

  onProbe(answer: Buffer): void {
    if (this.state === 'open') this.queue.sendNow(answer);
  }

  onViolation(code: number, reason: string): void {
    // A custom connection may pass any value.
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
    this.pendingClose?.cancel();
    this.pendingClose = undefined;
    this.intake.clear();
    this.queue.drop('closed');
    if (!wasOpen) return;
    this.error = { code, reason };
    this.retire(code, reason);
  }

  /**
   * Handles an exception in a callback of this connection, in a timer that checks it, or in a write to it. The connection closes with
   * 1011, or is destroyed when that also fails; other clients are unaffected.
   */
  onDefect(error: unknown, where: string): void {
    this.host.reportDefect(error, where);
    if (this.state !== 'open') return;
    try {
      this.close(CLOSE.internal.code, CLOSE.internal.reason);
    } catch {
      this.cut();
    }
  }

  /**
   * Ends a frame with `INTERNAL` after an error that its client has not caused: its credit is returned, and the next frames
   * continue. `wasBegun`: it counts as unanswered.
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

  /** Destroys the connection of a client that has stopped reading. @internal */
  cutStuck(): void {
    if (this.losesSocket(CLOSE.overloaded.code, CLOSED_AS_SLOW)) return;
    this.queue.drop('disconnect');
    this.onStalled();
  }

  /**
   * Replaces the wire by another wire of the same codec, to tap the client. All other code may assume that the wire never changes.
   * @internal
   */
  replaceWire(wire: Wire): void {
    (this as { wire: Wire }).wire = wire;
  }

  // Credit and order.

  /** Holds the frames after the current one until {@link unblock}. */
  block(): void {
    this.intake.block();
  }

  unblock(): void {
    this.intake.unblock();
    this.pump();
  }

  /** Holds the frames after the current one until all earlier ones have settled; then `next` continues the current one. */
  blockUntilSettled(next: () => void): void {
    this.intake.blockUntilSettled(next);
  }

  /** Calls back once all frames that were accepted have been handled. @internal */
  onceSettled(next: () => void): void {
    this.intake.onceSettled(next);
  }

  /** Counts a frame that goes to its handler. Its id was checked before. */
  beginRequest(id: number): void {
    this.intake.begin(id);
  }

  /** A frame's handler has settled. */
  endRequest(id: number): void {
    this.intake.end(id);
    this.goOn();
  }

  /** A frame that counts as unanswered goes to its handler after all, in `then`, which counts it again. @internal */
  restartRequest(id: number, then: () => void): void {
    this.intake.restart(id, then);
    this.goOn();
  }

  /** Counts a frame whose reply is a stream. Its id was checked before. @internal */
  beginStream(id: number): void {
    this.intake.beginStream(id);
  }

  /** @internal */
  endStream(id: number): void {
    this.intake.endStream(id);
    this.goOn();
  }

  /** Sets the number of unanswered calls to the client. @internal */
  noteAsks(count: number): void {
    this.intake.asks = count;
    this.goOn();
  }

  /** @internal */
  route(): void {
    this.host.take(this);
  }

  private goOn(): void {
    if (this.intake.isPaused || this.intake.isHolding || this.halfClosed) this.pump();
  }

  /** Processes the frames that have waited for credit. */
  private pump(): void {
    this.intake.pump();
    if (this.halfClosed) this.closeWhenDone();
  }

  // Messages to the client.

  /** Queues a message that a hook still creates, with a body of `bytes`; later messages wait for it. */
  deferFrame(making: Promise<Uint8Array | undefined>, bytes = 0): boolean {
    return this.state === 'open' && this.queue.defer(making, bytes);
  }

  /** False when hooks already create so many messages that another one, with a body of `bytes`, must not be started. */
  mayDefer(bytes: number): boolean {
    return this.state === 'open' && this.queue.mayDefer(bytes);
  }

  /** Drops the queued messages. `why` is the label of the counter. */
  dropQueued(why: string): void {
    this.queue.drop(why);
  }

  /** Writes the first message of all, before anything can be queued. `undefined`: this wire has none. */
  sendFirst(frame: Uint8Array | undefined): void {
    if (frame) this.queue.sendFirst(frame);
  }

  /** The number of the message that was queued last, among all messages for the client. @internal */
  get sendPosition(): number {
    return this.queue.position;
  }

  /** The number of the last message that the operating system has accepted. @internal */
  get writtenPosition(): number {
    return this.queue.position - this.queue.pendingPacks;
  }

  /** Whether the operating system has accepted the message with this number. @internal */
  isWritten(position: number): boolean {
    const { pendingPacks } = this.queue;
    return pendingPacks === 0 || this.queue.position - pendingPacks >= position;
  }

  /** Calls `item.drain` after the messages that are queued now were written to the socket. @internal */
  afterDrain(item: Drainable): void {
    this.host.drainQueue.add(item);
  }

  /** Queues a framed message; false when it was not accepted. `undefined`: this wire cannot represent it. */
  sendFrame(frame: Uint8Array | undefined): boolean {
    return this.state === 'open' && this.queue.send(frame);
  }

  /**
   * Sends a message to the client; false when it was not accepted.
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

  /** Sends an error: the answer to the request `id`, or, with 0, an error without a request. */
  sendError(id: number, error: ErrorBody, topic?: string): void {
    this.host.counters.add('frames_refused', error.code);
    this.sendFrame(this.wire.error(id, error, topic));
  }

  /** Handles a malformed frame. The error has no id, and the tenth one closes the connection. */
  refuseBadFrame(): void {
    this.intake.refuseBadFrame();
  }

  onOverflow(): void {
    this.close(CLOSE.overloaded.code, CLOSED_AS_SLOW);
  }

  onStalled(): void {
    this.destroy(CLOSE.overloaded.code, CLOSED_AS_SLOW);
  }

  onDropped(count: number): void {
    this.streams?.noteDropped(count);
  }

  onCaughtUp(): void {
    this.streams?.noteWritten();
    this.closeWhenSent();
  }

  // Close.

  /**
   * Closes the connection after queued messages were sent, at the latest after `closeTimeout`. A reason is cut to 123 bytes of UTF-8.
   * @throws {GateError} `BAD_ARGUMENT` for a code that is not allowed in a close frame (allowed: 1000–1003, 1007–1014, 3000–4999), also
   * on TCP, and for a reason that is not a string. Then nothing has changed.
   */
  close(code: number = CLOSE.kicked.code, reason: string = CLOSE.kicked.reason): void {
    assertClose(code, reason);
    if (this.state === 'open' && !this.losesSocket(code, reason)) this.sendAway(code, closeReason(reason));
  }

  /** Ends only the socket, when the session is kept after this close code. False otherwise. */
  private losesSocket(code: number, reason: string): boolean {
    return this.connection.session?.loseSocket(code, reason) === true;
  }

  /** Drops the frames that wait for credit: the client sends them again on its next connection. @internal */
  dropHeld(): void {
    this.intake.dropHeld();
  }

  private sendAway(code: number, reason: string): void {
    this.end(code, reason);
    this.queue.drain();
    const cancel = this.host.afterCloseTimeout(() => this.cut());
    this.pendingClose = { code, reason, cancel };
    this.closeWhenSent();
  }

  /**
   * Destroys the connection immediately; queued messages are dropped. Code and reason are not sent, but passed to `onDisconnect`.
   * @throws {GateError} `BAD_ARGUMENT` as {@link close} does.
   */
  destroy(code: number, reason: string): void {
    assertClose(code, reason);
    if (this.state === 'open') this.end(code, closeReason(reason));
    this.connection.destroy();
  }

  /** Ends the client on the gate's side. */
  private end(code: number, reason: string): void {
    this.state = 'closing';
    this.error = { code, reason };
    this.intake.clear();
    this.host.counters.add('connections_closed', code);
    this.retire(code, reason);
  }

  /** Removes the client from the gate. An exception there must not keep the connection open. */
  private retire(code: number, reason: string): void {
    try {
      this.streams?.end();
      this.asks?.end();
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

  /** Closes a half-closed client after all its answers were sent. */
  private closeWhenDone(): void {
    if (this.intake.isIdle) this.close(CLOSE.goingAway.code, CLOSE.goingAway.reason);
  }

  private closeWhenSent(): void {
    const { pendingClose } = this;
    if (!pendingClose) return;
    this.queue.drain();
    if (!this.queue.isEmpty) return;
    this.pendingClose = undefined;
    pendingClose.cancel();
    // Resume a paused socket: the close handshake needs to read it.
    try {
      if (this.intake.isPaused) this.connection.resume();
      this.connection.close(pendingClose.code, pendingClose.reason);
    } catch (error) {
      // No other code would end the connection.
      this.host.reportDefect(error, 'close');
      this.cut();
    }
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
const INTERNAL: ErrorBody = new GateError('INTERNAL').toBody();
