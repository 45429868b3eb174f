import {
  type Caller,
  type ClientId,
  clientIdPrefix,
  formatClientId,
  type Peer,
  type SessionContract,
  type SessionSnapshot,
} from '@nestgate/link';
import { parseTraceParent, type TraceSpan } from '@nestgate/protocol';
import { Session, type SessionHome } from '../session/session.js';

/** One client as a worker sees it: its session's last known state, and its frames, which are handled one by one. */
export class ClientLane<Task = unknown> implements SessionHome {
  userData: unknown;
  /** The frame whose handler runs now. */
  running: Task | undefined;
  /** True while its next frame is being started. */
  starting = false;
  private waiting: Task[] | undefined;
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

  /** Takes over what the gate sent along. An older state never replaces a newer one. */
  learn(snapshot: SessionSnapshot): void {
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

  /** Frames that wait for the one before. */
  get waitingCount(): number {
    return this.waiting?.length ?? 0;
  }

  wait(task: Task): void {
    (this.waiting ??= []).push(task);
  }

  next(): Task | undefined {
    const task = this.waiting?.shift();
    if (this.waiting?.length === 0) this.waiting = undefined;
    return task;
  }
}
