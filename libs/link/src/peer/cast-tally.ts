import { GateError } from '@nestgate/protocol';
import { type CastDigest, ROUND_CHANNELS } from '../wire/cast-rounds.js';
import type { JoinedChannels } from './joined-channels.js';

/** How long a digest, or the news of a joined channel, may be on its way, in milliseconds, before a count may be too high. */
const TRANSIT_MS = 500;

/** What was received of one channel in one round. */
interface Received {
  /** Messages cast before the first one that was received. */
  readonly first: number;
  messages: number;
}

/** What one gate has received of the casts of one peer in its current round, and what the peer knows of that. */
export class CastTally {
  /** Of all messages that this node has cast, those whose fate on the peer is known. */
  acknowledged = 0;
  /** Since when the peer is known, by `performance.now()`. */
  private readonly since = performance.now();
  private round = -1;
  private channels: Received[] = [];
  private current: Received | undefined;

  /** A batch to a channel has begun: the channel's index in the round, and how many messages were cast to it before. */
  begin(round: number, index: number, before: number): void {
    if (index >= ROUND_CHANNELS) throw new GateError('LINK_CORRUPT', 'A cast has too large a channel index');
    if (round !== this.round) {
      this.round = round;
      this.channels = [];
    }
    this.current = this.channels[index] ??= { first: before, messages: 0 };
  }

  /** The batch had so many messages. */
  end(messages: number): void {
    if (this.current) this.current.messages += messages;
    this.current = undefined;
  }

  /**
   * Compares the peer's digest with what was received. Returns how many messages are missing on the channels that this node has
   * joined. Of a channel that was joined in the course of the round, what came before the first message may have been for
   * others only, and does not count.
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
