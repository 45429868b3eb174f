/**
 * The two binary layouts, without what carries them. Numbers are little-endian.
 *
 *     pack  = u16 total, itself included · u16 topic length · topic · body
 *     frame = u32 length of what follows · u8 kind · u32 id (kinds 1, 2, 3 and from 16 on) · u16 topic length · topic · body
 */

/** Bytes of a pack's first number, and of the second. */
export const PACK_LENGTH_BYTES = 2;
export const PACK_TOPIC_LENGTH_BYTES = 2;
/** Largest pack: what its first number can say. */
export const MAX_PACK_BYTES = 65_535;
/** Bytes of a frame's first number. */
export const FRAME_LENGTH_BYTES = 4;

/** The kinds of `gate.frame`. */
export const FrameKind = Object.freeze({
  message: 0,
  request: 1,
  reply: 2,
  error: 3,
  ping: 4,
  pong: 5,
  hello: 6,
  // Of resumable sessions (`gate.frame.2`).
  open: 7,
  resume: 8,
  resumed: 9,
  ack: 10,
  mark: 11,
  gap: 12,
  move: 13,
  bye: 14,
  refused: 15,
  // Of streams and of calls to the client. All have an id.
  item: 16,
  end: 17,
  cancel: 18,
  /** A request whose reply is a stream. */
  stream: 19,
  ask: 20,
  answer: 21,
  /** An answer that is an error. */
  answerError: 22,
} as const);

/** A topic and a body, as they stand in a pack or frame. */
export interface PackParts {
  /** The topic's bytes as Latin-1, which shows bytes outside of ASCII without changing their number. */
  readonly topic: string;
  readonly body: Uint8Array;
}

/** Reads `u16 topic length · topic · body`; `undefined` when the topic is longer than what is there. */
export function readPackParts(data: Uint8Array, start: number): PackParts | undefined {
  const topicStart = start + PACK_TOPIC_LENGTH_BYTES;
  if (data.length < topicStart) return undefined;
  const topicEnd = topicStart + ((data[start] as number) | ((data[start + 1] as number) << 8));
  if (topicEnd > data.length) return undefined;
  let topic = '';
  for (let i = topicStart; i < topicEnd; i++) topic += String.fromCharCode(data[i] as number);
  return { topic, body: data.subarray(topicEnd) };
}

/** Reads a u32. The caller has checked that four bytes are there. */
export function readU32(data: Uint8Array, at: number): number {
  return (
    ((data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24)) >>>
    0
  );
}

/** Writes a u32; returns where the next byte stands. There must be room for it. */
export function writeU32(data: Uint8Array, at: number, value: number): number {
  data[at] = value;
  data[at + 1] = value >>> 8;
  data[at + 2] = value >>> 16;
  data[at + 3] = value >>> 24;
  return at + 4;
}

/** Whether frames of this kind have an id. */
export function frameKindHasId(kind: number): boolean {
  return (
    (kind >= FrameKind.request && kind <= FrameKind.error) || (kind >= FrameKind.item && kind <= FrameKind.answerError)
  );
}
