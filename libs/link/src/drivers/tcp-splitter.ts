import { GateError } from '@nestgate/protocol';
import { HEADER_BYTES, sizeOf } from './tcp-message.js';

/**
 * Up to this size a message that is spread over chunks gets all its room at once: as much as most batches of large frames have
 * (64 KiB, and its large content), which would be copied once more otherwise.
 */
const EAGER_BYTES = 384 * 1024;

/**
 * Cuts one connection's stream into messages. A message that lies whole in a chunk is a view into it; only one that is
 * spread over chunks is copied, into a buffer that grows with what has come and not with what was claimed.
 */
export class TcpSplitter {
  private part: Buffer | undefined;
  private filled = 0;
  private isStopped = false;

  constructor(
    /** Largest message allowed; may change between messages. */
    public maxBytes: number,
    private readonly onMessage: (type: number, content: Buffer) => void,
  ) {}

  /** Nothing more is wanted, not even of the chunk in hand. */
  stop(): void {
    this.isStopped = true;
    this.part = undefined;
  }

  /** @throws {GateError} `LINK_CORRUPT` for a length that no message can have. The stream is of no more use then. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.isStopped) {
      at = this.filled > 0 ? this.fill(chunk, at) : this.cut(chunk, at);
    }
  }

  /** Takes a message, or the beginning of one, that starts at `at`. Returns where the rest starts. */
  private cut(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    if (left >= HEADER_BYTES) {
      const size = this.check(sizeOf(chunk, at));
      if (left >= size) {
        this.hand(chunk, at, at + size);
        return at + size;
      }
      return this.keep(chunk, at, chunk.length, size);
    }
    return this.keep(chunk, at, chunk.length, HEADER_BYTES);
  }

  /** Goes on with a message that an earlier chunk began. Returns where the rest starts. */
  private fill(chunk: Buffer, start: number): number {
    let at = start;
    if (this.filled < HEADER_BYTES) {
      at = this.keep(chunk, at, Math.min(chunk.length, at + HEADER_BYTES - this.filled), HEADER_BYTES);
      if (this.filled < HEADER_BYTES) return at;
    }
    const size = this.check(sizeOf(this.part as Buffer, 0));
    at = this.keep(chunk, at, Math.min(chunk.length, at + size - this.filled), size);
    if (this.filled < size) return at;
    const message = this.part as Buffer;
    this.part = undefined;
    this.filled = 0;
    this.hand(message, 0, size);
    return at;
  }

  private hand(bytes: Buffer, start: number, end: number): void {
    this.onMessage(bytes[start + HEADER_BYTES - 1] as number, bytes.subarray(start + HEADER_BYTES, end));
  }

  private check(size: number): number {
    if (size >= HEADER_BYTES && size <= this.maxBytes) return size;
    throw new GateError('LINK_CORRUPT', 'A message of an impossible length');
  }

  /** Keeps part of a message, of which `size` is known so far. */
  private keep(chunk: Buffer, start: number, end: number, size: number): number {
    const needed = this.filled + end - start;
    if (!this.part || this.part.length < needed) {
      const grown = Buffer.allocUnsafe(Math.min(size, Math.max(EAGER_BYTES, needed, this.filled * 2)));
      if (this.part) grown.set(this.part.subarray(0, this.filled));
      this.part = grown;
    }
    this.part.set(chunk.subarray(start, end), this.filled);
    this.filled = needed;
    return end;
  }
}
