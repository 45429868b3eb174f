import { isDeeperThan, skipString, skipValue } from './json-scan.js';
import { BodyKind, type Body, BodySlice, NO_BODY, type Pack } from './pack.js';
import { unitAt } from '../text-unit.js';
import { GATE_TOPICS, isSegmentByte, isTopic, MAX_TOPIC_BYTES } from '../names/topic.js';

/** Deepest nesting of a JSON frame, the frame's own object included. */
export const MAX_JSON_DEPTH = 32;

/** An error with which a client answers a call. */
export interface AnswerError {
  readonly code: string;
  readonly message: string;
}

/** A decoded frame. A decoder reuses one object for all frames: copy what must outlive the call. */
export interface DecodedFrame extends Pack {
  topic: string;
  body: Body;
  id: number;
  /** False when the body was sliced out unparsed, so that its JSON may still turn out to be broken. */
  checked: boolean;
  /** Set when the frame is no message: it is about the connection, a stream, or a call of the server. */
  control: 'ping' | 'pong' | 'cancel' | 'answer' | undefined;
  /** True when the reply is to be a stream. */
  stream?: boolean;
  /** The stream that is cancelled, or the call that is answered. */
  target?: number;
  /** The answer, when it is an error; nothing in it has been checked but the types. */
  error?: AnswerError | undefined;
}

/**
 * Why a frame was refused. The frame's `id` is set for `BAD_TOPIC`, and 0 for `BAD_FRAME`, which belongs to no id. After a
 * `VIOLATION` the two sides no longer agree on where frames begin and end.
 */
export type FrameFault = 'BAD_FRAME' | 'BAD_TOPIC' | 'VIOLATION';

const HEAD = bytesOf('{"topic":"');
const BODY = bytesOf(',"body":');
const ID = bytesOf(',"id":');
const STREAM = bytesOf(',"stream":true');
const QUOTE = 0x22;
const SLASH = 0x2f;
const CLOSE_OBJECT = 0x7d;
const ZERO = 0x30;
/** 15 digits are always below 2^53; longer ids take the slow path, where the limit is exact. */
const MAX_FAST_ID_DIGITS = 15;
/** Size of a decoder's topic cache, which is cleared when it is full. */
const MAX_INTERNED_TOPICS = 1024;

/**
 * Decodes `gate.json` frames. A frame in the canonical order (`topic`, then `body`, then `id`, no spaces between them)
 * is only scanned: its body is sliced out raw and parsed where a handler needs it. Every other frame is parsed as a
 * whole. Both paths give the same result for the same bytes; `json-decoder.spec.ts` asserts that.
 */
export class JsonFrameDecoder {
  readonly frame: DecodedFrame = {
    topic: '',
    body: NO_BODY,
    id: 0,
    checked: true,
    control: undefined,
    stream: false,
    target: 0,
    error: undefined,
  };
  private readonly topics = new Map<number, string>();
  // A byte order mark is not JSON, so it must not be stripped.
  private readonly text = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(private readonly maxDepth: number = MAX_JSON_DEPTH) {}

  /** Reads one frame into {@link frame}. Returns why it is refused, or `undefined`. The data must be valid UTF-8. */
  decode(data: Uint8Array): FrameFault | undefined {
    return this.scan(data) ? undefined : this.parse(data);
  }

  /** The fast path. Returns false for a frame that is not in the canonical form, valid or not. */
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
    const isStream = id > 0 && data[at] !== CLOSE_OBJECT && startsWith(data, at, STREAM);
    if (isStream) at += STREAM.length;
    if (data[at] !== CLOSE_OBJECT || at !== data.length - 1) return false;

    const frame = this.frame;
    frame.topic = topic;
    frame.body = body;
    frame.id = id;
    frame.checked = body === NO_BODY;
    frame.control = undefined;
    frame.stream = isStream;
    return true;
  }

  /** The slow path, for every JSON object with a topic and keys in any order. */
  parse(data: Uint8Array): FrameFault | undefined {
    const frame = this.frame;
    frame.id = 0;
    frame.topic = '';
    frame.body = NO_BODY;
    frame.checked = true;
    frame.control = undefined;
    frame.stream = false;
    if (isDeeperThan(data, this.maxDepth)) return 'BAD_FRAME';
    let value: unknown;
    try {
      value = JSON.parse(this.text.decode(data));
    } catch {
      return 'BAD_FRAME';
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'BAD_FRAME';
    const { topic, id, stream } = value as { topic?: unknown; id?: unknown; stream?: unknown };
    if (topic === undefined && Object.hasOwn(value, 'answer')) return this.parseAnswer(value, data);
    if (typeof topic !== 'string') return 'BAD_FRAME';
    if (topic === GATE_TOPICS.cancel) return this.parseCancel(value);
    if (Object.hasOwn(value, 'id')) {
      if (!isId(id)) return 'BAD_FRAME';
      frame.id = id;
    }
    if (Object.hasOwn(value, 'stream')) {
      // A stream is named by the id of its request.
      if (typeof stream !== 'boolean' || (stream && frame.id === 0)) return this.refuse();
      frame.stream = stream;
    }
    frame.topic = topic;
    if (Object.hasOwn(value, 'body')) frame.body = { kind: BodyKind.json, bytes: this.sliceBody(data) };
    frame.control = topic === GATE_TOPICS.ping ? 'ping' : undefined;
    return frame.control || isTopic(topic) ? undefined : 'BAD_TOPIC';
  }

  private parseCancel({ body }: { body?: unknown }): FrameFault | undefined {
    const { frame } = this;
    if (!isId(body)) return 'BAD_FRAME';
    frame.topic = GATE_TOPICS.cancel;
    frame.control = 'cancel';
    frame.target = body;
    return undefined;
  }

  private parseAnswer(value: { answer?: unknown; error?: unknown }, data: Uint8Array): FrameFault | undefined {
    const { frame } = this;
    const { answer, error } = value;
    if (!isId(answer) || (error !== undefined && !isAnswerError(error))) return 'BAD_FRAME';
    frame.control = 'answer';
    frame.target = answer;
    frame.error = error;
    if (Object.hasOwn(value, 'body')) frame.body = { kind: BodyKind.json, bytes: this.sliceBody(data) };
    return undefined;
  }

  /** A malformed frame belongs to no id. */
  private refuse(): FrameFault {
    this.frame.id = 0;
    return 'BAD_FRAME';
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

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Whether a value is an error as a client may answer with it. */
export function isAnswerError(value: unknown): value is AnswerError {
  if (typeof value !== 'object' || value === null) return false;
  const { code, message } = value as { code?: unknown; message?: unknown };
  return typeof code === 'string' && typeof message === 'string';
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
