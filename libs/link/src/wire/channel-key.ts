const MAX_HIGH = 2 ** 21;

/**
 * A number of 53 bits for a channel, the same on every node: digests of casts name channels by it. Two channels of one number
 * would make a count wrong, and nothing else.
 */
export function channelKey(channel: string): number {
  let low = 0xdeadbeef;
  let high = 0x41c6ce57;
  for (let i = 0; i < channel.length; i++) {
    const unit = channel.charCodeAt(i);
    low = Math.imul(low ^ unit, 2654435761);
    high = Math.imul(high ^ unit, 1597334677);
  }
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  return 2 ** 32 * ((high >>> 0) % MAX_HIGH) + (low >>> 0);
}
