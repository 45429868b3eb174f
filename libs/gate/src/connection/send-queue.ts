import type { GateCounters } from '../gate-counters.js';
import type { SlowClientPolicy } from '../gate-options.js';
import type { BurstBudget } from './burst-budget.js';
import type { Connection } from './connection.js';
import { DeferredSends, MAKING_BYTES } from './deferred-sends.js';
import type { DrainQueue } from './drain-queue.js';
import { Outbox } from './outbox.js';

/** What all send queues of a gate share. */
export interface SendQueueHost {
  readonly options: {
    readonly sendPackBuffNum: number;
    readonly sendBuffBytes: number;
    readonly slowClientPolicy: SlowClientPolicy;
  };
  readonly counters: GateCounters;
  readonly drainQueue: DrainQueue;
  /** Without one no queue may go beyond its soft bound. */
  readonly bursts?: BurstBudget;
}

/** Whose queue it is. */
export interface SendQueueOwner {
  /** More waits than may, and the client has to go. What waited for it has been dropped. */
  onOverflow(): void;
  /** The client has taken nothing for too long, and has to go at once. What waited for it has been dropped. */
  onStalled(): void;
  /** What had been waiting for a message that was still being made has been queued. */
  onCaughtUp(): void;
  /** What waits cannot be written. */
  onDefect(error: unknown, where: string): void;
}

/**
 * Everything that waits to be sent to one client: framed messages, and those still being made. It is its outbox, and does not
 * have one: for a push to many clients each object of theirs that has to be looked at counts.
 */
export class SendQueue extends Outbox {
  /** Messages queued so far. */
  sentCount = 0;

  constructor(
    private readonly host: SendQueueHost,
    private readonly owner: SendQueueOwner,
    connection: Connection,
  ) {
    super(connection, host.drainQueue, host.options, host.bursts);
  }

  /** A message that has been made is progress too: as long as a hook is slow, there is nothing that the client could take. */
  override get takenBytes(): number {
    return super.takenBytes + (this.deferred?.finished ?? 0);
  }

  /** Queues a framed message; false when it was not taken. `undefined` is one that its wire cannot carry. */
  send(frame: Uint8Array | undefined): boolean {
    if (!frame) {
      this.host.counters.add('packs_dropped', 'too_large');
      return false;
    }
    if (!this.isDeferring) return this.enqueue(frame);
    if (!this.hasRoomFor(frame.length)) return false;
    this.deferred?.add(frame);
    return true;
  }

  /** Queues a frame before those that wait for a message that is still being made; false when it was not taken. */
  sendNow(frame: Uint8Array): boolean {
    return this.enqueue(frame);
  }

  /** Queues a message that is still being made of so many bytes; those after it wait for it. */
  defer(making: Promise<Uint8Array | undefined>, bytes: number): boolean {
    if (!this.hasRoomFor(bytes + MAKING_BYTES)) return false;
    (this.deferred ??= this.createDeferred()).defer(making, bytes);
    return true;
  }

  /** Whether another message may be made of so many bytes. Where it may not, the policy for slow clients has acted. */
  mayDefer(bytes: number): boolean {
    return !this.isDeferring || this.hasRoomFor(bytes + MAKING_BYTES);
  }

  /** What is behind a frame that is lost must not be sent without it. */
  override onDefect(error: unknown): void {
    this.drop('closed');
    this.owner.onDefect(error, 'write');
  }

  /** Drops what waits. */
  drop(why: string): void {
    const dropped = this.clear();
    if (dropped > 0) this.host.counters.add('packs_dropped', why, dropped);
  }

  /** Let go of when nothing waits: each client has one while it is welcomed, and most never again. */
  private createDeferred(): DeferredSends {
    const deferred = new DeferredSends(
      frame => this.enqueue(frame),
      () => {
        if (this.deferred === deferred) this.deferred = undefined;
        this.owner.onCaughtUp();
      },
    );
    return deferred;
  }

  override onSlow(): void {
    const { slowClientPolicy } = this.host.options;
    if (slowClientPolicy === 'disconnect') {
      this.drop('disconnect');
      this.owner.onStalled();
    } else {
      const dropped = this.trim(slowClientPolicy === 'drop-oldest' ? 'oldest' : 'newest');
      if (dropped > 0) this.host.counters.add('packs_dropped', slowClientPolicy, dropped);
    }
  }

  /** What is being made counts as queued from its beginning. None that waits is dropped for it: its order is not known yet. */
  private hasRoomFor(bytes: number): boolean {
    if (this.admits(bytes)) return true;
    const { slowClientPolicy } = this.host.options;
    this.host.counters.add('packs_dropped', slowClientPolicy);
    if (slowClientPolicy === 'disconnect') this.overflow();
    return false;
  }

  private enqueue(frame: Uint8Array): boolean {
    const { counters, options } = this.host;
    const result = this.add(frame);
    if (result === 'taken' || result === 'dropped') {
      this.sentCount++;
      counters.packsQueued++;
      if (this.dropped > 0) counters.add('packs_dropped', 'drop-oldest', this.dropped);
      return true;
    }
    counters.add('packs_dropped', options.slowClientPolicy);
    if (result === 'overflow') this.overflow();
    return false;
  }

  private overflow(): void {
    this.drop('disconnect');
    this.owner.onOverflow();
  }
}
