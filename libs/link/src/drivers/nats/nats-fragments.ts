import { bytesOf, type LinkFrame, type NodeId, type NodeInfo } from '../../link.js';

/** A frame of more bytes than this is nobody's. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** What must be left of a message for the frame itself, beside its head. */
const MIN_ROOM_BYTES = 512;

const VERSION = 2 << 4;
const VERSION_MASK = 0xf0;
const MORE = 1;
const PART = 2;
const CONTROL = 4;
const REACH = 8;
const TAG_AT = 1;
const GENERATION_AT = 5;
const ID_AT = 10;
const NUMBERS_BYTES = 6;

/** One NATS message between nodes. */
export interface NatsPart {
  readonly from: NodeId;
  readonly epoch: string;
  /** What the sender calls its meeting with the receiver; 0 in a cast. */
  readonly tag: number;
  /** Which connection of the sender it came by: the number grows with each. */
  readonly generation: number;
  /** Whether the drivers themselves talk. */
  readonly isControl: boolean;
  /** Whether it is a control message of {@link NatsReach}. */
  readonly isReach: boolean;
  readonly more: boolean;
  /** The number of the frame that this is a part of; `undefined` for a frame in one message. */
  readonly frame: number | undefined;
  readonly index: number;
  readonly bytes: Buffer;
}

/** What all messages of a sender with one tag begin with, as long as its connection holds. */
export function partHead({ id, epoch }: NodeInfo, tag: number, generation: number): Buffer {
  const head = Buffer.alloc(ID_AT + 1 + id.length + epoch.length);
  head[0] = VERSION;
  head.writeUInt32LE(tag, TAG_AT);
  head.writeUInt32LE(generation, GENERATION_AT);
  head[ID_AT - 1] = id.length;
  head.write(id, ID_AT, 'latin1');
  head[ID_AT + id.length] = epoch.length;
  head.write(epoch, ID_AT + id.length + 1, 'latin1');
  return head;
}

/** A message of the drivers themselves. */
export function controlPart(head: Buffer, body: Buffer): Buffer {
  const part = Buffer.concat([head, body]);
  part[0] = VERSION | CONTROL;
  return part;
}

/** A control message that asks, or says, whether a server knows what a node has subscribed to. */
export function reachPart(head: Buffer, body: Buffer): Buffer {
  const part = controlPart(head, body);
  part[0] = VERSION | CONTROL | REACH;
  return part;
}

/** `undefined` for what is no message of this version. */
export function readPart(message: Uint8Array): NatsPart | undefined {
  const data = Buffer.from(message.buffer, message.byteOffset, message.length);
  const flags = data[0] ?? 0;
  const idEnd = ID_AT + (data[ID_AT - 1] ?? 0);
  const epochEnd = idEnd + 1 + (data[idEnd] ?? 0);
  const isPart = (flags & PART) !== 0;
  const start = isPart ? epochEnd + NUMBERS_BYTES : epochEnd;
  if ((flags & VERSION_MASK) !== VERSION || data.length < start) return undefined;
  return {
    from: data.toString('latin1', ID_AT, idEnd),
    epoch: data.toString('latin1', idEnd + 1, epochEnd),
    tag: data.readUInt32LE(TAG_AT),
    generation: data.readUInt32LE(GENERATION_AT),
    isControl: (flags & CONTROL) !== 0,
    isReach: (flags & REACH) !== 0,
    more: (flags & MORE) !== 0,
    frame: isPart ? data.readUInt32LE(epochEnd) : undefined,
    index: isPart ? data.readUInt16LE(epochEnd + 4) : 0,
    bytes: data.subarray(start),
  };
}

/**
 * Cuts frames to what one NATS message may hold, and puts them together again. A message is
 *
 *     u8 version and flags · u32 tag · u32 generation · u8 length, sender · u8 length, epoch
 *     [· u32 frame · u16 part] · bytes
 *
 * The parts of a frame leave one after the other. They are numbered, so that halves of two frames are never glued together
 * when some are lost on the way.
 */
export class NatsFragments {
  /** Frames whose rest has not come. */
  broken = 0;
  private lastFrame = 0;
  private readonly begun = new Map<NodeId, { first: NatsPart; next: number; parts: Buffer[]; bytes: number }>();

  /** The messages for a frame; `undefined` when the server's limit has no room for it. */
  split(head: Buffer, content: LinkFrame, maxPayload: number): Buffer[] | undefined {
    const bytes = bytesOf(content);
    const whole = Buffer.isBuffer(content) ? [head, content] : [head, ...content];
    if (head.length + bytes <= maxPayload) return [Buffer.concat(whole, head.length + bytes)];
    const size = maxPayload - head.length - NUMBERS_BYTES;
    if (size < MIN_ROOM_BYTES || bytes > Math.min(MAX_FRAME_BYTES, size * 0xffff)) return undefined;
    const frame = Buffer.isBuffer(content) ? content : Buffer.concat(content, bytes);
    this.lastFrame = (this.lastFrame + 1) >>> 0;
    const parts: Buffer[] = [];
    for (let at = 0; at < frame.length; at += size) {
      const numbers = Buffer.alloc(NUMBERS_BYTES);
      numbers.writeUInt32LE(this.lastFrame);
      numbers.writeUInt16LE(parts.length, 4);
      const part = Buffer.concat([head, numbers, frame.subarray(at, at + size)]);
      part[0] = VERSION | PART | (at + size < frame.length ? MORE : 0);
      parts.push(part);
    }
    return parts;
  }

  /** The frame that this part ends; `undefined` when more is to come, or what came before is missing. */
  add(part: NatsPart): Buffer | undefined {
    const { from, frame, index, bytes } = part;
    let begun = this.begun.get(from);
    if (begun && !(isSame(begun.first, part) && begun.next === index)) {
      this.forget(from);
      begun = undefined;
    }
    if (frame === undefined) return bytes;
    if (!begun) {
      if (index !== 0) return undefined;
      begun = { first: part, next: 0, parts: [], bytes: 0 };
      this.begun.set(from, begun);
    }
    begun.next++;
    begun.parts.push(bytes);
    begun.bytes += bytes.length;
    if (begun.bytes > MAX_FRAME_BYTES) {
      this.forget(from);
      return undefined;
    }
    if (part.more) return undefined;
    this.begun.delete(from);
    return Buffer.concat(begun.parts, begun.bytes);
  }

  /** A sender is gone, and with it the rest of what it had begun. */
  forget(from: NodeId): void {
    if (this.begun.delete(from)) this.broken++;
  }
}

function isSame(a: NatsPart, b: NatsPart): boolean {
  return a.epoch === b.epoch && a.tag === b.tag && a.generation === b.generation && a.frame === b.frame;
}
