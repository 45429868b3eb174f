import { Injectable } from '@nestjs/common';

/** What a gate counts. Each has a label, such as an error code or a close code. */
export type GateCounter =
  /** Upgrades refused, by HTTP status. */
  | 'handshakes_refused'
  /** Connections ended by the gate, by close code. */
  | 'connections_closed'
  /** Frames answered with an error, by code. */
  | 'frames_refused'
  /** Packs not sent to their client, by reason. */
  | 'packs_dropped'
  /** Calls of the storage that failed, by code. */
  | 'storage_failures'
  /** Clients whose coming or going no worker has heard of, though one listens: `connect`, `disconnect`. */
  | 'events_lost'
  /** Answers of workers for which nobody waited any more, by reason. */
  | 'answers_dropped';

/** Counts, by name and label, what a gate refuses and drops. */
@Injectable()
export class GateCounters {
  /** Frames that clients have sent, whatever became of them. */
  framesReceived = 0;
  /** Packs taken to be sent to clients. Those that never were are in `packs_dropped`. */
  packsQueued = 0;
  private readonly counts = new Map<string, Map<string, number>>();

  add(counter: GateCounter, label: string | number, by = 1): void {
    const key = String(label);
    let labels = this.counts.get(counter);
    if (!labels) this.counts.set(counter, (labels = new Map()));
    labels.set(key, (labels.get(key) ?? 0) + by);
  }

  get(counter: GateCounter, label: string | number): number {
    return this.counts.get(counter)?.get(String(label)) ?? 0;
  }

  /** All counts now, as `{counter: {label: count}}`. */
  snapshot(): Record<string, Record<string, number>> {
    return Object.fromEntries([...this.counts].map(([counter, labels]) => [counter, Object.fromEntries(labels)]));
  }
}
