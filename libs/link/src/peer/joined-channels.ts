import { channelKey } from '../wire/channel-key.js';
import { ALL_GATES } from '../link.js';

/** The channels that a gate has joined, and since when: of what is cast to them it knows what it has missed. */
export class JoinedChannels {
  private readonly joined = new Map<number, { since: number }>();

  /** @param isGate gates get what goes to all gates, without joining anything */
  constructor(isGate: boolean) {
    if (isGate) this.joined.set(channelKey(ALL_GATES), { since: Number.NEGATIVE_INFINITY });
  }

  /** Casts to a channel should reach this node from now on, or, with a promise, when that is resolved. */
  add(channel: string, joining: Promise<void>): void {
    // An entry of its own: a channel may be left and joined again while the first join is under way.
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

  /** Since when a channel is joined, by `performance.now()`; `undefined` when it is not. */
  since(key: number): number | undefined {
    return this.joined.get(key)?.since;
  }
}
