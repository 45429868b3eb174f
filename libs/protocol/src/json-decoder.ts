import { isDeeperThan, skipString, skipValue } from './json-scan.js';
import { BodyKind, type Body, BodySlice, NO_BODY, type Pack } from './pack.js';
import { unitAt } from './text-unit.js';
import { GATE_TOPICS, isSegmentByte, isTopic, MAX_TOPIC_BYTES } from './topic.js';

/** Deepest nesting of a JSON frame, the frame's own object included. */
export const MAX_JSON_DEPTH = 32;

/** A decoded frame. A decoder reuses one object for all frames: copy what must outlive the call. */
export interface DecodedFrame extends Pack {
  topic: string;
  body: Body;
  id: number;
  /** False when the body was sliced out unparsed, so that its JSON may still turn out to be broken. */
  checked: boolean;
  /** Set when the frame is the connection's own business, and no message. */
  control: 'ping' | 'pong' | undefined;
}

/**
 * Why a frame was refused. The frame's `id` is set for `BAD_TOPIC`, and 0 for `BAD_FRAME`, which belongs to no id. After a
 * `VIOLATION` the two sides no longer agree on where frames begin and end.
 */
export type FrameFault = 'BAD_FRAME' | 'BAD_TOPIC' | 'VIOLATION';

const HEAD = bytesOf('{"topic":"');
const BODY = bytesOf(',"body":');
const ID = bytesOf(',"id":');
const QUOTE = 0x22;
const SLASH = 0x2f;
const CLOSE_OBJECT = 0x7d;
const ZERO = 0x30;
/** 15 digits are always below 2^53; longer ids take the slow road, where the limit is exact. */
const MAX_FAST_ID_DIGITS = 15;
/** Topics remembered by a decoder; with one more it begins anew. */
const MAX_INTERNED_TOPICS = 1024;

/**
 * Decodes `gate.json` frames. A frame in the canonical order (`topic`, then `body`, then `id`, no spaces between them)
 * is only scanned: its body is sliced out raw and parsed where a handler needs it. Every other frame is parsed as a
 * whole. Both roads give the same outcome for the same bytes; `json-decoder.spec.ts` holds them to it.
 */
export class JsonFrameDecoder {
  readonly frame: DecodedFrame = { topic: '', body: NO_BODY, id: 0, checked: true, control: undefined };
  private readonly topics = new Map<number, string>();
  // A byte order mark is not JSON, so it must not be stripped.
  private readonly text = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(private readonly maxDepth: number = MAX_JSON_DEPTH) {}

  /** Reads one frame into {@link frame}. Returns why it is refused, or `undefined`. The data must be valid UTF-8. */
  decode(data: Uint8Array): FrameFault | undefined {
    return this.scan(data) ? undefined : this.parse(data);
  }

  /** The fast road: false when the frame is not in the canonical form, whatever else may be right or wrong with it. */
  scan(data: Uint8Array): boolean {
    if (data.length < HEAD.length + 3 || !startsWith(data, 0, HEAD)) return false;
    let at = HEAD.length;
    let segment = 0;
    let hash = 0;
    const topicEnd = Math.min(data.length, at + MAX_TOPIC_BYTES);
    for (; at < topicEnd; at++) {
      const byte = data[at] as number;
      if (isSegmentByte(byte)) segment++;
      else if (byte === SLASH && segment > 0) segment = 0;
      else break;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    if (segment === 0 || data[at] !== QUOTE) return false;
    const topic = this.intern(data, HEAD.length, at, hash);
    at++;

    let body = NO_BODY;
    if (startsWith(data, at, BODY)) {
      const start = at + BODY.length;
      at = skipValue(data, start, this.maxDepth - 1);
      if (at <= start) return false;
      body = new BodySlice(BodyKind.json, data, start, at);
    }

    let id = 0;
    if (startsWith(data, at, ID)) {
      const start = at + ID.length;
      for (at = start; at < data.length; at++) {
        const digit = (data[at] as number) - ZERO;
        if (digit < 0 || digit > 9) break;
        id = id * 10 + digit;
      }
      if (at === start || data[start] === ZERO || at - start > MAX_FAST_ID_DIGITS) return false;
    }
    if (data[at] !== CLOSE_OBJECT || at !== data.length - 1) return false;

    const frame = this.frame;
    frame.topic = topic;
    frame.body = body;
    frame.id = id;
    frame.checked = body === NO_BODY;
    frame.control = undefined;
    return true;
  }

  /** The slow road, for every JSON object with a topic, its keys in whatever order. */
  parse(data: Uint8Array): FrameFault | undefined {
    const frame = this.frame;
    frame.id = 0;
    frame.topic = '';
    frame.body = NO_BODY;
    frame.checked = true;
    frame.control = undefined;
    if (isDeeperThan(data, this.maxDepth)) return 'BAD_FRAME';
    let value: unknown;
    try {
      value = JSON.parse(this.text.decode(data));
    } catch {
      return 'BAD_FRAME';
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'BAD_FRAME';
    const { topic, id } = value as { topic?: unknown; id?: unknown };
    if (typeof topic !== 'string') return 'BAD_FRAME';
    if (Object.hasOwn(value, 'id')) {
      if (!Number.isSafeInteger(id) || (id as number) < 1) return 'BAD_FRAME';
      frame.id = id as number;
    }
    frame.topic = topic;
    if (Object.hasOwn(value, 'body')) frame.body = { kind: BodyKind.json, bytes: this.sliceBody(data) };
    frame.control = topic === GATE_TOPICS.ping ? 'ping' : undefined;
    return frame.control || isTopic(topic) ? undefined : 'BAD_TOPIC';
  }

  /** The raw text of the last top-level `body` (the one `JSON.parse` keeps). The data is known to be a JSON object. */
  private sliceBody(data: Uint8Array): Uint8Array {
    let body = NO_BODY.bytes;
    let at = skipSpace(data, 0) + 1;
    while (data[(at = skipSpace(data, at))] === QUOTE) {
      const keyEnd = skipString(data, at);
      const key: unknown = JSON.parse(this.text.decode(data.subarray(at, keyEnd)));
      const start = skipSpace(data, skipSpace(data, keyEnd) + 1);
      const end = skipValue(data, start, this.maxDepth);
      if (key === 'body') body = data.subarray(start, end);
      at = skipSpace(data, end) + 1;
    }
    return body;
  }

  /** The topic's string, from a bounded table: the same few topics arrive over and over. */
  private intern(data: Uint8Array, start: number, end: number, hash: number): string {
    const known = this.topics.get(hash);
    if (known !== undefined && known.length === end - start && sameText(data, start, known)) return known;
    let topic = '';
    for (let i = start; i < end; i++) topic += String.fromCharCode(data[i] as number);
    // Clients share the table: one that fills it, or sends what has another's hash, must not keep the others' topics out.
    if (known === undefined && this.topics.size >= MAX_INTERNED_TOPICS) this.topics.clear();
    this.topics.set(hash, topic);
    return topic;
  }
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function startsWith(data: Uint8Array, at: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (data[at + i] !== prefix[i]) return false;
  return true;
}

function sameText(data: Uint8Array, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (data[start + i] !== unitAt(text, i)) return false;
  return true;
}

function skipSpace(data: Uint8Array, start: number): number {
  let i = start;
  while (i < data.length) {
    const byte = data[i];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    i++;
  }
  return i;
}
