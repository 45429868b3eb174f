import type { Environment, Timer } from '../connection/environment.js';

/** The part of a session that is kept across a reload of the page. */
export interface SavedSession {
  readonly session: string;
  readonly ticket: string;
  /** Frames received, and sent. */
  readonly seen: number;
  readonly sent: number;
  /** The last id of a request. */
  readonly lastId: number;
  readonly keepMs: number;
}

/** Counts of frames are integers below 2^53. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * A resumable session, which counts the frames that the client has received. Frames carry no numbers: client and gate count all frames but
 * `$gate/` frames. The count is all that a resume needs.
 */
export interface Session {
  readonly id: string;
  readonly ticket: string;
  readonly keepMs: number;
  /** Frames received, those before a resume included. */
  readonly seen: number;
  /** The session continues on a new connection with the frame number `from`. */
  resumed(ticket: string, from: number): void;
  /** Counts a frame. Returns false when an earlier connection has delivered it. */
  count(): boolean;
  /** These frames are lost. */
  gap(from: unknown, n: unknown): void;
  /** The difference between the counts: negative when the client has received fewer frames than the gate has sent. */
  excess(sent: number): number;
  /** The connection was lost: stops the timer of the acknowledgement. */
  pause(): void;
}

/**
 * Creates the session that a hello offers. Returns `undefined` when its terms are missing or invalid. `onLost` is called with the number of
 * frames that a resume has skipped without a gap frame.
 */
export function createSession(
  environment: Environment,
  id: string,
  terms: Readonly<Record<string, unknown>>,
  sendAck: (seen: number) => void,
  onLost: (n: number) => void,
): Session | undefined {
  const { keepMs = 0, ackEvery = 64, ackMs = 1_000, seen: seenBefore = 0 } = terms;
  if (typeof terms['ticket'] !== 'string' || !isCount(seenBefore)) return undefined;
  if (!isCount(keepMs) || !isCount(ackEvery) || !isCount(ackMs)) return undefined;
  let ticket: string = terms['ticket'];
  let seen: number = seenBefore;
  /** Frames that a resume repeats although an earlier connection has delivered them. */
  let repeated = 0;
  let skipped = 0;
  let acked = seen;
  let timer: Timer;

  const pause = (): void => {
    environment.clearTimeout(timer);
    timer = undefined;
  };
  const acknowledge = (): void => {
    pause();
    acked = seen;
    sendAck(seen);
  };
  return {
    id,
    keepMs,
    get ticket() {
      return ticket;
    },
    get seen() {
      return seen;
    },
    resumed(newTicket, from) {
      ticket = newTicket;
      repeated = Math.max(seen + 1 - from, 0);
      skipped = Math.max(from - 1 - seen, 0);
      // The first acknowledgement on the new connection ends the old ticket.
      acknowledge();
    },
    count() {
      if (skipped > 0) {
        const n = skipped;
        seen += n;
        skipped = 0;
        onLost(n);
      }
      if (repeated > 0) {
        repeated--;
        return false;
      }
      seen++;
      if (seen - acked >= ackEvery) acknowledge();
      else timer ??= environment.setTimeout(acknowledge, ackMs);
      return true;
    },
    gap(from, n) {
      seen = isCount(from) && isCount(n) ? Math.max(seen, from + n - 1) : seen + skipped;
      skipped = 0;
    },
    excess: sent => seen - repeated - sent,
    pause,
  };
}
