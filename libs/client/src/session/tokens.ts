import type { Environment, Timer } from '../connection/environment.js';

/** A token with the time at which it expires, in milliseconds since 1970. */
export interface ExpiringToken {
  readonly token: string;
  readonly expiresAt?: number | undefined;
}

/** Why `token` is called. */
export type TokenReason = 'connect' | 'expired' | 'refused' | 'renew';

/** The result of `token`. Nothing means that there is no user, which ends the client. */
export type TokenResult = string | ExpiringToken | null | undefined;

/** The option `token`. */
export type TokenCallback = (reason: TokenReason) => TokenResult | Promise<TokenResult>;

/** A token is renewed at most this long before it expires. */
const RENEW_BEFORE_MS = 60_000;
/** The pause after a renewal that failed. */
const RENEW_AGAIN_MS = 10_000;
/** Longer timers fire at once. A token that is valid for months is renewed a little more often. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Holds the token of the client, and renews it before it expires. */
export interface Tokens {
  /** The token for the next attempt; `undefined` when the callback has none. */
  get(): Promise<string | undefined>;
  /** The next attempt asks for a new token. */
  drop(reason: TokenReason): void;
  /** Renews the token of the connection before it expires, until `stop` is called. */
  start(): void;
  stop(): void;
}

/** How a token is renewed on an open connection. */
export interface TokenRenewal {
  /** Sends a token to the gate. Resolves with its expiry, if the gate returns one. */
  readonly renew: (token: string) => Promise<unknown>;
  /** A renewal failed. It is tried again. */
  readonly fail: (error: unknown) => void;
  /** The callback has no token any more. */
  readonly none: () => void;
}

/** Calls `ask` as rarely as possible. */
export function createTokens(
  environment: Environment,
  ask: TokenCallback,
  { renew, fail, none }: TokenRenewal,
): Tokens {
  let held: ExpiringToken | undefined;
  let reason: TokenReason = 'connect';
  let timer: Timer;
  /** Changes when renewing stops; a renewal that is in flight compares. */
  let run = 0;

  const leftMs = (): number => (held?.expiresAt ?? Infinity) - environment.wallNow();
  const drop = (why: TokenReason): void => {
    held = undefined;
    reason = why;
  };
  const fetch = async (why: TokenReason): Promise<string | undefined> => {
    const result = await ask(why);
    held = (typeof result === 'string' ? { token: result, expiresAt: expiryOf(result) } : result) ?? undefined;
    reason = 'connect';
    return held?.token;
  };
  const schedule = (isAgain?: boolean): void => {
    environment.clearTimeout(timer);
    const left = leftMs();
    if (left === Infinity) return;
    // With a wrong clock, a fresh token may look expired.
    const ms = isAgain || left <= 0 ? RENEW_AGAIN_MS : left - Math.min(RENEW_BEFORE_MS, left / 5);
    timer = environment.setTimeout(() => void next(), Math.min(ms, LONGEST_TIMER_MS));
  };
  const next = async (): Promise<void> => {
    const current = run;
    let isAgain = false;
    try {
      const token = await fetch('renew');
      if (current !== run) return;
      if (!token) {
        none();
        return;
      }
      const expiresAt = await renew(token);
      if (typeof expiresAt === 'number') held = { token, expiresAt };
    } catch (error) {
      isAgain = true;
      if (current === run) fail(error);
    }
    if (current === run) schedule(isAgain);
  };
  return {
    async get() {
      if (leftMs() <= 0) drop('expired');
      return held?.token ?? fetch(reason);
    },
    drop,
    start: schedule,
    stop() {
      run++;
      environment.clearTimeout(timer);
    },
  };
}

/** The expiry of a JSON Web Token; `undefined` for other tokens. */
function expiryOf(token: string): number | undefined {
  try {
    const { atob } = globalThis as unknown as { atob: (text: string) => string };
    const { exp } = JSON.parse(atob((token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/'))) as {
      exp: unknown;
    };
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
