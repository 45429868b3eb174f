import { Injectable } from '@nestjs/common';
import type { Session } from '@nestgate/worker';

/** Why and how a connection ended. */
export interface DisconnectReason {
  /** The close code. */
  readonly code: number;
  readonly reason: string;
  /** The groups the client was in. */
  readonly groups: readonly string[];
}

/** How a session that is kept has lost its connection. */
export interface DetachReason {
  /** The close code; 1006 when the connection broke. */
  readonly code: number;
  readonly reason: string;
}

/** How a session goes on with another connection. */
export interface ResumeInfo {
  /** How long it had none, in milliseconds. */
  readonly awayMs: number;
  /** How many messages its client has missed. */
  readonly lost: number;
}

/**
 * Hooks for connect and disconnect of clients. Replace it with your own provider:
 * `GateModule.forRoot({…, providers: [{ provide: SessionLearner, useClass: MyLearner }] })`.
 */
export abstract class SessionLearner {
  /**
   * A client has connected and its handshake has passed. Awaited before its first frame is handled; a client whose
   * `onConnect` rejects, or is not done within `overTime`, is closed with 1011.
   */
  abstract onConnect(session: Session): void | Promise<void>;

  /** A client has disconnected. The session has its last uid and settings. */
  abstract onDisconnect(session: Session, reason: DisconnectReason): void | Promise<void>;

  /** A client has lost its connection, and its session is kept (option `resume`). */
  onDetach(_session: Session, _reason: DetachReason): void | Promise<void> {}

  /** The session goes on with another connection of its client. */
  onResume(_session: Session, _info: ResumeInfo): void | Promise<void> {}
}

/** The default: does nothing. */
@Injectable()
export class SilentSessionLearner extends SessionLearner {
  override onConnect(): void {}
  override onDisconnect(): void {}
}

/** Whether a hook is the default one, so that no call is needed. */
export function isSilentSessionHook(learner: SessionLearner, hook: 'onConnect' | 'onDisconnect'): boolean {
  return learner[hook] === SilentSessionLearner.prototype[hook];
}
