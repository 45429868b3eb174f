import { FRAME_LENGTH_BYTES, PACK_LENGTH_BYTES } from '@nestgate/protocol';
import { present } from '@nestgate/link/internal';

/** How messages of a stream contain their length. */
export interface StreamLayout {
  /** Size of the length field, in bytes. */
  readonly lengthBytes: number;
  /** The size of the whole message, including its length field, from its first bytes. */
  sizeOf(head: Buffer): number;
}

export const PACK_STREAM: StreamLayout = {
  lengthBytes: PACK_LENGTH_BYTES,
  sizeOf: head => head.readUInt16LE(0),
};

export const FRAME_STREAM: StreamLayout = {
  lengthBytes: FRAME_LENGTH_BYTES,
  sizeOf: head => head.readUInt32LE(0) + FRAME_LENGTH_BYTES,
};

/** Why a stream cannot be split any further: the length of the next message is too small for a message, or larger than allowed. */
export type SplitFault = 'too-small' | 'too-large';

/** Splits the stream of one connection into messages. */
export interface Splitter {
  /** Processes the next chunk. After a fault the stream cannot be used any more. */
  push(chunk: Buffer): SplitFault | undefined;
}

const SMALLEST_PART = 512;

/**
 * Splits a stream into messages. A message that is complete in a chunk is a view of it. Only a message that is spread over several
 * chunks is copied, into a buffer that grows with the received bytes, not with the announced length.
 */
export class StreamSplitter implements Splitter {
  private part: Buffer | undefined;
  private filled = 0;

  constructor(
    private readonly layout: StreamLayout,
    private readonly maxSize: number,
    private readonly onMessage: (message: Buffer) => void,
  ) {}

  push(chunk: Buffer): SplitFault | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.filled > 0) {
        const taken = this.fill(chunk, at);
        if (typeof taken === 'string') return taken;
        at = taken;
        continue;
      }
      const left = chunk.length - at;
      if (left < this.layout.lengthBytes) {
        this.keep(chunk, at, chunk.length);
        return undefined;
      }
      const size = this.sizeOf(at === 0 ? chunk : chunk.subarray(at));
      if (typeof size === 'string') return size;
      if (left < size) {
        this.keep(chunk, at, chunk.length);
        return undefined;
      }
      this.onMessage(chunk.subarray(at, at + size));
      at += size;
    }
    return undefined;
  }

  /** Continues a message that started in an earlier chunk. Returns the offset of the rest of the chunk. */
  private fill(chunk: Buffer, start: number): number | SplitFault {
    const { lengthBytes } = this.layout;
    let at = start;
    if (this.filled < lengthBytes) {
      const end = Math.min(chunk.length, at + lengthBytes - this.filled);
      this.keep(chunk, at, end);
      at = end;
      if (this.filled < lengthBytes) return at;
    }
    const size = this.sizeOf(present(this.part));
    if (typeof size === 'string') return size;
    const end = Math.min(chunk.length, at + size - this.filled);
    this.keep(chunk, at, end);
    if (this.filled === size) {
      const message = present(this.part).subarray(0, size);
      this.part = undefined;
      this.filled = 0;
      this.onMessage(message);
    }
    return end;
  }

  private sizeOf(head: Buffer): number | SplitFault {
    const size = this.layout.sizeOf(head);
    if (size <= this.layout.lengthBytes) return 'too-small';
    return size > this.maxSize ? 'too-large' : size;
  }

  private keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.filled + end - start;
    if (!this.part || this.part.length < needed) {
      const grown = Buffer.allocUnsafe(Math.max(SMALLEST_PART, needed, this.filled * 2));
      if (this.part) grown.set(this.part.subarray(0, this.filled));
      this.part = grown;
    }
    this.part.set(chunk.subarray(start, end), this.filled);
    this.filled = needed;
  }
}
