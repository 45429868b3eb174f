import { channelKey } from '../wire/channel-key.js';
import { ALL_GATES } from '../link.js';

/** The channels that a gate has joined, with the time of the join, so that the gate can count missing casts. */
export class JoinedChannels {
  private readonly joined = new Map<number, { since: number }>();

  /** @param isGate Gates receive casts to all gates without a join. */
  constructor(isGate: boolean) {
    if (isGate) this.joined.set(channelKey(ALL_GATES), { since: Number.NEGATIVE_INFINITY });
  }

  /** Notes that casts to a channel reach this node from now on, or, with a promise, when it is resolved. */
  add(channel: string, joining: Promise<void>): void {
    // A new object for each join: a channel may be left and joined again before the first join is done.
    const entry = { since: Number.POSITIVE_INFINITY };
    this.joined.set(channelKey(channel), entry);
    joining.then(
      () => {
        entry.since = performance.now();
      },
      () => undefined,
    );
  }

  delete(channel: string): void {
    this.joined.delete(channelKey(channel));
  }

  /** When a channel was joined, by `performance.now()`; `undefined` when it is not joined. */
  since(key: number): number | undefined {
    return this.joined.get(key)?.since;
  }
}
