import { beforeEach, describe, expect, it } from '@jest/globals';
import { ChannelInterest } from './channel-interest.js';

describe('ChannelInterest', () => {
  let story: string[];
  /** How to end the joins that are under way, in their order. */
  let joins: { resolve(): void; reject(error: Error): void }[];
  let isAtOnce: boolean;
  let interest: ChannelInterest;

  beforeEach(() => {
    [story, joins, isAtOnce] = [[], [], false];
    const node = {
      join: (channel: string): Promise<void> | undefined => {
        story.push(`join ${channel}`);
        return isAtOnce ? undefined : new Promise((resolve, reject) => joins.push({ resolve, reject }));
      },
      leave: (channel: string): void => void story.push(`leave ${channel}`),
    };
    interest = new ChannelInterest(node, name => `#${name}`);
  });

  const settled = () => new Promise(resolve => setImmediate(resolve));

  it('joins the channel of a name, and leaves it', () => {
    isAtOnce = true;
    interest.onAppear('a');
    expect(interest.whenHeard('a')).toBeUndefined();
    interest.onVanish('a');
    expect(story).toEqual(['join #a', 'leave #a']);
  });

  it('says when pushes to a name reach the gate, and keeps nothing afterwards', async () => {
    interest.onAppear('a');
    const heard = interest.whenHeard('a');
    expect([heard, interest.whenHeard('b')]).toEqual([expect.any(Promise), undefined]);
    joins[0]?.resolve();
    await heard;
    await settled();
    expect(interest.whenHeard('a')).toBeUndefined();
  });

  it('tells those who wait of a failure, and nobody else', async () => {
    interest.onAppear('a');
    interest.onAppear('b');
    const heard = interest.whenHeard('a');
    for (const join of joins) join.reject(new Error('not allowed'));
    await expect(heard).rejects.toThrow('not allowed');
    await settled();
    expect([interest.whenHeard('a'), interest.whenHeard('b')]).toEqual([undefined, undefined]);
  });

  it('waits for the join of now, and not for one before it', async () => {
    interest.onAppear('a');
    interest.onVanish('a');
    expect(interest.whenHeard('a')).toBeUndefined();
    interest.onAppear('a');
    const heard = interest.whenHeard('a');
    joins[0]?.resolve();
    await settled();
    expect(interest.whenHeard('a')).toBe(heard);
    joins[1]?.resolve();
    await heard;
  });
});
