import {
  type Caller,
  type ClientId,
  clientIdPrefix,
  Fifo,
  formatClientId,
  type Peer,
  type SessionContract,
  type SessionSnapshot,
} from '@nestgate/link';
import { parseTraceParent, type TraceSpan } from '@nestgate/protocol';
import { Session, type SessionHome } from '../session/session.js';
import type { TurnTaker } from './fair-turns.js';

/** One client as a worker sees it: its session's last known state, and its frames, which are handled one by one. */
export class ClientLane<Task = unknown> implements SessionHome, TurnTaker {
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
   * Takes over what the gate sent along. An older state never replaces a newer one.
   * @throws when it is the session of another client.
   */
  learn(snapshot: SessionSnapshot): void {
    if (snapshot.sessionId !== this.clientId) throw new Error('The gate sent the session of another client');
    if (!this.snapshot || snapshot.version > this.snapshot.version) this.snapshot = snapshot;
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
