import type { LoginClaim } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';

/** A client on its way to be bound. */
export class Login implements LoginClaim {
  /** Another client has come first, on another gate. */
  isRefused = false;
  /** When it came, as `performance.now()`. */
  readonly since = performance.now();

  constructor(
    readonly agent: ClientAgent,
    readonly userId: string,
    /** When it came, by the clock of the cluster: of two logins all gates agree which one was first. */
    readonly clock: number,
  ) {}

  get clientId(): string {
    return this.agent.sessionState.origin.sessionId;
  }
}

/** Whether one login was there before another: on all gates of the cluster the same. */
export function isBefore(
  one: Pick<LoginClaim, 'clock' | 'clientId'>,
  other: Pick<LoginClaim, 'clock' | 'clientId'>,
): boolean {
  return one.clock < other.clock || (one.clock === other.clock && one.clientId < other.clientId);
}
