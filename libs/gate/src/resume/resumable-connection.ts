import type { SessionTransfer } from '@nestgate/link/internal';
import { CLOSE, type HelloSession, keepsSession, type ResumedNotice } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import type { ClientSessionFrame, SessionWire } from '../codec/session-wire.js';
import type { SendQueueOwner } from '../connection/client-queue.js';
import type { Connection, ConnectionEvents, ConnectionSession } from '../connection/connection.js';
import type { ResolvedResumeOptions } from '../gate-options.js';
import type { Receipt } from '../receipts/receipt.js';
import { InboundCount } from './inbound-count.js';
import { type Acknowledger, ResumableQueue, type ResumableQueueHost } from './resumable-queue.js';
import type { TicketState } from './tickets.js';

/** What a resumable connection needs of its gate; shared by all of them. */
export interface ResumableHost extends ResumableQueueHost {
  readonly options: ResolvedResumeOptions;
  readonly heartbeatMs: number;
  /** True when sockets that end take their sessions with them: the gate stops. */
  readonly isStopping: boolean;
  ticketFor(connection: ResumableConnection): string;
  /** Something is to be acknowledged within `ackMs`. */
  acknowledgeLater(connection: ResumableConnection): void;
  /** `ackEvery` frames are to be acknowledged: with the next write, and within a few milliseconds. */
  acknowledgeSoon(connection: ResumableConnection): void;
  /** The socket is lost. `code` and `reason` say how. */
  onDetach(connection: ResumableConnection, code: number, reason: string): void;
  /** The session is over. `code` is `undefined` when it was without a connection for too long. */
  onEnd(connection: ResumableConnection, code: number | undefined, reason: string): void;
}

/** One socket of a session, which it may replace. */
export interface SessionSocket {
  readonly connection: Connection;
  /** Nothing that the socket reports reaches the session any more. */
  release(): void;
}

/**
 * The connection of a resumable session, as its agent sees it: it stays when a socket is lost, and goes on with the next one. The agent
 * notices neither; what is sent meanwhile waits in the {@link ResumableQueue}.
 */
export class ResumableConnection implements Connection, ConnectionEvents, ConnectionSession, Acknowledger {
  /** Set right after the agent has been made of this connection. */
  agent!: ClientAgent;
  network: string;
  ip: string;
  generation = 0;
  confirmed = 0;
  /** When the last socket was lost, as `performance.now()`; 0 while there is one. */
  lostAt = 0;
  /** The code that the last socket was lost with. */
  lostCode = 0;
  isListed = false;
  queue!: ResumableQueue;
  /** Of a session that was born on another gate: what its tickets are made with. */
  key: Buffer | undefined = undefined;
  /** Another gate has the session, or is about to have it. */
  isHandedOver = false;
  /** Until when the client may go on on another gate, as it was asked to; of `performance.now()`. */
  private movingUntil = 0;
  /** The newest ticket may be of another gate, which has had the session for a moment. */
  offered = 0;
  private socket: SessionSocket | undefined;
  private readonly inbound = new InboundCount();
  /** The client has been welcomed: from now on the session outlives its sockets. */
  private isEstablished = false;
  private marked = 0;

  constructor(
    private readonly host: ResumableHost,
    readonly wire: SessionWire,
    socket: SessionSocket | undefined,
    /** The user that the handshake of the first connection has named. */
    readonly openedAs: string | undefined,
    { network, ip }: Pick<Connection, 'network' | 'ip'>,
  ) {
    this.socket = socket;
    this.network = network;
    this.ip = ip;
  }

  // What the agent asks.

  get session(): ConnectionSession {
    return this;
  }

  /** The client has its ticket. */
  get isWelcomed(): boolean {
    return this.isEstablished && !this.agent.isClosed;
  }

  get isAway(): boolean {
    return this.socket === undefined;
  }

  /** Whether the client has been asked to go on on another gate, and still may. */
  get isMoving(): boolean {
    return performance.now() < this.movingUntil;
  }

  get bytesRead(): number {
    return this.socket?.connection.bytesRead ?? 0;
  }

  get writableLength(): number {
    return this.socket?.connection.writableLength ?? 0;
  }

  get takenBytes(): number {
    return this.socket?.connection.takenBytes ?? 0;
  }

  get hasPing(): boolean {
    return this.socket?.connection.hasPing !== false;
  }

  get awaitsAnswers(): boolean {
    return this.agent.awaitsAnswers;
  }

  createQueue(owner: SendQueueOwner): ResumableQueue {
    this.queue = new ResumableQueue(this.host, owner, this.wire);
    if (this.socket) this.queue.begin(this.socket.connection);
    return this.queue;
  }

  write(data: Uint8Array): void {
    this.socket?.connection.write(data);
  }

  awaitDrain(): void {
    this.socket?.connection.awaitDrain();
  }

  /** Pings, and says how many frames have been sent, when there were any since. */
  ping(): void {
    const { queue } = this;
    if (queue.isWritten && queue.top !== this.marked) {
      this.marked = queue.top;
      queue.sendNow(this.wire.count('mark', queue.top));
    }
    this.socket?.connection.ping();
  }

  pause(): void {
    this.socket?.connection.pause();
  }

  /** The frames that were held have been taken up. */
  resume(): void {
    this.noteAccepted();
    this.socket?.connection.resume();
  }

  close(code: number, reason: string): void {
    if (this.socket) this.socket.connection.close(code, reason);
    else this.agent.onClose(code, reason);
  }

  destroy(): void {
    if (this.socket) this.socket.connection.destroy();
    else this.agent.onClose(this.lostCode, '');
  }

  hello(): Uint8Array {
    this.isEstablished = true;
    const { frames, bytes, ackEvery, ackMs } = this.host.options;
    const session: HelloSession = {
      ticket: this.host.ticketFor(this),
      keepMs: this.keepMs,
      frames,
      bytes,
      ackEvery,
      ackMs,
    };
    const { sessionId: clientId } = this.agent.sessionState.origin;
    return this.wire.notice('hello', { clientId, heartbeatMs: this.host.heartbeatMs, session });
  }

  loseSocket(code: number, reason: string): boolean {
    if (!this.outlives(code)) return false;
    this.closeSocket(code, reason);
    return true;
  }

  skipFrame(): void {
    this.inbound.skip();
  }

  awaitReceipt(receipt: Receipt): void {
    this.queue.awaitReceipt(receipt);
  }

  onEnd(code: number, reason: string): void {
    this.host.onEnd(this, code === EXPIRED ? undefined : code, reason);
  }

  // What its gate asks.

  /** How long the session is kept without a connection, in milliseconds. */
  get keepMs(): number {
    const { keepMs, keepGuestMs } = this.host.options;
    return this.agent.sessionState.userId === '' ? keepGuestMs : keepMs;
  }

  /**
   * Goes on with another socket, from behind the last frame that the client has. A socket that is still there is closed with 4004.
   * `queue.allows(seen)` is true. `generation`: that of the ticket that was shown.
   */
  attach(socket: SessionSocket, seen: number, generation: number, now: number): { awayMs: number; lost: number } {
    const { agent, queue } = this;
    // A client that was asked to move may reach the gate that it is on.
    const { code, reason } = this.isMoving ? CLOSE.moved : CLOSE.takenOver;
    this.closeSocket(code, reason);
    this.movingUntil = 0;
    const awayMs = Math.max(0, Math.round(now - this.lostAt));
    this.confirmed = generation;
    this.generation = Math.max(this.generation, this.offered) + 1;
    this.socket = socket;
    this.lostAt = 0;
    this.network = socket.connection.network;
    this.ip = socket.connection.ip;
    this.marked = 0;
    const from = Math.max(seen + 1, queue.floor);
    const resumed: ResumedNotice = {
      clientId: agent.sessionState.origin.sessionId,
      ticket: this.host.ticketFor(this),
      from,
      heard: this.inbound.ack(agent.recvNum),
      awayMs,
    };
    queue.attach(socket.connection, seen, this.wire.notice('resumed', resumed));
    // Streams wait for what has been written now.
    agent.onDrain();
    return { awayMs, lost: from - seen - 1 };
  }

  /** Frames of the client that were accepted. */
  get heard(): number {
    return this.inbound.accepted(this.agent.recvNum);
  }

  /** The tickets that are valid. */
  get tickets(): TicketState {
    const { confirmed, key } = this;
    return { generation: Math.max(this.generation, this.offered), confirmed, key };
  }

  /** The session comes from another gate, where it lost its connection `awayMs` ago. It has an agent, and no socket yet. */
  adopt({ generation, confirmed, key, heard, awayMs, lostCode }: SessionTransfer): void {
    this.isEstablished = true;
    this.generation = generation;
    this.confirmed = confirmed;
    this.key = Buffer.from(key, 'base64');
    this.inbound.startAt(heard);
    this.lostAt = performance.now() - awayMs;
    this.lostCode = lostCode;
  }

  /** Asks the client to go on on another gate. */
  askToMove(withinMs: number): void {
    this.movingUntil = performance.now() + withinMs + MOVE_GRACE_MS;
    this.queue.sendNow(this.wire.notice('move', { withinMs }));
  }

  /** Another gate goes on with the session: the socket ends, and nothing that it reports is heard. */
  fence(code: number, reason: string): void {
    this.closeSocket(code, reason);
    this.isHandedOver = true;
  }

  /** The other gate does not have the session after all. A client that was there has a ticket of the next generation. */
  takeBack(): void {
    this.isHandedOver = false;
    this.offered = this.generation + 1;
  }

  /** Without a connection for too long. */
  expire(): void {
    this.agent.onClose(EXPIRED, 'expired');
  }

  /** Acknowledges what the gate has accepted. True when more may follow without another frame of the client. */
  acknowledge(): boolean {
    if (this.agent.isClosed) return false;
    const ack = this.socket && this.takeAck();
    if (ack) this.queue.sendNow(ack);
    return this.socket !== undefined && this.agent.isPaused;
  }

  /** Sees to it that what has been accepted is acknowledged in time. */
  noteAccepted(): void {
    const { host } = this;
    // Behind the close frame nothing may be written.
    if (this.agent.isClosed) return;
    if (this.isAckDue) host.acknowledgeSoon(this);
    else if (!this.isListed) host.acknowledgeLater(this);
  }

  takeAck(): Uint8Array | undefined {
    const { inbound, agent } = this;
    if (inbound.unacked(agent.recvNum) === 0) return undefined;
    return this.wire.count('ack', inbound.ack(agent.recvNum));
  }

  // What the socket reports.

  onFrame(data: Buffer): void {
    const { agent, wire } = this;
    const frame = wire.readSessionFrame(data);
    if (frame) {
      this.takeOwn(frame);
      return;
    }
    agent.onFrame(data);
    this.noteAccepted();
  }

  onDrain(): void {
    this.agent.onDrain();
  }

  onProbe(answer: Buffer): void {
    this.agent.onProbe(answer);
  }

  onViolation(code: number, reason: string): void {
    this.agent.onViolation(code, reason);
  }

  onBroken(code: number, reason: string): void {
    if (this.outlives(code)) this.detach(code, reason);
    else this.agent.onBroken(code, reason);
  }

  /** The client sends nothing more on this socket: it has lost it, or will have another one. */
  onHalfClose(): void {
    if (!this.loseSocket(CLOSE.goingAway.code, CLOSE.goingAway.reason)) this.agent.onHalfClose();
  }

  onClose(code: number, reason: string): void {
    if (this.outlives(code)) this.detach(code, reason);
    else this.agent.onClose(code, reason);
  }

  onDefect(error: unknown, where: string): void {
    this.agent.onDefect(error, where);
  }

  private takeOwn(frame: ClientSessionFrame): void {
    const { agent } = this;
    if (frame.kind === 'bye') {
      agent.close(CLOSE.normal.code, 'bye');
    } else if (frame.kind !== 'ack') {
      agent.close(CLOSE.policy.code, `${frame.kind} is only a first frame`);
    } else if (!this.queue.ack(frame.count)) {
      agent.close(CLOSE.policy.code, 'an acknowledgement that cannot be');
    } else {
      // It has the ticket of this connection.
      this.confirmed = this.generation;
    }
  }

  /** Whether `ackEvery` frames wait to be acknowledged. */
  get isAckDue(): boolean {
    return this.inbound.unacked(this.agent.recvNum) >= this.host.options.ackEvery;
  }

  /** Whether the session goes on when its socket has ended with this code. */
  private outlives(code: number): boolean {
    return this.isEstablished && !this.host.isStopping && !this.agent.isClosed && keepsSession(code);
  }

  private closeSocket(code: number, reason: string): void {
    const { socket } = this;
    const { isPaused } = this.agent;
    this.detach(code, reason);
    // The closing handshake needs a socket that flows.
    if (isPaused) socket?.connection.resume();
    socket?.connection.close(code, reason);
  }

  private detach(code: number, reason: string): void {
    const { socket } = this;
    if (!socket) return;
    socket.release();
    this.socket = undefined;
    this.lostAt = performance.now();
    this.lostCode = code;
    this.queue.detach();
    this.agent.dropHeld();
    this.host.onDetach(this, code, reason);
  }
}

/** The code with which a session ends that was without a connection for too long: there is no close frame. */
const EXPIRED = 1006;
/** Clients begin to move within the time that they were told; so much longer their second connection may take, in milliseconds. */
const MOVE_GRACE_MS = 1_000;
