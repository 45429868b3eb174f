import { channelKey } from './channel-key.js';

/** Channels in one digest at most: a round that comes to so many ends early. */
export const ROUND_CHANNELS = 10_000;

/** The casts to one channel in one round. */
export interface RoundChannel {
  /** Stands for the channel in its round: casts carry it, and digests list the channels in this order. */
  readonly index: number;
  readonly key: number;
  /** Messages cast so far. */
  messages: number;
}

/** What a sender has cast in one round. */
export interface CastDigest {
  readonly round: number;
  /** How long ago the round has begun, in milliseconds. */
  readonly ageMs: number;
  /** Messages that this sender has cast before this round, and up to its end. */
  readonly base: number;
  readonly total: number;
  readonly channels: readonly Pick<RoundChannel, 'key' | 'messages'>[];
}

/**
 * What a node casts, in rounds of half a second: how many messages to which channel. At the end of a round each gate gets a
 * digest of it, which it compares with what it has received. Nothing is kept of a round that is over but its size.
 */
export class CastRounds {
  /** Messages cast so far. */
  total = 0;
  private round = 0;
  private base = 0;
  private beganAt = 0;
  private channels = new Map<string, RoundChannel>();

  /** Whether something was cast that no digest has reported. */
  get isOpen(): boolean {
    return this.total > this.base;
  }

  get isFull(): boolean {
    return this.channels.size >= ROUND_CHANNELS;
  }

  /** The number of the round that goes on. */
  get number(): number {
    return this.round;
  }

  /** The place of a channel in this round. */
  of(channel: string): RoundChannel {
    let known = this.channels.get(channel);
    if (!known) {
      if (this.channels.size === 0) this.beganAt = performance.now();
      known = { index: this.channels.size, key: channelKey(channel), messages: 0 };
      this.channels.set(channel, known);
    }
    return known;
  }

  /** So many messages were cast to a channel of this round. */
  note(channel: RoundChannel, messages: number): void {
    channel.messages += messages;
    this.total += messages;
  }

  /** Ends the round. */
  end(): CastDigest {
    const { round, base, total } = this;
    const digest = {
      round,
      ageMs: performance.now() - this.beganAt,
      base,
      total,
      channels: [...this.channels.values()],
    };
    this.round = (round + 1) >>> 0;
    this.base = total;
    this.channels = new Map();
    return digest;
  }
}
