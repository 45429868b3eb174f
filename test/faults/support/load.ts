import { waitUntil } from '@nestgate/testing';
import { type StreamReport, sumReports } from './ledger.js';
import type { LedgerClient } from './ledger-client.js';

/** How clients load a cluster. Times are in milliseconds. */
export interface LoadOptions {
  /** How often each client asks. @defaultValue 15 */
  readonly everyMs?: number;
  /** How many requests of a client may be open; one that has so many waits. @defaultValue 3 */
  readonly window?: number;
  /** How long a handler takes. @defaultValue 10 */
  readonly workMs?: number;
  /** Size of a frame that each client sends beside its requests each time, and that nobody asks about. @defaultValue 0 */
  readonly noiseBytes?: number;
}

/** Clients that ask all the time, each in a ledger of its own. */
export class Load {
  private readonly timer: NodeJS.Timeout;

  constructor(
    readonly clients: LedgerClient[],
    { everyMs = 15, window = 3, workMs = 10, noiseBytes = 0 }: LoadOptions = {},
  ) {
    const noise = 'x'.repeat(noiseBytes);
    this.timer = setInterval(() => {
      for (const client of this.clients) {
        const { log } = client.requests;
        if (!client.isOpen) continue;
        const first = log.get(log.intents.length - window + 1);
        if (!first || first.outcome !== undefined) client.ask('work/do', { ms: workMs });
        if (noise) client.note('echo/echo', noise);
      }
    }, everyMs).unref();
  }

  /** Waits until each client that is connected has had so many more replies. */
  async flows(replies = 5, timeoutMs?: number): Promise<void> {
    const goals = this.clients.map(({ requests }) => requests.replied + replies);
    await waitUntil(
      `${replies} more replies to each client`,
      () => this.clients.every(({ isOpen, requests }, i) => !isOpen || requests.replied >= (goals[i] as number)),
      timeoutMs,
    );
  }

  /** Asks no more, and waits until each request has its outcome; what has none by then stays open in the ledgers. */
  async stop(timeoutMs = 6_000): Promise<void> {
    clearInterval(this.timer);
    const isOver = () => this.clients.every(({ requests }) => requests.log.open.length === 0);
    await waitUntil('all outcomes', isOver, timeoutMs).catch(() => undefined);
  }

  /** All requests of all clients. */
  report(): StreamReport {
    return sumReports(this.clients.map(({ requests }) => requests.report()));
  }
}
