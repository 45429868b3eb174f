import { type ClientId, parseClientId, type SessionSnapshot } from '@nestgate/link';
import {
  type Caller,
  clientIdPrefix,
  Fifo,
  formatClientId,
  type Peer,
  type SessionContract,
} from '@nestgate/link/internal';
import { parseTraceParent, type TraceSpan } from '@nestgate/protocol';
import { Session, type SessionHome } from '../../session/session.js';
import type { TurnConsumer } from './fair-turns.js';

/** Work that can be told that nobody waits for it any more. */
export interface Abortable {
  abort(reason: unknown): void;
}

/** One client on a worker: the copy of its session, and its frames, which are handled one at a time. */
export class ClientLane<Task = unknown> implements SessionHome, TurnConsumer {
  userData: unknown;
  /** The frame whose handler runs now. */
  running: Task | undefined;
  /** True while its next frame is being started. */
  starting = false;
  isQueued = false;
  /** Frames that are handled one by one; `undefined` when there are none, as in most lanes. */
  private waiting: Fifo<Task> | undefined;
  /** Frames of concurrent handlers that may not be started yet; `undefined` when there are none. */
  private concurrent: Fifo<Task> | undefined;
  private snapshot: SessionSnapshot | undefined;
  private span: TraceSpan | undefined;
  private id: ClientId | undefined;
  /** Frames whose handler has asked for a signal; `undefined` when there are none, as in most lanes. */
  signals: Set<Abortable> | undefined = undefined;

  constructor(
    readonly peer: Peer,
    readonly serial: number,
    private readonly gate: Caller<SessionContract>,
  ) {}

  get clientId(): ClientId {
    const { id, epoch } = this.peer.info;
    return (this.id ??= formatClientId(clientIdPrefix(id, epoch), this.serial));
  }

  /**
   * Applies the session that the gate has sent. An older state never replaces a newer one.
   * @throws when it is the session of another client.
   */
  learn(snapshot: SessionSnapshot): void {
    if (snapshot.sessionId !== this.clientId && !this.hasMovedHere(snapshot.sessionId)) {
      throw new Error('The gate sent the session of another client');
    }
    if (!this.snapshot || snapshot.version > this.snapshot.version) this.snapshot = snapshot;
  }

  /**
   * Whether this may be the client: its session has come to this gate from another one, where it was born, or where it has been. It has
   * that id from then on.
   */
  private hasMovedHere(sessionId: ClientId): boolean {
    const born = this.snapshot ? undefined : parseClientId(sessionId);
    // One that comes home has an earlier serial.
    if (!born || (sessionId.startsWith(this.peer.clientPrefix) && born.serial >= this.serial)) return false;
    this.id = sessionId;
    return true;
  }

  /** The trace of the connection. */
  get traceSpan(): TraceSpan | undefined {
    return (this.span ??= parseTraceParent(this.snapshot?.traceParent));
  }

  /** A copy of the session for one frame. */
  createSession(): Session {
    if (!this.snapshot) throw new Error('The gate sent a frame before its session');
    return new Session(this.snapshot, this.gate, this);
  }

  /** True when a frame may be handled at once. */
  get isFree(): boolean {
    return !this.starting && this.running === undefined && this.waiting === undefined;
  }

  /** True when a frame waits that need not wait for the one before. */
  get canStart(): boolean {
    return this.concurrent !== undefined || (this.waiting !== undefined && !this.running && !this.starting);
  }

  /** Frames that wait: for the one before, or for their turn. */
  get waitingCount(): number {
    return (this.waiting?.length ?? 0) + (this.concurrent?.length ?? 0);
  }

  /** Has a frame aborted when the client is gone. */
  watch(frame: Abortable): void {
    (this.signals ??= new Set()).add(frame);
  }

  /** Aborts all frames that have asked for a signal. */
  abort(reason: unknown): void {
    for (const frame of this.signals ?? []) frame.abort(reason);
  }

  wait(task: Task, isConcurrent: boolean): void {
    if (isConcurrent) (this.concurrent ??= new Fifo()).push(task);
    else (this.waiting ??= new Fifo()).push(task);
  }

  /** Takes the next frame of those that are handled one by one. */
  next(): Task | undefined {
    const task = this.waiting?.shift();
    if (this.waiting?.length === 0) this.waiting = undefined;
    return task;
  }

  /** Takes the next frame of a concurrent handler. */
  nextConcurrent(): Task | undefined {
    const task = this.concurrent?.shift();
    if (this.concurrent?.length === 0) this.concurrent = undefined;
    return task;
  }
}
