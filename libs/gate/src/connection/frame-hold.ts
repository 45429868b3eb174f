/** Frames that wait for credit, first in first out. */
export class FrameHold {
  private readonly frames: (Buffer | undefined)[] = [];
  private head = 0;

  get isEmpty(): boolean {
    return this.head === this.frames.length;
  }

  push(frame: Buffer): void {
    this.frames.push(frame);
  }

  shift(): Buffer | undefined {
    const frame = this.frames[this.head];
    this.frames[this.head++] = undefined;
    return frame;
  }
}
