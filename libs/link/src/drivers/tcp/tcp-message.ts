import { Buffer } from 'node:buffer';
/**
 * What two nodes say to each other over one connection. Each message is
 * `u32 length of what follows · u8 type · content`, little-endian.
 *
 *     hello    = u8 version · 32 bytes nonce                  both sides, first
 *     proof    = 32 bytes HMAC · node information as JSON     the dialer's, then the listener's
 *     ready    = nothing                                      the dialer's, then the listener's: the connection counts
 *     refused  = why, as text                                 instead of any of these, or later; then the end
 *     duplicate = nothing                                     the two are connected already; then the end
 *     frame    = a frame of the node above
 *     cast     = u16 length · channel · a frame               for nodes that have joined the channel
 *     info     = node information as JSON                     what has changed about the sender
 *     ping     = u32 frames and casts received so far         a sign of life
 *     bye      = u32 frames and casts received so far         the sender leaves, and is not coming back
 *
 * A listener says nothing of itself before the dialer has proved that it belongs to the cluster. A receiver skips types
 * that it does not know once both are ready, so that a newer neighbour can send them.
 */
export const Type = Object.freeze({
  hello: 1,
  proof: 2,
  frame: 3,
  cast: 4,
  info: 5,
  ping: 6,
  bye: 7,
  refused: 8,
  ready: 9,
  duplicate: 10,
} as const);

/** Up to this size a message had better be one buffer. */
export const SMALL_BYTES = 512;
/** The length and the type. */
export const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;

/**
 * Largest message: before the other side has said hello, before it has proved itself, and after that. Nobody who has
 * proved nothing can make a node hold more than the second.
 */
export const MAX_HELLO_BYTES = 1024;
export const MAX_GREETING_BYTES = 1024 * 1024;
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export const EMPTY: Buffer = Buffer.alloc(0);

/** The whole size of the message that begins at `at`; there must be {@link HEADER_BYTES} of it. */
export function sizeOf(bytes: Buffer, at: number): number {
  return LENGTH_BYTES + bytes.readUInt32LE(at);
}

/** What stands before a message's content. */
export function messageHeader(type: number, contentBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(contentBytes + 1);
  header[LENGTH_BYTES] = type;
  return header;
}

/**
 * A message in one buffer. Up to 500 bytes or so that costs a tenth less than header and content written one after the
 * other; from 2 kB on it costs more, and at 64 kB three times as much (measured per write).
 */
export function wholeMessage(type: number, content: Buffer): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  message.writeUInt32LE(content.length + 1);
  message[LENGTH_BYTES] = type;
  message.set(content, HEADER_BYTES);
  return message;
}

/** What stands before a cast's frame: the same for each gate that it goes to. */
export function castHeader(channel: string, frameBytes: number): Buffer {
  const name = Buffer.from(channel);
  const header = Buffer.allocUnsafe(HEADER_BYTES + 2 + name.length);
  header.writeUInt32LE(1 + 2 + name.length + frameBytes);
  header[LENGTH_BYTES] = Type.cast;
  header.writeUInt16LE(name.length, HEADER_BYTES);
  header.set(name, HEADER_BYTES + 2);
  return header;
}

/** The channel and the frame of a cast's content, or `undefined` when it is malformed. */
export function readCast(content: Buffer): { readonly channel: string; readonly frame: Buffer } | undefined {
  const end = content.length < 2 ? -1 : 2 + content.readUInt16LE(0);
  if (end < 2 || end > content.length) return undefined;
  return { channel: content.toString('utf8', 2, end), frame: content.subarray(end) };
}

/** Text of the other side for people to read: it may say anything, and must not break a line of a log. */
export function readText(content: Buffer): string {
  // oxlint-disable-next-line no-control-regex
  return content.toString('utf8', 0, 256).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/g, '?');
}
