import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { JoinedChannels } from './joined-channels.js';
import { CastRounds, ROUND_CHANNELS, type RoundChannel } from '../wire/cast-rounds.js';
import { CastTally } from './cast-tally.js';

/** So long after a join, every cast to the channel is for this gate. */
const SETTLED_MS = 1_000;

/** A sender, and a gate that gets of its casts what a test does not lose. */
class Pair {
  readonly rounds = new CastRounds();
  readonly tally = new CastTally();
  readonly joined = new JoinedChannels(false);

  cast(channel: string, messages: number, isLost = false): void {
    const place: RoundChannel = this.rounds.of(channel);
    if (!isLost) {
      this.tally.begin(this.rounds.number, place.index, place.messages);
      this.tally.end(messages);
    }
    this.rounds.note(place, messages);
  }

  /** Ends the round. Returns how many messages the gate has missed. */
  missing(): number {
    return this.tally.compare(this.rounds.end(), this.joined);
  }
}

describe('CastRounds and CastTally', () => {
  let pair: Pair;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    pair = new Pair();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  async function join(...channels: string[]): Promise<void> {
    for (const channel of channels) pair.joined.add(channel, Promise.resolve());
    await jest.advanceTimersByTimeAsync(SETTLED_MS);
  }

  it('find what was lost on joined channels, and nothing else, whatever is lost', async () => {
    const step = fc.record({
      channel: fc.constantFrom('a', 'b', 'elsewhere'),
      messages: fc.integer({ min: 1, max: 5 }),
      isLost: fc.boolean(),
      ends: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        pair = new Pair();
        await join('a', 'b');
        let lost = 0;
        let missing = 0;
        for (const { channel, messages, isLost, ends } of steps) {
          // What goes to a channel that the gate has not joined never reaches it.
          const isHeard = channel !== 'elsewhere';
          pair.cast(channel, messages, isLost || !isHeard);
          if (isLost && isHeard) lost += messages;
          if (ends) missing += pair.missing();
        }
        expect(missing + pair.missing()).toBe(lost);
      }),
    );
  });

  it('find a round of which nothing has come', async () => {
    await join('a');
    pair.cast('a', 3, true);
    expect(pair.missing()).toBe(3);
  });

  it('do not count what was cast before a channel was joined, but what was lost since', async () => {
    await join('other');
    pair.cast('a', 4, true);
    pair.joined.add('a', Promise.resolve());
    await jest.advanceTimersByTimeAsync(0);
    pair.cast('a', 1);
    pair.cast('a', 2, true);
    expect(pair.missing()).toBe(2);
  });

  it('count nothing on a channel whose join is still under way', async () => {
    pair.joined.add('a', new Promise(() => undefined));
    await jest.advanceTimersByTimeAsync(SETTLED_MS);
    pair.cast('a', 4, true);
    expect(pair.missing()).toBe(0);
  });

  it('count nothing of a peer that is only just known, of what it cast before', async () => {
    await join('a');
    pair.cast('a', 4, true);
    await jest.advanceTimersByTimeAsync(100);
    const { rounds, joined } = pair;
    // The gate has met the sender again, and begins to count.
    pair = Object.assign(new Pair(), { rounds, joined });
    pair.cast('a', 1);
    expect(pair.missing()).toBe(0);
  });

  it('do not take a round for the one before it, which had the same channels', async () => {
    await join('a');
    pair.cast('a', 2);
    expect(pair.missing()).toBe(0);
    // Of this round nothing comes but its digest.
    pair.cast('a', 2, true);
    expect(pair.missing()).toBe(2);
    pair.cast('a', 2);
    expect(pair.missing()).toBe(0);
  });

  it('begin again with each round, also when the digest of the one before was lost', async () => {
    await join('a');
    pair.cast('a', 2);
    pair.rounds.end();
    pair.cast('a', 3, true);
    pair.cast('a', 1);
    expect(pair.missing()).toBe(3);
  });

  it('refuse a channel index that no sender has', () => {
    expect(() => pair.tally.begin(0, ROUND_CHANNELS, 0)).toThrow(expect.objectContaining({ code: 'LINK_CORRUPT' }));
    pair.tally.begin(0, ROUND_CHANNELS - 1, 0);
  });

  it('end a round that comes to too many channels, and keep nothing of it', () => {
    const { rounds } = pair;
    for (let n = 0; n < ROUND_CHANNELS; n++) {
      expect(rounds.isFull).toBe(false);
      rounds.note(rounds.of(`c${n}`), 1);
    }
    expect([rounds.isFull, rounds.isOpen]).toEqual([true, true]);
    expect(rounds.end()).toMatchObject({ round: 0, base: 0, total: ROUND_CHANNELS });
    expect([rounds.isFull, rounds.isOpen, rounds.number]).toEqual([false, false, 1]);
    jest.advanceTimersByTime(300);
    rounds.note(rounds.of('a'), 1);
    jest.advanceTimersByTime(200);
    const { channels, ...digest } = rounds.end();
    expect(digest).toEqual({ round: 1, ageMs: 200, base: ROUND_CHANNELS, total: ROUND_CHANNELS + 1 });
    expect(channels).toHaveLength(1);
  });
});
