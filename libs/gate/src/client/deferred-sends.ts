/** Memory of an unfinished message in addition to its body: its hook, the promises and the session. */
export const MAKING_BYTES = 1024;

/** Slots of sent messages are removed together: from this number on, when they are half of all. */
const MAX_SENT = 32;

interface Slot {
  frame: Uint8Array | undefined;
  ready: boolean;
  bytes: number;
  /** Called when the message was sent, or when it will not be sent. */
  onEnd: ((isSent: boolean) => void) | undefined;
}

/**
 * Keeps messages in order while a hook still creates an earlier one. Each message has a slot. Slots are sent from the front as they
 * become ready.
 */
export class DeferredSends {
  private readonly slots: Slot[] = [];
  /** The index of the first slot. `shift` would move all other slots. */
  private head = 0;
  private clears = 0;
  /** Memory of the messages, in bytes: their frames, and the bodies of unfinished ones. */
  bytes = 0;
  /** Number of messages that were finished or given up so far. */
  finished = 0;

  constructor(
    private readonly send: (frame: Uint8Array) => void,
    private readonly onEmpty: () => void,
  ) {}

  get length(): number {
    return this.slots.length - this.head;
  }

  /** Adds a finished message that must not overtake earlier ones. */
  add(frame: Uint8Array): void {
    this.slots.push({ frame, ready: true, bytes: frame.length, onEnd: undefined });
    this.bytes += frame.length;
  }

  /** Adds an unfinished message with a body of `bytes`. The promise resolves with `undefined` when it will not be sent. */
  defer(making: Promise<Uint8Array | undefined>, bytes = 0): void {
    const slot: Slot = { frame: undefined, ready: false, bytes: bytes + MAKING_BYTES, onEnd: undefined };
    this.slots.push(slot);
    this.bytes += slot.bytes;
    const { clears } = this;
    const finish = (frame: Uint8Array | undefined): void => {
      // A message that was dropped meanwhile no longer counts.
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

  /** Calls back when the last message was sent, or with false when it will not be sent. There must be a message. */
  afterLast(onEnd: (isSent: boolean) => void): void {
    (this.slots[this.slots.length - 1] as Slot).onEnd = onEnd;
  }

  /** Drops all messages, also unfinished ones. Returns their number. */
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
