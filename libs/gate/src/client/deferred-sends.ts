/** What a message that is being made costs beside its body: the hook that runs for it, its promises and its session. */
export const MAKING_BYTES = 1024;

/** Slots of messages that have been sent go in one piece: when there are so many, and they are half of all. */
const MAX_SENT = 32;

interface Slot {
  frame: Uint8Array | undefined;
  ready: boolean;
  bytes: number;
  /** Called when the message has been sent, or turned out not to be sent. */
  onEnd: ((isSent: boolean) => void) | undefined;
}

/**
 * Keeps messages in order while the body of an earlier one is still being made: a slot for each, sent from the front as
 * they become ready.
 */
export class DeferredSends {
  private readonly slots: Slot[] = [];
  /** Where the first slot is: with many of them each `shift` would move all others. */
  private head = 0;
  private clears = 0;
  /** What the messages hold, in bytes: their frames, and for those still being made what they are made of. */
  bytes = 0;
  /** Messages that have been made, or turned out not to be sent, so far. */
  finished = 0;

  constructor(
    private readonly send: (frame: Uint8Array) => void,
    private readonly onEmpty: () => void,
  ) {}

  get length(): number {
    return this.slots.length - this.head;
  }

  /** A message that is ready, but must not overtake. */
  add(frame: Uint8Array): void {
    this.slots.push({ frame, ready: true, bytes: frame.length, onEnd: undefined });
    this.bytes += frame.length;
  }

  /** A message that is still being made, of a body of `bytes`; `undefined` when it turns out not to be sent. */
  defer(making: Promise<Uint8Array | undefined>, bytes = 0): void {
    const slot: Slot = { frame: undefined, ready: false, bytes: bytes + MAKING_BYTES, onEnd: undefined };
    this.slots.push(slot);
    this.bytes += slot.bytes;
    const { clears } = this;
    const finish = (frame: Uint8Array | undefined): void => {
      // One that has been forgotten meanwhile counts no more.
      if (clears !== this.clears) return;
      slot.frame = frame;
      slot.ready = true;
      this.finished++;
      this.bytes -= slot.bytes;
      slot.bytes = frame?.length ?? 0;
      this.bytes += slot.bytes;
      this.advance();
    };
    making.then(finish, () => finish(undefined));
  }

  /** Calls back when the last message has been sent, or with false when it is not sent. There is one. */
  afterLast(onEnd: (isSent: boolean) => void): void {
    (this.slots[this.slots.length - 1] as Slot).onEnd = onEnd;
  }

  /** Forgets all messages, those still being made too, and says how many they were. */
  clear(): number {
    const { length } = this;
    const forgotten = this.slots.splice(0).slice(this.head);
    this.head = 0;
    this.bytes = 0;
    this.clears++;
    for (const { onEnd } of forgotten) onEnd?.(false);
    return length;
  }

  private advance(): void {
    for (let slot = this.slots[this.head]; slot?.ready; slot = this.slots[this.head]) {
      this.bytes -= slot.bytes;
      this.head++;
      if (this.head >= MAX_SENT && this.head * 2 >= this.slots.length) {
        this.slots.splice(0, this.head);
        this.head = 0;
      }
      if (slot.frame) this.send(slot.frame);
      slot.onEnd?.(slot.frame !== undefined);
    }
    if (this.length > 0) return;
    this.slots.length = 0;
    this.head = 0;
    this.onEmpty();
  }
}
