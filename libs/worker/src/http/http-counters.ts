import { Injectable } from '@nestjs/common';

/** Most codes that are counted apart; an application may throw codes of its own. */
const MAX_CODES = 64;

/** What the HTTP API has done since the start. */
export interface HttpFigures {
  /** Requests that are being handled. */
  readonly inFlight: number;
  /** Requests that were handled without an error, batches included. */
  readonly handled: number;
  /** Operations of these requests: those of a batch count each. */
  readonly operations: number;
  /** Refused requests, and failed operations, by code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Answers that were repeated for the same `Idempotency-Key`. */
  readonly replayed: number;
  /** Answers that were forgotten early, because there were too many. */
  readonly forgotten: number;
}

/** Counts what the HTTP API does. */
@Injectable()
export class HttpMetrics {
  /** @internal */
  inFlight = 0;
  /** @internal */
  handled = 0;
  /** @internal */
  operations = 0;
  /** @internal */
  replayed = 0;
  /** @internal */
  forgotten = 0;
  private readonly refused = new Map<string, number>();

  /** @internal */
  refuse(code: string): void {
    const name = this.refused.has(code) || this.refused.size < MAX_CODES ? code : 'custom';
    this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
  }

  /** The figures as they are now. */
  snapshot(): HttpFigures {
    const { inFlight, handled, operations, replayed, forgotten } = this;
    return { inFlight, handled, operations, refused: Object.fromEntries(this.refused), replayed, forgotten };
  }
}
