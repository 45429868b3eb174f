import { readFileSync } from 'node:fs';
import type { LedgerClient } from './ledger-client.js';

/**
 * How much later than one end of a link the other one may learn that it is broken, in milliseconds: until then a worker begins what has
 * reached it, although the gate has already answered `WORKER_LOST`.
 */
export const NEWS_MS = 250;

/** One time that a handler has begun. */
export interface Effect {
  /** The worker that ran it. */
  readonly worker: string;
  /** When, in milliseconds of `Date.now()`. */
  readonly at: number;
}

/** What handlers have done: for each request of each client, every time that its handler has begun. */
export class Effects {
  private readonly byRequest = new Map<string, Effect[]>();

  /** Reads the logs of workers. */
  static read(files: ReadonlyMap<string, string>): Effects {
    const effects = new Effects();
    for (const [worker, file] of files) {
      // The last line of a process that was killed may be half a line; nobody depends on that one.
      for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
        const [session, seq, at] = JSON.parse(line) as [string, number, number];
        effects.add(session, seq, { worker, at });
      }
    }
    return effects;
  }

  private constructor() {}

  /** The effects of one request. */
  of(client: LedgerClient, seq: number): readonly Effect[] {
    return this.byRequest.get(`${client.name}/${seq}`) ?? [];
  }

  /** Requests whose handler has begun more than once. */
  get repeated(): string[] {
    return [...this.byRequest].filter(([, list]) => list.length > 1).map(([key]) => key);
  }

  /**
   * Requests of these clients whose handler began after the client had been told that they failed; with `WORKER_LOST`, later than
   * `newsMs` after it.
   */
  expired(clients: readonly LedgerClient[], newsMs = 0): string[] {
    return clients.flatMap(client =>
      client.requests.log.failed
        .filter(({ seq, settledAt, outcome }) => {
          const last = settledAt + (outcome === 'WORKER_LOST' ? newsMs : 0);
          return this.of(client, seq).some(({ at }) => at > last);
        })
        .map(({ seq, outcome }) => `${client.name}/${seq} (${outcome})`),
    );
  }

  /** The worker that has begun a client's last request before a moment. */
  workerOf(client: LedgerClient, before: number): string | undefined {
    for (let seq = client.requests.log.intents.length; seq > 0; seq--) {
      const effect = this.of(client, seq).find(({ at }) => at <= before);
      if (effect) return effect.worker;
    }
    return undefined;
  }

  private add(session: string, seq: number, effect: Effect): void {
    const key = `${session}/${seq}`;
    const list = this.byRequest.get(key);
    if (list) list.push(effect);
    else this.byRequest.set(key, [effect]);
  }
}
