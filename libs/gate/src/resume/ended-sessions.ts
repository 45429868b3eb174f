import type { TicketState } from './tickets.js';

/** How a session has ended, and what its tickets are: only who has one is told. */
export interface EndedSession extends TicketState {
  /** The close code; `undefined` when it was without a connection for too long. */
  readonly closeCode: number | undefined;
  /** `performance.now()`. */
  readonly endedAt: number;
}

/** Remembers how sessions have ended, so that a client that comes back is told why it cannot go on. Bounded by count and time. */
export class EndedSessions {
  /** By client id, in the order in which they have ended. */
  private readonly sessions = new Map<string, EndedSession>();

  constructor(
    private readonly maxSessions: number,
    private readonly keepMs: number,
  ) {}

  get size(): number {
    return this.sessions.size;
  }

  add(clientId: string, session: EndedSession): void {
    const isOld = ({ endedAt }: EndedSession) => session.endedAt - endedAt > this.keepMs;
    for (const [oldest, ended] of this.sessions) {
      if (this.sessions.size < this.maxSessions && !isOld(ended)) break;
      this.sessions.delete(oldest);
    }
    this.sessions.set(clientId, session);
  }

  /** Those that are remembered, in the order in which they have ended. */
  list(now: number): { readonly clientId: string; readonly ended: EndedSession; readonly agoMs: number }[] {
    const all = Array.from(this.sessions, ([clientId, ended]) => ({ clientId, ended, agoMs: now - ended.endedAt }));
    return all.filter(({ agoMs }) => agoMs <= this.keepMs);
  }

  find(clientId: string, now: number): EndedSession | undefined {
    const ended = this.sessions.get(clientId);
    return ended && now - ended.endedAt <= this.keepMs ? ended : undefined;
  }
}
