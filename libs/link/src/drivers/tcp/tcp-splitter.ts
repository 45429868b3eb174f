import { Buffer } from 'node:buffer';
import { GateError } from '@nestgate/protocol';
import { HEADER_BYTES, sizeOf } from './tcp-message.js';
import { present } from '../../common/checked.js';

/**
 * Up to this size a message that is spread over chunks gets all its room at once: as much as most batches of large frames have
 * (64 KiB, and its large content), which would be copied once more otherwise.
 */
const EAGER_BYTES = 384 * 1024;

/** Memory is used again from this size on: what is smaller comes from a pool of Node. */
const LEAST_SPARE_BYTES = 4 * 1024;
/** Memory is used again for messages that need at least a part of it: one of so many. */
const MAX_SPARE_SHARE = 4;

/**
 * Cuts one connection's stream into messages. A message that lies whole in a chunk is a view into it, or a copy where the memory
 * of the chunk is used again. One that is spread over chunks is assembled in a buffer that grows with what has come and not with
 * what was claimed.
 */
export class TcpSplitter {
  private part: Buffer | undefined;
  /** The memory of the last message, which nothing refers to. */
  private spare: Buffer | undefined;
  private filled = 0;
  private isStopped = false;

  constructor(
    /** Largest message allowed; may change between messages. */
    public maxBytes: number,
    /** Returns true when nothing refers to the content any more: then its memory is used again. */
    private readonly onMessage: (type: number, content: Buffer) => unknown,
  ) {}

  /** Stops, so that not even the rest of the current chunk is emitted. */
  stop(): void {
    this.isStopped = true;
    this.part = undefined;
    this.spare = undefined;
  }

  /**
   * Takes the first `end` bytes of a chunk. `isShared`: they are valid during the call only.
   * @throws {GateError} `LINK_CORRUPT` for a length that no message can have. The stream is of no more use then.
   */
  push(chunk: Buffer, end = chunk.length, isShared = false): void {
    let at = 0;
    while (at < end && !this.isStopped) {
      at = this.filled > 0 ? this.fill(chunk, at, end) : this.cut(chunk, at, end, isShared);
    }
  }

  /** Takes a message, or the beginning of one, that starts at `at`. Returns where the rest starts. */
  private cut(chunk: Buffer, at: number, end: number, isShared: boolean): number {
    const left = end - at;
    if (left >= HEADER_BYTES) {
      const size = this.check(sizeOf(chunk, at));
      if (left >= size) {
        this.hand(chunk, at, at + size, isShared);
        return at + size;
      }
      return this.keep(chunk, at, end, size);
    }
    return this.keep(chunk, at, end, HEADER_BYTES);
  }

  /** Goes on with a message that an earlier chunk began. Returns where the rest starts. */
  private fill(chunk: Buffer, start: number, end: number): number {
    let at = start;
    if (this.filled < HEADER_BYTES) {
      at = this.keep(chunk, at, Math.min(end, at + HEADER_BYTES - this.filled), HEADER_BYTES);
      if (this.filled < HEADER_BYTES) return at;
    }
    const size = this.check(sizeOf(present(this.part), 0));
    at = this.keep(chunk, at, Math.min(end, at + size - this.filled), size);
    if (this.filled < size) return at;
    const message = present(this.part);
    this.part = undefined;
    this.filled = 0;
    this.handOwn(present(message[HEADER_BYTES - 1]), message, HEADER_BYTES, size);
    return at;
  }

  private hand(bytes: Buffer, start: number, end: number, isShared: boolean): void {
    const type = present(bytes[start + HEADER_BYTES - 1]);
    if (!isShared) {
      this.onMessage(type, bytes.subarray(start + HEADER_BYTES, end));
      return;
    }
    const size = end - start - HEADER_BYTES;
    const own = this.allocate(size, size);
    bytes.copy(own, 0, start + HEADER_BYTES, end);
    this.handOwn(type, own, 0, size);
  }

  /** Hands over a message in memory of its own. */
  private handOwn(type: number, own: Buffer, start: number, end: number): void {
    const isFree = this.onMessage(type, own.subarray(start, end)) === true;
    if (isFree && own.length >= LEAST_SPARE_BYTES && own.length <= EAGER_BYTES && !this.isStopped) this.spare = own;
  }

  /** Room for at least so many bytes; `most` is what the message can come to need. */
  private allocate(least: number, most: number): Buffer {
    const { spare } = this;
    // A message that is kept must not keep much more memory than it counts.
    if (!spare || spare.length < least || spare.length / most > MAX_SPARE_SHARE) return Buffer.allocUnsafe(least);
    this.spare = undefined;
    return spare;
  }

  private check(size: number): number {
    if (size >= HEADER_BYTES && size <= this.maxBytes) return size;
    throw new GateError('LINK_CORRUPT', 'A message of an impossible length');
  }

  /** Keeps part of a message, of which `size` is known so far. */
  private keep(chunk: Buffer, start: number, end: number, size: number): number {
    const needed = this.filled + end - start;
    if (!this.part || this.part.length < needed) {
      const grown = this.allocate(Math.min(size, Math.max(EAGER_BYTES, needed, this.filled * 2)), size);
      if (this.part) grown.set(this.part.subarray(0, this.filled));
      this.part = grown;
    }
    this.part.set(chunk.subarray(start, end), this.filled);
    this.filled = needed;
    return end;
  }
}
