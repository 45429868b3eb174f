import { copyOf } from './socket-fast-path.js';

/** Frames that wait for credit, first in first out. */
export class FrameHold {
  private readonly frames: (Buffer | undefined)[] = [];
  private head = 0;

  get isEmpty(): boolean {
    return this.head === this.frames.length;
  }

  push(frame: Buffer): void {
    // A frame that waits must not keep what it was read into: a chunk, or a pool of Node.
    this.frames.push(frame.buffer.byteLength > 2 * frame.length ? copyOf(frame, 0, frame.length) : frame);
  }

  shift(): Buffer | undefined {
    const frame = this.frames[this.head];
    this.frames[this.head++] = undefined;
    return frame;
  }
}
