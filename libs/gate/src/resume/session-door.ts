import { CLOSE } from '@nestgate/protocol';
import type { ClientSessionFrame, SessionWire } from '../codec/session-wire.js';
import type { Connection, ConnectionEvents } from '../connection/connection.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import type { SessionSocket } from './resumable-connection.js';

/** What a door does with the first frame. */
export interface DoorHost {
  /** Makes a client of the socket, whose session is kept or not. Returns who gets what follows. */
  open(door: SessionDoor, isKept: boolean): ConnectionEvents;
  /**
   * Lets the socket go on with a session. Returns who gets what follows; `undefined` when the socket is being closed. A promise, when the
   * session is on another gate.
   */
  resume(door: SessionDoor, body: unknown): ConnectionEvents | undefined | Promise<ConnectionEvents | undefined>;
  /** The socket waits no more for its first frame. */
  leave(door: SessionDoor): void;
  reportDefect(error: unknown, where: string): void;
}

const NO_HANDSHAKE: HandshakeResult = Object.freeze({});

/** How a frame that opens a session has to look. */
interface OpenBody {
  readonly v: 2;
  readonly keep?: boolean;
}

/**
 * One socket of a client that speaks first. It waits for `open` or `resume`, and hands all that follows to the session, or to the agent
 * of a client that does not want its session kept, for as long as that wants this socket.
 */
export class SessionDoor implements ConnectionEvents, SessionSocket {
  private target: ConnectionEvents | undefined;
  private state: 'waiting' | 'asking' | 'open' | 'over' = 'waiting';
  /** Frames that follow `resume`, while another gate is asked. The socket is paused: it is one chunk at most. */
  private held: Buffer[] | undefined;
  private isPlain = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly host: DoorHost,
    readonly connection: Connection,
    readonly wire: SessionWire,
    /** Let go of when the session is open: both hold the whole request. */
    public handshake: HandshakeResult,
    public request: HandshakeRequest | undefined,
    overTime: number,
  ) {
    this.timer = setTimeout(() => this.refuse(CLOSE.policy.code, 'no open or resume in time'), overTime);
  }

  /** Whether the socket has ended, or another one has taken its place. */
  get isOver(): boolean {
    return this.state === 'over';
  }

  get awaitsAnswers(): boolean {
    return this.target?.awaitsAnswers === true;
  }

  release(): void {
    this.target = undefined;
    this.held = undefined;
    this.state = 'over';
    this.forgetHandshake();
  }

  /** Ends a socket that has no session. */
  refuse(code: number, reason: string): void {
    if (this.state === 'over') return;
    this.stopWaiting();
    this.release();
    try {
      this.connection.close(code, reason);
    } catch (error) {
      this.host.reportDefect(error, 'resume.refuse');
      this.connection.destroy();
    }
  }

  onFrame(data: Buffer): void {
    const { target } = this;
    if (this.state === 'waiting') this.begin(data);
    else if (this.state === 'asking') (this.held ??= []).push(data);
    else if (!target) return;
    else if (this.isPlain && isOpening(this.wire.readSessionFrame(data))) {
      target.onViolation(CLOSE.policy.code, 'the session is open already');
    } else target.onFrame(data);
  }

  onDrain(): void {
    this.target?.onDrain();
  }

  onProbe(answer: Buffer): void {
    if (!this.target && this.state !== 'over') this.connection.write(answer);
    else this.target?.onProbe(answer);
  }

  onViolation(code: number, reason: string): void {
    if (this.target) this.target.onViolation(code, reason);
    else this.refuse(code, reason);
  }

  onBroken(code: number, reason: string): void {
    this.stopWaiting();
    this.target?.onBroken(code, reason);
  }

  onHalfClose(): void {
    if (this.target) this.target.onHalfClose();
    else this.refuse(CLOSE.goingAway.code, CLOSE.goingAway.reason);
  }

  onClose(code: number, reason: string): void {
    this.stopWaiting();
    const { target } = this;
    this.release();
    target?.onClose(code, reason);
  }

  onDefect(error: unknown, where: string): void {
    if (this.target) {
      this.target.onDefect(error, where);
      return;
    }
    this.host.reportDefect(error, where);
    this.stopWaiting();
    this.release();
    this.connection.destroy();
  }

  private begin(data: Buffer): void {
    const frame = this.wire.readSessionFrame(data);
    if (!isOpening(frame)) {
      this.refuse(CLOSE.protocolError.code, 'the first frame must be open or resume');
      return;
    }
    this.stopWaiting();
    if (frame.kind === 'resume') {
      const target = this.host.resume(this, frame.body);
      if (this.state === 'over') return;
      if (target instanceof Promise) this.wait(target);
      else this.hand(target);
    } else if (isOpenBody(frame.body)) {
      this.isPlain = frame.body.keep === false;
      this.hand(this.host.open(this, !this.isPlain));
    } else {
      this.refuse(CLOSE.policy.code, 'a malformed open');
    }
  }

  /** Another gate has the session. */
  private wait(target: Promise<ConnectionEvents | undefined>): void {
    this.state = 'asking';
    this.connection.pause();
    target
      .then(found => {
        // Also when it has been refused: the closing handshake needs a socket that flows.
        this.connection.resume();
        if (this.state !== 'asking') return;
        const { held = [] } = this;
        this.held = undefined;
        this.hand(found);
        for (const data of held) this.onFrame(data);
      })
      .catch((error: unknown) => this.onDefect(error, 'resume.ask'));
  }

  private hand(target: ConnectionEvents | undefined): void {
    this.target = target;
    this.state = 'open';
    this.forgetHandshake();
  }

  private forgetHandshake(): void {
    this.handshake = NO_HANDSHAKE;
    this.request = undefined;
  }

  private stopWaiting(): void {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.host.leave(this);
  }
}

function isOpening(
  frame: ClientSessionFrame | undefined,
): frame is Extract<ClientSessionFrame, { kind: 'open' | 'resume' }> {
  return frame?.kind === 'open' || frame?.kind === 'resume';
}

function isOpenBody(body: unknown): body is OpenBody {
  if (typeof body !== 'object' || body === null) return false;
  const { v, keep = true } = body as { readonly v?: unknown; readonly keep?: unknown };
  return v === 2 && typeof keep === 'boolean';
}
