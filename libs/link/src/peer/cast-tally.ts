import { GateError } from '@nestgate/protocol';
import { type CastDigest, ROUND_CHANNELS } from '../wire/cast-rounds.js';
import type { JoinedChannels } from './joined-channels.js';

/** Allowance for the transit of a digest, or of the information that a channel was joined, in milliseconds. If it takes longer, a count may be too high. */
const TRANSIT_MS = 500;

/** The casts that were received on one channel in one round. */
interface Received {
  /** Messages cast before the first one that was received. */
  readonly first: number;
  messages: number;
}

/** Counts the casts from one peer in its current round, and how many casts to the peer are accounted for. */
export class CastTally {
  /** Number of messages that this node has cast and that the peer has reported as received or missing. */
  acknowledged = 0;
  /** When the peer joined, by `performance.now()`. */
  private readonly since = performance.now();
  private round = -1;
  private channels: Received[] = [];
  private current: Received | undefined;

  /** Starts a batch to a channel. `index`: the channel in the round; `before`: number of messages that were cast to it before. */
  begin(round: number, index: number, before: number): void {
    if (index >= ROUND_CHANNELS) throw new GateError('LINK_CORRUPT', 'The channel index of a cast is too large');
    if (round !== this.round) {
      this.round = round;
      this.channels = [];
    }
    this.current = this.channels[index] ??= { first: before, messages: 0 };
  }

  /** Ends the batch, which had this number of messages. */
  end(messages: number): void {
    if (this.current) this.current.messages += messages;
    this.current = undefined;
  }

  /**
   * Compares the digest of the peer with the received casts. Returns the number of messages that are missing on the channels that this
   * node has joined. If it joined a channel during the round, messages before the first received one may have been sent earlier than the
   * join, and do not count.
   */
  compare({ round, ageMs, channels }: CastDigest, joined: JoinedChannels): number {
    const received = round === this.round ? this.channels : [];
    const beganAt = performance.now() - ageMs - TRANSIT_MS;
    let missing = 0;
    for (const [index, { key, messages }] of channels.entries()) {
      const joinedAt = joined.since(key);
      if (joinedAt === undefined) continue;
      const { first = messages, messages: got = 0 } = received[index] ?? {};
      const expected = Math.max(joinedAt, this.since) < beganAt ? messages : messages - first;
      missing += Math.max(0, expected - got);
    }
    this.channels = [];
    return missing;
  }
}
