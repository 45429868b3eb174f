import { describe, expect, it } from '@jest/globals';
import { InboundCount } from './inbound-count.js';

describe('InboundCount', () => {
  it('counts what the agent has taken up, without what does not count', () => {
    const count = new InboundCount();
    expect([count.accepted(0), count.unacked(0)]).toEqual([0, 0]);
    count.skip();
    expect([count.accepted(4), count.unacked(4)]).toEqual([3, 3]);
    expect(count.ack(4)).toBe(3);
    expect([count.unacked(4), count.unacked(6)]).toEqual([0, 2]);
    count.skip();
    expect([count.accepted(7), count.unacked(7)]).toEqual([5, 2]);
  });
});
