/** What is needed of a session that has no connection. */
export interface Detachable {
  readonly ip: string;
  expire(): void;
}

/** What detached sessions are limited by. */
export interface DetachedLimits {
  readonly maxDetached: number;
  /** 0: no limit. */
  readonly maxDetachedPerAddress: number;
}

/**
 * The sessions without a connection, in the order in which they have lost it. When there are too many, in all or of one address, the one
 * that has been away longest ends.
 */
export class DetachedSessions<S extends Detachable> {
  private readonly sessions = new Map<S, string>();
  private readonly byAddress = new Map<string, Set<S>>();

  /**
   * @param addressOf By what address a session is counted; `undefined` when it is not.
   * @param onFull Called before a session ends because there are too many.
   */
  constructor(
    private readonly limits: DetachedLimits,
    private readonly addressOf: (ip: string) => string | undefined,
    private readonly onFull: (why: 'full' | 'address') => void,
  ) {}

  get size(): number {
    return this.sessions.size;
  }

  /** Those that have been away longest come first. */
  values(): IterableIterator<S> {
    return this.sessions.keys();
  }

  add(session: S): void {
    const { maxDetached, maxDetachedPerAddress } = this.limits;
    const address = this.addressOf(session.ip);
    this.sessions.set(session, address ?? '');
    if (address !== undefined && maxDetachedPerAddress > 0) {
      const same = this.byAddress.get(address) ?? new Set();
      this.byAddress.set(address, same.add(session));
      if (same.size > maxDetachedPerAddress) this.end(same, 'address');
    }
    if (this.sessions.size > maxDetached) this.end(this.sessions.keys(), 'full');
  }

  /** The session has a connection again, or has ended. */
  remove(session: S): void {
    const address = this.sessions.get(session);
    if (address === undefined) return;
    this.sessions.delete(session);
    const same = this.byAddress.get(address);
    same?.delete(session);
    if (same?.size === 0) this.byAddress.delete(address);
  }

  private end(sessions: Iterable<S>, why: 'full' | 'address'): void {
    const [first] = sessions;
    if (!first) return;
    this.onFull(why);
    this.remove(first);
    first.expire();
  }
}
