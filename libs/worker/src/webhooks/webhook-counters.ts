import { Injectable } from '@nestjs/common';

/** What the webhooks of an app have done since the start. */
export interface WebhookFigures {
  /** Requests that are not answered. */
  readonly inFlight: number;
  /** Events of clients that are gone, which wait to be sent. */
  readonly queued: number;
  /** Endpoints that do not answer, and get no requests but one now and then. */
  readonly down: number;
  /** Events that were answered, by event. */
  readonly delivered: Readonly<Record<string, number>>;
  /** Attempts that have failed, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** Events that were given up, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Counts what webhooks do. */
@Injectable()
export class WebhookMetrics {
  /** @internal */
  inFlight = 0;
  /** @internal */
  queued = 0;
  /** @internal */
  down = 0;
  /** @internal */
  readonly delivered = new Map<string, number>();
  /** @internal */
  readonly failed = new Map<string, number>();
  /** @internal */
  readonly dropped = new Map<string, number>();

  /** The figures as they are now. */
  snapshot(): WebhookFigures {
    const { inFlight, queued, down, delivered, failed, dropped } = this;
    return {
      inFlight,
      queued,
      down,
      delivered: Object.fromEntries(delivered),
      failed: Object.fromEntries(failed),
      dropped: Object.fromEntries(dropped),
    };
  }
}

/** Counts one more of a kind. */
export function countOne(counts: Map<string, number>, kind: string, more = 1): void {
  counts.set(kind, (counts.get(kind) ?? 0) + more);
}
