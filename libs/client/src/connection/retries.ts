import { type Failure, isOverloaded, retryDelay } from './backoff.js';
import type { Environment, Timer } from './environment.js';

/** Schedules the attempts to connect: one timer, which does not run without a network or while the page is frozen. */
export interface Retries {
  /** Attempts since the last connection that was stable. */
  attempt: number;
  /** The page is frozen: nothing is attempted. */
  isFrozen: boolean;
  /** Schedules the attempt after a failure. Returns its time in milliseconds since 1970, or `null` while it is paused. */
  after(failure: Failure): number | null;
  /** Schedules the attempt again, after this delay, but not before an overloaded gate may be asked. */
  within(delayMs: number): number | null;
  /** Forgets earlier attempts and what an overloaded gate has asked for. */
  reset(): void;
  stop(): void;
}

/** `open` begins an attempt. */
export function createRetries(environment: Environment, open: () => void): Retries {
  let timer: Timer;
  /** An overloaded gate is not asked earlier, whatever happens. */
  let notBefore = 0;

  const stop = (): void => environment.clearTimeout(timer);
  const schedule = (delayMs: number): number | null => {
    stop();
    if (retries.isFrozen || !environment.isOnline()) return null;
    timer = environment.setTimeout(open, delayMs);
    return environment.wallNow() + delayMs;
  };
  const retries: Retries = {
    attempt: 0,
    isFrozen: false,
    after(failure) {
      const delayMs = retryDelay(environment, retries.attempt++, failure);
      notBefore = isOverloaded(failure) ? environment.now() + delayMs : 0;
      return schedule(delayMs);
    },
    within: delayMs => schedule(Math.max(delayMs, notBefore - environment.now())),
    reset() {
      retries.attempt = notBefore = 0;
      retries.isFrozen = false;
    },
    stop,
  };
  return retries;
}
