/** Width of a slot in milliseconds: a deadline acts at most this much late, plus the event loop's own lag. */
const TICK_MS = 50;
/** One turn of the wheel is 51.2 s; later deadlines stay in their slot for another turn. */
const SLOTS = 1024;

/** Something that ends when its time is over. Linked into a slot by the wheel, without a timer or closure of its own. */
export abstract class Deadline {
  /** When it ends, in milliseconds of `performance.now()`. */
  deadline = 0;
  wheelPrev: Deadline | undefined = undefined;
  wheelNext: Deadline | undefined = undefined;
  wheelSlot = -1;

  /** Called once, when the deadline has passed before `remove`. */
  abstract expire(): void;
}

/** A deadline after which something is done. */
export class DeadlineCall extends Deadline {
  constructor(override readonly expire: () => void) {
    super();
  }
}

/** Many deadlines on one timer: adding and removing are O(1), and nothing runs while it is empty. */
export class DeadlineWheel {
  private readonly slots: (Deadline | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  private timer: NodeJS.Timeout | undefined;
  private cursor = 0;
  private size_ = 0;

  /**
   * `expired` is called with each item whose time is over; unless given, the item's own `expire`. What one of them throws goes
   * to `onDefect`, and the others end as they would have.
   */
  constructor(
    private readonly expired: (item: Deadline) => void = item => item.expire(),
    private readonly onDefect: (error: unknown) => void = () => undefined,
  ) {}

  /** How many deadlines are pending. */
  get size(): number {
    return this.size_;
  }

  add(item: Deadline, deadline: number): void {
    if (this.size_ === 0) this.cursor = Math.floor(performance.now() / TICK_MS);
    item.deadline = deadline;
    // Rounded up, and never into the past, so that an item is always seen after its deadline.
    const tick = Math.max(Math.ceil(deadline / TICK_MS), this.cursor + 1);
    const slot = tick % SLOTS;
    const head = this.slots[slot];
    item.wheelSlot = slot;
    item.wheelNext = head;
    item.wheelPrev = undefined;
    if (head) head.wheelPrev = item;
    this.slots[slot] = item;
    this.size_++;
    // Not unref'd: a caller waits for the promise of a pending deadline.
    this.timer ??= setInterval(() => this.turn(), TICK_MS);
  }

  remove(item: Deadline): void {
    if (item.wheelSlot < 0) return;
    const { wheelPrev, wheelNext } = item;
    if (wheelPrev) wheelPrev.wheelNext = wheelNext;
    else this.slots[item.wheelSlot] = wheelNext;
    if (wheelNext) wheelNext.wheelPrev = wheelPrev;
    item.wheelPrev = undefined;
    item.wheelNext = undefined;
    item.wheelSlot = -1;
    this.size_--;
  }

  /** Ends the timer and forgets what is pending. */
  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.slots.fill(undefined);
    this.size_ = 0;
  }

  private turn(): void {
    const now = performance.now();
    const last = Math.floor(now / TICK_MS);
    // After a long stall one full turn sees every slot.
    if (last - this.cursor > SLOTS) this.cursor = last - SLOTS;
    while (this.cursor < last) {
      this.cursor++;
      let item = this.slots[this.cursor % SLOTS];
      while (item) {
        const next: Deadline | undefined = item.wheelNext;
        if (item.deadline <= now) {
          this.remove(item);
          try {
            this.expired(item);
          } catch (error) {
            this.onDefect(error);
          }
          // An expiry may have removed the neighbour too: start the slot again then.
          if (next && next.wheelSlot < 0) {
            item = this.slots[this.cursor % SLOTS];
            continue;
          }
        }
        item = next;
      }
    }
    if (this.size_ === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }
}
