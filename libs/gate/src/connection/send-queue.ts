import type { GateCounters } from '../gate-counters.js';
import type { SlowClientPolicy } from '../gate-options.js';
import type { Connection } from './connection.js';
import { DeferredSends } from './deferred-sends.js';
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
}

/** Whose queue it is. */
export interface SendQueueOwner {
  /** The client reads too slowly, and has to go. What waited for it has been dropped. */
  onOverflow(): void;
  /** What had been waiting for a message that was still being made has been queued. */
  onCaughtUp(): void;
}

/**
 * Everything that waits to be sent to one client: framed messages, and those still being made. It is its outbox, and does not
 * have one: for a push to many clients each object of theirs that has to be looked at counts.
 */
export class SendQueue extends Outbox {
  /** Messages queued so far. */
  sentCount = 0;
  private deferred: DeferredSends | undefined;

  constructor(
    private readonly host: SendQueueHost,
    private readonly owner: SendQueueOwner,
    connection: Connection,
  ) {
    super(connection, host.drainQueue, host.options);
  }

  /** True when nothing waits here any more. */
  override get isEmpty(): boolean {
    return super.isEmpty && !this.isDeferring;
  }

  /** Messages not yet taken by the operating system, those still being made included. */
  override get pendingPacks(): number {
    return super.pendingPacks + (this.deferred?.length ?? 0);
  }

  /** Queues a framed message; false when it was not taken. `undefined` is one that its wire cannot carry. */
  send(frame: Uint8Array | undefined): boolean {
    if (!frame) {
      this.host.counters.add('packs_dropped', 'too_large');
      return false;
    }
    if (!this.isDeferring) return this.enqueue(frame);
    if (!this.canDefer()) return false;
    this.deferred?.add(frame);
    return true;
  }

  /** Queues a message that is still being made; those after it wait for it. */
  defer(making: Promise<Uint8Array | undefined>): boolean {
    const deferred = (this.deferred ??= this.createDeferred());
    if (!this.canDefer()) return false;
    deferred.defer(making);
    return true;
  }

  /** Drops what waits. */
  drop(why: string): void {
    const dropped = this.clear() + (this.deferred?.clear() ?? 0);
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

  private get isDeferring(): boolean {
    return this.deferred !== undefined && this.deferred.length > 0;
  }

  /** What waits for a message that is being made counts as queued, and is bounded as that is. */
  private canDefer(): boolean {
    if ((this.deferred?.length ?? 0) < this.host.options.sendPackBuffNum) return true;
    this.host.counters.add('packs_dropped', 'disconnect');
    this.overflow();
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
