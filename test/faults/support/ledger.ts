import { belongsTo, isIntact, makePayload, type Payload, type StreamName } from './payload.js';

/** The outcome of a message that was taken; every other outcome is the code of an error. */
export const ACCEPTED = 'accepted';

/** What a sender knows of one message. */
export interface Intent {
  readonly seq: number;
  /** When it was sent, in milliseconds of `Date.now()`. */
  readonly at: number;
  /** {@link ACCEPTED} or an error's code; `undefined` while nothing has come back. */
  outcome: string | undefined;
  settledAt: number;
}

/** What became of a stream. `accepted = received + lost`, and what of `lost` nobody has counted is silent. */
export interface StreamReport {
  readonly sent: number;
  readonly accepted: number;
  readonly received: number;
  readonly lost: number;
  readonly dup: number;
  readonly reorder: number;
  readonly foreign: number;
  readonly silent: number;
  /** Messages that ended with an error, by code. */
  readonly errors: Readonly<Record<string, number>>;
}

/** The sender's side of a stream: what it meant to send, and what became of it. */
export class SenderLog {
  readonly intents: Intent[] = [];

  constructor(readonly stream: StreamName) {}

  /** Notes that the next message is about to be sent, and makes it. */
  intend(): Payload {
    const seq = this.intents.length + 1;
    this.intents.push({ seq, at: Date.now(), outcome: undefined, settledAt: 0 });
    return makePayload(this.stream, seq);
  }

  get(seq: number): Intent | undefined {
    return this.intents[seq - 1];
  }

  /** Notes an outcome; false when the message had one already. */
  settle(seq: number, outcome: string): boolean {
    const intent = this.get(seq);
    if (!intent || intent.outcome !== undefined) return false;
    intent.outcome = outcome;
    intent.settledAt = Date.now();
    return true;
  }

  /** Messages without an outcome. */
  get open(): Intent[] {
    return this.intents.filter(intent => intent.outcome === undefined);
  }

  /** Messages that ended with an error. */
  get failed(): Intent[] {
    return this.intents.filter(({ outcome }) => outcome !== undefined && outcome !== ACCEPTED);
  }

  get errors(): Record<string, number> {
    const errors: Record<string, number> = {};
    for (const { outcome } of this.failed) errors[outcome as string] = (errors[outcome as string] ?? 0) + 1;
    return errors;
  }
}

/** A receiver's side of a stream: what has arrived, in which order. */
export class Arrivals {
  readonly seqs = new Set<number>();
  dup = 0;
  reorder = 0;
  foreign = 0;
  /** The highest number that has arrived. */
  highest = 0;

  constructor(private readonly log: SenderLog) {}

  /** Notes an arrival; `undefined` for what is no whole message of this stream. */
  note(value: unknown): number | undefined {
    if (!isIntact(value) || !belongsTo(value, this.log.stream) || !this.log.get(value.seq)) {
      this.foreign++;
      return undefined;
    }
    const { seq } = value;
    if (this.seqs.has(seq)) {
      this.dup++;
    } else {
      this.seqs.add(seq);
      if (seq < this.highest) this.reorder++;
      this.highest = Math.max(this.highest, seq);
    }
    return seq;
  }
}

/** A stream of pushes: one sender, and each of its receivers on its own. */
export class PushLedger {
  readonly log: SenderLog;
  private readonly receivers = new Map<string, Arrivals>();

  constructor(run: string, session: string) {
    this.log = new SenderLog({ run, session, dir: 'push' });
  }

  /** The log of a receiver; it owes everything that is accepted. */
  receiver(name: string): Arrivals {
    let arrivals = this.receivers.get(name);
    if (!arrivals) this.receivers.set(name, (arrivals = new Arrivals(this.log)));
    return arrivals;
  }

  get receiverCount(): number {
    return this.receivers.size;
  }

  /** A receiver that is no more: nothing is asked of it. */
  forget(name: string): void {
    this.receivers.delete(name);
  }

  report(name: string, countedDrops = 0): StreamReport {
    const { seqs, dup, reorder, foreign } = this.receiver(name);
    const accepted = this.log.intents.filter(intent => intent.outcome === ACCEPTED);
    const lost = accepted.filter(({ seq }) => !seqs.has(seq)).length;
    return {
      sent: this.log.intents.length,
      accepted: accepted.length,
      received: accepted.length - lost,
      lost,
      dup,
      reorder,
      foreign,
      silent: lost - countedDrops,
      errors: this.log.errors,
    };
  }

  /** The reports of all receivers as one. */
  total(): StreamReport {
    return sumReports([...this.receivers.keys()].map(name => this.report(name)));
  }
}

/** The reports of several streams as one. */
export function sumReports(reports: readonly StreamReport[]): StreamReport {
  const total = {
    sent: 0,
    accepted: 0,
    received: 0,
    lost: 0,
    dup: 0,
    reorder: 0,
    foreign: 0,
    silent: 0,
    errors: {} as Record<string, number>,
  };
  for (const { errors, ...counts } of reports) {
    for (const [key, count] of Object.entries(counts)) total[key as keyof typeof counts] += count;
    for (const [code, count] of Object.entries(errors)) total.errors[code] = (total.errors[code] ?? 0) + count;
  }
  return total;
}
