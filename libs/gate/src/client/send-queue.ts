import type { GateCounters } from '../gate-counters.js';
import type { SlowClientPolicy } from '../gate-options.js';
import type { BurstBudget } from './burst-budget.js';
import type { ClientQueue, SendQueueOwner } from '../connection/client-queue.js';
import type { Connection } from '../connection/connection.js';
import { DeferredSends, MAKING_BYTES } from './deferred-sends.js';
import type { DrainQueue } from './drain-queue.js';
import { Outbox } from './outbox.js';

/** State that all send queues of a gate share. */
export interface SendQueueHost {
  readonly options: {
    readonly sendPackBuffNum: number;
    readonly sendBuffBytes: number;
    readonly slowClientPolicy: SlowClientPolicy;
  };
  readonly counters: GateCounters;
  readonly drainQueue: DrainQueue;
  /** Without a budget no queue may exceed its soft bound. */
  readonly bursts?: BurstBudget;
}

/**
 * The outgoing messages of one client: framed ones, and those that hooks still create. It extends the outbox instead of owning one: in a
 * push to many clients every accessed object costs time.
 */
export class SendQueue extends Outbox implements ClientQueue {
  /** Messages queued so far. */
  sentCount = 0;

  constructor(
    private readonly host: SendQueueHost,
    private readonly owner: SendQueueOwner,
    connection: Connection,
  ) {
    super(connection, host.drainQueue, host.options, host.bursts);
  }

  get position(): number {
    return this.sentCount + (this.deferred?.length ?? 0);
  }

  /** Finished messages of hooks count as progress too: while a hook is slow, the client has nothing to read. */
  override get takenBytes(): number {
    return super.takenBytes + (this.deferred?.finished ?? 0);
  }

  /** Queues a framed message; false when it was not accepted. `undefined`: its wire cannot represent it. */
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

  /** Writes a frame immediately. Nothing was queued before it. */
  sendFirst(frame: Uint8Array): void {
    this.sentCount++;
    this.host.counters.packsQueued++;
    this.writeFirst(frame);
  }

  /** Queues a frame ahead of messages that wait for a hook; false when it was not accepted. */
  sendNow(frame: Uint8Array): boolean {
    return this.enqueue(frame);
  }

  /** Queues a message of `bytes` that a hook still creates. Later messages wait for it. */
  defer(making: Promise<Uint8Array | undefined>, bytes: number): boolean {
    if (!this.hasRoomFor(bytes + MAKING_BYTES)) return false;
    (this.deferred ??= this.createDeferred()).defer(making, bytes);
    return true;
  }

  /** Whether a hook may start to create another message of `bytes`. If not, the policy for slow clients has acted. */
  mayDefer(bytes: number): boolean {
    return !this.isDeferring || this.hasRoomFor(bytes + MAKING_BYTES);
  }

  /** Frames after a lost one must not be sent. */
  override onDefect(error: unknown): void {
    this.drop('closed');
    this.owner.onDefect(error, 'write');
  }

  /** Drops the queued messages. */
  drop(why: string): void {
    const dropped = this.clear();
    if (dropped > 0) this.host.counters.add('packs_dropped', why, dropped);
  }

  /** Created on demand and released when empty: each client has one during its connect hooks, and most never again. */
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
      if (dropped > 0) this.noteDropped(slowClientPolicy, dropped);
    }
  }

  /** A message counts as queued from the start of its hook. No waiting message is dropped for it, because their order is not known yet. */
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
    if (result === 'accepted' || result === 'dropped') {
      this.sentCount++;
      counters.packsQueued++;
      if (this.dropped > 0) this.noteDropped('drop-oldest', this.dropped);
      return true;
    }
    counters.add('packs_dropped', options.slowClientPolicy);
    if (result === 'overflow') this.overflow();
    return false;
  }

  private noteDropped(why: string, count: number): void {
    this.host.counters.add('packs_dropped', why, count);
    this.owner.onDropped?.(count);
  }

  private overflow(): void {
    this.drop('disconnect');
    this.owner.onOverflow();
  }
}
