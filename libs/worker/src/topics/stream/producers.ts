import type { Observable } from 'rxjs';
import { endIteration, isAsyncIterable } from './async-iterables.js';
import type { StreamOutlet } from './stream-outlet.js';

/** Items that are taken without a pause from a producer whose items nobody has to write. */
const ITEMS_IN_A_ROW = 64;

/** Gets what comes of a handler's stream. */
export interface ItemTarget {
  item(value: unknown): void;
  /** The producer has failed. */
  fail(error: unknown): void;
  /** The producer is too far ahead of the client, and cannot be held back. */
  overrun(): void;
  /** The producer has ended. */
  end(): void;
}

/** A producer whose items are asked for one by one: an AsyncIterable. It is asked only while the client takes the items. */
export class PulledItems {
  /** Settles when the producer runs no more. */
  ended: Promise<void> = Promise.resolve();
  private iterator: AsyncIterator<unknown> | undefined;
  private isOver = false;

  /** `outlet`: where the items go; without one nothing holds them up. */
  constructor(
    private readonly iterable: AsyncIterable<unknown>,
    private readonly outlet: StreamOutlet | undefined,
    private readonly target: ItemTarget,
  ) {}

  start(): void {
    this.ended = this.run();
  }

  /** Nobody wants more items. */
  unsubscribe(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.outlet?.release();
    endIteration(this.iterable, this.iterator);
  }

  private async run(): Promise<void> {
    const { iterable, outlet, target } = this;
    try {
      const iterator = (this.iterator = iterable[Symbol.asyncIterator]());
      for (let taken = 1; ; taken++) {
        if (outlet?.isFull) await outlet.whenFree();
        else if (!outlet && taken % ITEMS_IN_A_ROW === 0) await new Promise(resolve => setImmediate(resolve));
        if (this.isOver) return;
        const { done, value } = await iterator.next();
        if (this.isOver) return;
        if (done) break;
        target.item(value);
      }
      this.isOver = true;
      target.end();
    } catch (error) {
      if (this.isOver) return;
      this.isOver = true;
      target.fail(error);
    }
  }
}

/**
 * A producer that sends its items when it wants to: an Observable. An item that is an AsyncIterable stands for its items: that is what an
 * interceptor makes of the result of a handler.
 */
export class PushedItems {
  private subscription: { unsubscribe(): void } | undefined;
  private isSubscribing = true;
  private isOver = false;
  private isComplete = false;
  /** Items that are AsyncIterables: the first one is being read. */
  private readonly inner: PulledItems[] = [];

  constructor(
    private readonly observable: Observable<unknown>,
    private readonly outlet: StreamOutlet,
    private readonly target: ItemTarget,
  ) {}

  start(): void {
    const subscription = this.observable.subscribe({
      next: value => this.take(value),
      error: (error: unknown) => this.fail(error),
      complete: () => {
        this.isComplete = true;
        this.endWhenDone();
      },
    });
    this.isSubscribing = false;
    if (this.isOver) subscription.unsubscribe();
    else this.subscription = subscription;
  }

  unsubscribe(): void {
    this.isOver = true;
    for (const items of this.inner.splice(0)) items.unsubscribe();
    this.subscription?.unsubscribe();
  }

  private take(value: unknown): void {
    if (this.isOver) return;
    if (isAsyncIterable(value)) this.read(value);
    else if (this.outlet.isOverrun(this.isSubscribing)) this.target.overrun();
    else this.target.item(value);
  }

  private read(iterable: AsyncIterable<unknown>): void {
    const items = new PulledItems(iterable, this.outlet, {
      ...this.target,
      fail: error => this.fail(error),
      end: () => {
        this.inner.shift();
        if (this.inner[0]) this.inner[0].start();
        else this.endWhenDone();
      },
    });
    if (this.inner.push(items) === 1) items.start();
  }

  private fail(error: unknown): void {
    if (!this.isOver) this.target.fail(error);
  }

  private endWhenDone(): void {
    if (this.isComplete && !this.isOver && this.inner.length === 0) this.target.end();
  }
}
