import { copyOf } from '@nestgate/link/internal';

/** From so many frames, or bytes, on it is large. */
const MANY = 64;
const MANY_BYTES = 64 * 1024;

/** Frames that wait for credit, first in first out. */
export class FrameHold {
  private readonly frames: (Buffer | undefined)[] = [];
  private head = 0;
  private bytes = 0;

  get isEmpty(): boolean {
    return this.head === this.frames.length;
  }

  /** Whether it should not grow. */
  get isLarge(): boolean {
    return this.frames.length - this.head >= MANY || this.bytes >= MANY_BYTES;
  }

  push(frame: Buffer): void {
    this.bytes += frame.length;
    // A frame that waits must not keep what it was read into: a chunk, or a pool of Node.
    this.frames.push(frame.buffer.byteLength > 2 * frame.length ? copyOf(frame, 0, frame.length) : frame);
  }

  shift(): Buffer | undefined {
    const frame = this.frames[this.head];
    this.frames[this.head++] = undefined;
    this.bytes -= frame?.length ?? 0;
    return frame;
  }
}
