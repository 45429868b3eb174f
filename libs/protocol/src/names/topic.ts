import { unitAt } from '../text-unit.js';

/**
 * Topics: `module/name[/more…]`. The module, what stands before the first `/`, decides which workers may serve a frame.
 * The grammar is strict on purpose: a topic is used as a routing key and in log lines, so nothing in it ever needs
 * escaping.
 */

/** Longest topic in bytes (a topic is ASCII, so also in characters). */
export const MAX_TOPIC_BYTES = 128;

/** Topics that start with this character belong to the gate; clients may only send `$gate/ping` and `$gate/cancel`. */
export const RESERVED_TOPIC_PREFIX = '$';

/** The gate's own topics. */
export const GATE_TOPICS = Object.freeze({
  hello: '$gate/hello',
  ping: '$gate/ping',
  pong: '$gate/pong',
  cancel: '$gate/cancel',
  error: '$gate/error',
});

/** What the topics of the gate's own frames start with. */
export const GATE_TOPIC_PREFIX = '$gate/';

const SLASH = 0x2f;

/** 1 for the byte values that may stand in a topic segment: `[A-Za-z0-9_.:-]`. */
const SEGMENT_BYTES: Uint8Array = (() => {
  const table = new Uint8Array(256);
  for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') {
    table[char.charCodeAt(0)] = 1;
  }
  return table;
})();

/** True when the byte may stand in a segment of a topic. */
export function isSegmentByte(byte: number): boolean {
  return SEGMENT_BYTES[byte] === 1;
}

/**
 * True when `value` is a topic that clients and handlers may use: 1–128 characters, segments of `[A-Za-z0-9_.:-]+`
 * divided by `/`, none of them empty.
 */
export function isTopic(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_TOPIC_BYTES) return false;
  let segment = 0;
  for (let i = 0; i < value.length; i++) {
    const code = unitAt(value, i);
    if (code === SLASH) {
      if (segment === 0) return false;
      segment = 0;
    } else if (code < 256 && SEGMENT_BYTES[code] === 1) {
      segment++;
    } else {
      return false;
    }
  }
  return segment > 0;
}

/** The module of a topic: what stands before its first `/`, the whole topic when there is none. */
export function moduleOf(topic: string): string {
  const slash = topic.indexOf('/');
  return slash < 0 ? topic : topic.slice(0, slash);
}
