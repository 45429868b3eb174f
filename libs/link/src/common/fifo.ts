/** Items that were taken are cleared away in lots of this many. */
const COMPACT_AFTER = 1_000;

/**
 * A first-in-first-out queue whose {@link shift} takes constant time however long it is. `Array.shift` moves all items of
 * an array that is longer than about 16,000, so that emptying one takes quadratic time.
 */
export class Fifo<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  push(item: T): void {
    this.items.push(item);
  }

  /** Takes the first item out of the queue; `undefined` when it is empty. */
  shift(): T | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head];
    // A taken item must not be kept alive by its place.
    this.items[this.head++] = undefined;
    if (this.head === this.items.length) {
      this.items.length = 0;
      this.head = 0;
    } else if (this.head === COMPACT_AFTER) {
      this.items.splice(0, this.head);
      this.head = 0;
    }
    return item;
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }
}
