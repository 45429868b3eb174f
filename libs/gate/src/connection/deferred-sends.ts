interface Slot {
  frame: Uint8Array | undefined;
  ready: boolean;
}

/**
 * Keeps messages in order while the body of an earlier one is still being made: a slot for each, sent from the front as
 * they become ready.
 */
export class DeferredSends {
  private readonly slots: Slot[] = [];

  constructor(
    private readonly send: (frame: Uint8Array) => void,
    private readonly onEmpty: () => void,
  ) {}

  get length(): number {
    return this.slots.length;
  }

  /** A message that is ready, but must not overtake. */
  add(frame: Uint8Array): void {
    this.slots.push({ frame, ready: true });
  }

  /** A message that is still being made; `undefined` when it turns out not to be sent. */
  defer(making: Promise<Uint8Array | undefined>): void {
    const slot: Slot = { frame: undefined, ready: false };
    this.slots.push(slot);
    const finish = (frame: Uint8Array | undefined): void => {
      slot.frame = frame;
      slot.ready = true;
      this.advance();
    };
    making.then(finish, () => finish(undefined));
  }

  /** Forgets all messages, those still being made too, and says how many they were. */
  clear(): number {
    const { length } = this.slots;
    this.slots.length = 0;
    return length;
  }

  private advance(): void {
    while (this.slots[0]?.ready) {
      const { frame } = this.slots.shift() as Slot;
      if (frame) this.send(frame);
    }
    if (this.slots.length === 0) this.onEmpty();
  }
}
