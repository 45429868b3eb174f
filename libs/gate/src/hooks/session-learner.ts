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

/**
 * Told of clients that come and go. Replace it with a provider of your own:
 * `GateModule.forRoot({…, providers: [{ provide: SessionLearner, useClass: MyLearner }] })`.
 */
export abstract class SessionLearner {
  /**
   * A client has connected and its handshake has passed. Awaited before its first frame is handled; a client whose
   * `onConnect` rejects, or is not done within `overTime`, is closed with 1011.
   */
  abstract onConnect(session: Session): void | Promise<void>;

  /** A client is gone. The session still tells its uid and settings as they were. */
  abstract onDisconnect(session: Session, reason: DisconnectReason): void | Promise<void>;
}

/** The default: learns nothing. */
@Injectable()
export class SilentSessionLearner extends SessionLearner {
  override onConnect(): void {}
  override onDisconnect(): void {}
}
