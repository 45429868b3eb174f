import type { Environment } from './environment.js';

const FIRST_MS = 500;
const LONGEST_MS = 20_000;
/** The shortest delay after a gate was full, or the client read too slowly. */
const OVERLOADED_MS = 4_000;
/** After a move, another gate expects the session soon. The jitter spreads the clients of one gate. */
const MOVED_MS = 200;
/** A longer `Retry-After` counts as this. */
const LONGEST_RETRY_AFTER_MS = 300_000;
/** Reached by 500 ms · 2^6; a larger exponent changes nothing. */
const LAST_EXPONENT = 6;

/** How an attempt or a connection ended. */
export interface Failure {
  /** The close code; 1006 when there was no close frame. */
  readonly code: number;
  readonly reason: string;
  /** The HTTP status that refused the upgrade. Only Node's `ws` shows it; browsers report 1006. */
  readonly status?: number | undefined;
  /** The header `Retry-After` of that response. */
  readonly retryAfter?: unknown;
}

/**
 * The delay before the next attempt. Exponential with full jitter: when a gate restarts, all its clients lose their connections at the same
 * moment, and must not all reconnect at the same moment.
 */
export function retryDelay(
  environment: Pick<Environment, 'random' | 'wallNow'>,
  attempt: number,
  failure: Failure,
): number {
  const { code, retryAfter } = failure;
  if (code === 4005) return environment.random() * MOVED_MS;
  const window = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, LAST_EXPONENT));
  if (!isOverloaded(failure)) return environment.random() * window;
  const floor = Math.max(
    OVERLOADED_MS,
    Math.min(readRetryAfter(retryAfter, environment.wallNow()), LONGEST_RETRY_AFTER_MS),
  );
  return floor + environment.random() * Math.max(window, OVERLOADED_MS);
}

/** The gate is overloaded: the client must not retry soon. */
export function isOverloaded({ code, status }: Failure): boolean {
  return code === 1013 || status === 503 || status === 429;
}

/** After these codes a client does not reconnect: it would compete with another client, or repeat its mistake. */
const FINAL_CODES: ReadonlySet<number> = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4004]);

/** Whether a close code ends the client. */
export function isFinalCode(code: number): boolean {
  return FINAL_CODES.has(code);
}

/** `Retry-After` in milliseconds: it is a number of seconds, or a date. 0 for anything else. */
function readRetryAfter(value: unknown, wallNow: number): number {
  return Number(value) * 1000 || Date.parse(String(value)) - wallNow || 0;
}
