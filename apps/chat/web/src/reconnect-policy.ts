const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const OVERLOADED_DELAY_MS = 4_000;

const POLICY_VIOLATION = 1008;
const OVERLOADED = 1013;
const REPLACED = 4001;
const CLOSED_BY_APP = 4002;

/**
 * Coming back unasked after one of these would start a fight: with the newer login that took our place,
 * or with a server that has just told this page to go away.
 */
const FINAL_CODES = new Set([POLICY_VIOLATION, REPLACED, CLOSED_BY_APP]);

export function mayReconnect(code: number): boolean {
  return !FINAL_CODES.has(code);
}

/**
 * Exponential, capped, and half of it random: when a gate restarts, all its clients lose their connection
 * in the same instant, and without the jitter they would also all come back in the same instant.
 */
export function retryDelay(attempt: number, code = 0): number {
  const exponential = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
  const floor = code === OVERLOADED ? OVERLOADED_DELAY_MS : 0;
  return floor + exponential / 2 + (Math.random() * exponential) / 2;
}

/** One sentence for a person who is looking at a page that has stopped. */
export function explainClose(code: number, reason: string): string {
  const why = reason === '' ? '' : ` (${reason})`;
  switch (code) {
    case REPLACED:
      return 'You signed in under this name somewhere else, so this page was disconnected.';
    case CLOSED_BY_APP:
      return `The application closed this connection${why}.`;
    case POLICY_VIOLATION:
      return `The server refused to keep this connection open${why}.`;
    default:
      return `The connection was closed${why}.`;
  }
}
