import type { ReceivedFrame } from '@nestgate/testing';
import { ACCEPTED, Arrivals, SenderLog, type StreamReport } from './ledger.js';

/** How much later than its deadline the outcome of a request may come, in milliseconds. */
export const OUTCOME_GRACE_MS = 250;

/**
 * A stream of requests whose ids are their numbers. Each is owed exactly one outcome: its own payload as the reply, or a
 * coded error. A reply is outcome and arrival in one.
 */
export class RequestLedger {
  readonly log: SenderLog;
  private readonly arrivals: Arrivals;
  private extra = 0;
  private strange = 0;

  constructor(run: string, session: string) {
    this.log = new SenderLog({ run, session, dir: 'ask' });
    this.arrivals = new Arrivals(this.log);
  }

  /** Takes an answer of the gate. */
  answer({ id = 0, body, error }: ReceivedFrame): void {
    const intent = this.log.get(id);
    if (!intent) {
      this.strange++;
    } else if (intent.outcome !== undefined) {
      this.extra++;
    } else if (error) {
      this.log.settle(id, error.code);
    } else {
      const seq = this.arrivals.note(body);
      // A reply with the payload of another request of the same client.
      if (seq !== undefined && seq !== id) this.strange++;
      this.log.settle(id, ACCEPTED);
    }
  }

  /** The connection is over: what has no outcome yet has this one. */
  abandon(code: string): void {
    for (const { seq } of this.log.open) this.log.settle(seq, code);
  }

  /** Requests that were replied to. */
  get replied(): number {
    return this.arrivals.seqs.size;
  }

  /** How many requests ended, or are open, later than a deadline of so many milliseconds allows. */
  lateAfter(deadlineMs: number, now = Date.now()): number {
    const allowed = deadlineMs + OUTCOME_GRACE_MS;
    return this.log.intents.filter(({ at, outcome, settledAt }) => (outcome ? settledAt : now) - at > allowed).length;
  }

  /** What has not ended with an error was accepted, and is owed a reply. */
  report(countedDrops = 0): StreamReport {
    const { errors, failed, intents } = this.log;
    const accepted = intents.length - failed.length;
    const lost = accepted - this.replied;
    return {
      sent: intents.length,
      accepted,
      received: this.replied,
      lost,
      dup: this.extra + this.arrivals.dup,
      reorder: this.arrivals.reorder,
      foreign: this.strange + this.arrivals.foreign,
      silent: lost - countedDrops,
      errors,
    };
  }
}
