import { FRAME_LENGTH_BYTES, FrameKind, frameKindHasId, readPackParts, readU32, writeU32 } from '@nestgate/protocol';
import type { Codec, InFrame } from './messages/codec.js';
import { GateError } from './errors.js';

/** Options of {@link frameCodec}. */
export interface FrameCodecOptions {
  /**
   * Converts the bytes of a body. `topic` is the topic of a push or a call, and empty for a reply or an item. When it throws, the frame
   * counts as malformed.
   * @defaultValue the bytes, unchanged
   */
  readonly decodeBody?: ((bytes: Uint8Array, topic: string) => unknown) | undefined;
}

/** The used part of `TextEncoder` and `TextDecoder`. */
interface TextGlobals {
  readonly TextEncoder: new () => { encode(text: string): Uint8Array };
  readonly TextDecoder: new (label: string, options: object) => { decode(bytes: Uint8Array): string };
}

/** Kinds without an id, by the corresponding topics of `gate.json`. */
const CONTROL_KINDS: ReadonlyMap<string, number> = new Map([
  ['$gate/ping', FrameKind.ping],
  ['$gate/pong', FrameKind.pong],
  ['$gate/hello', FrameKind.hello],
  ['$gate/open', 7],
  ['$gate/resume', 8],
  ['$gate/resumed', 9],
  ['$gate/ack', 10],
  ['$gate/mark', 11],
  ['$gate/gap', 12],
  ['$gate/move', 13],
  ['$gate/bye', 14],
  ['$gate/refused', 15],
]);
const CONTROL_TOPICS: ReadonlyMap<number, string> = new Map([...CONTROL_KINDS].map(([topic, kind]) => [kind, topic]));
const ACK = 10;
const MARK = 11;
const MAX_ID = 0xffff_ffff;
const TWO_32 = 2 ** 32;
const NO_BYTES = new Uint8Array(0);

/**
 * `gate.frame`: binary frames, whose bodies may be any bytes. A `Uint8Array` or an `ArrayBuffer` is sent unchanged, any other body as JSON.
 * Bodies from the gate are `Uint8Array`s, unless `decodeBody` converts them.
 *
 * ```ts
 * const gate = connect(url, { codec: frameCodec() });
 * const reply = await gate.request('echo/echo', Uint8Array.of(1, 2, 3));
 * ```
 */
export function frameCodec({ decodeBody = bytes => bytes }: FrameCodecOptions = {}): Codec {
  const { TextEncoder, TextDecoder } = globalThis as unknown as TextGlobals;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const json = (bytes: Uint8Array): unknown => JSON.parse(decoder.decode(bytes));

  const bytesOf = (body: unknown): Uint8Array => {
    if (body === undefined) return NO_BYTES;
    if (body instanceof Uint8Array) return body;
    if (body instanceof ArrayBuffer) return new Uint8Array(body);
    return encoder.encode(JSON.stringify(body));
  };
  return {
    protocol: 'gate.frame',
    encode(frame) {
      const { topic = '', body, id } = frame;
      if (topic === '$gate/cancel') return write(FrameKind.cancel, body as number, '', NO_BYTES);
      const control = CONTROL_KINDS.get(topic);
      if (control !== undefined)
        return write(control, 0, '', control === ACK ? countBytes(body as number) : bytesOf(body));
      const { answer, error, stream } = frame;
      if (answer !== undefined) {
        return write(error ? FrameKind.answerError : FrameKind.answer, answer, '', bytesOf(error ?? body ?? undefined));
      }
      if (id !== undefined && id > MAX_ID) throw new GateError('BAD_ARGUMENT', 'gate.frame has no more request ids');
      const kind = stream ? FrameKind.stream : id === undefined ? FrameKind.message : FrameKind.request;
      return write(kind, id ?? 0, topic, bytesOf(body));
    },
    decode(data) {
      if (!(data instanceof ArrayBuffer) && !(data instanceof Uint8Array)) return undefined;
      try {
        return read(data instanceof Uint8Array ? data : new Uint8Array(data));
      } catch {
        return undefined;
      }
    },
  };

  function read(data: Uint8Array): InFrame | undefined {
    if (data.length < FRAME_LENGTH_BYTES + 3 || readU32(data, 0) !== data.length - FRAME_LENGTH_BYTES) return undefined;
    const kind = data[FRAME_LENGTH_BYTES] as number;
    const start = FRAME_LENGTH_BYTES + 1;
    const hasId = frameKindHasId(kind);
    const id = hasId && data.length >= start + 4 ? readU32(data, start) : 0;
    const parts = readPackParts(data, hasId ? start + 4 : start);
    if (!parts) return undefined;
    const { topic, body } = parts;
    switch (kind) {
      case FrameKind.message:
        // Errors without a request are JSON in every codec.
        return { topic, body: topic.startsWith('$') ? json(body) : decodeBody(body, topic) };
      case FrameKind.reply:
        return { id, body: decodeBody(body, '') };
      case FrameKind.error:
        return { id, error: json(body) };
      case FrameKind.item:
        return { id, item: decodeBody(body, '') };
      case FrameKind.end:
        return { id, end: true };
      case FrameKind.ask:
        return { topic, body: decodeBody(body, topic), ask: id };
      case ACK:
      case MARK:
        return body.length === 8 ? { topic: CONTROL_TOPICS.get(kind), body: countOf(body) } : undefined;
      default: {
        const control = CONTROL_TOPICS.get(kind);
        if (control === undefined) return undefined;
        return body.length === 0 ? { topic: control } : { topic: control, body: json(body) };
      }
    }
  }
}

function write(kind: number, id: number, topic: string, body: Uint8Array): Uint8Array {
  const idBytes = frameKindHasId(kind) ? 4 : 0;
  const data = new Uint8Array(FRAME_LENGTH_BYTES + 1 + idBytes + 2 + topic.length + body.length);
  let at = writeU32(data, 0, data.length - FRAME_LENGTH_BYTES);
  data[at++] = kind;
  if (idBytes > 0) at = writeU32(data, at, id);
  data[at++] = topic.length;
  data[at++] = topic.length >>> 8;
  // A topic is ASCII; the gate refuses others.
  for (let i = 0; i < topic.length; i++) data[at++] = topic.charCodeAt(i);
  data.set(body, at);
  return data;
}

/** A count of frames as a u64. */
function countBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU32(bytes, 0, count % TWO_32);
  writeU32(bytes, 4, Math.floor(count / TWO_32));
  return bytes;
}

function countOf(bytes: Uint8Array): number {
  return readU32(bytes, 0) + readU32(bytes, 4) * TWO_32;
}
