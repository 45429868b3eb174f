import { AsyncResource } from 'node:async_hooks';
import type { LinkNode } from '@nestgate/link';
import { Fifo } from '@nestgate/link/internal';

/**
 * Time for which handlers are started in one turn of the event loop, in milliseconds. A running handler is not interrupted: a turn
 * lasts this time plus its last handler.
 */
export const TURN_MS = 10;

/** Work that is done one piece after another, and shares the event loop with that of others: the frames of a client. */
export interface TurnConsumer {
  /** Kept by {@link FairTurns}: true while it waits for its turn. */
  isQueued: boolean;
  /** True when it has a piece that may be started. */
  readonly canStart: boolean;
}

/**
 * Shares the event loop between handlers and all other work. After handlers have been started for {@link TURN_MS}, the rest waits for a
 * later turn, so that sockets are read, answers leave and heartbeats are sent in between. Waiting consumers take turns, one piece of work
 * each, and new consumers go before continuing ones. A client that sends many frames at once delays its own frames, and not those of
 * others.
 */
export class FairTurns<T extends TurnConsumer> {
  private readonly fresh = new Fifo<T>();
  private readonly going = new Fifo<T>();
  private hadFresh = false;
  private turn = -1;
  private endsAt = 0;
  private isScheduled = false;

  /** `start` starts the next piece of work of one. */
  constructor(
    private readonly node: Pick<LinkNode, 'turn' | 'reportDefect'>,
    private readonly start: (consumer: T) => void,
  ) {}

  /** Whether work may be started at `now`, a time of `performance.now()`; else the one it belongs to is to be added. */
  isOpen(now: number): boolean {
    const { turn } = this.node;
    // The node counts turns in which it has sent something, as it does for each frame that has ended. Where it has sent
    // nothing, the same turn seems to go on, and a frame waits for the next one without need.
    if (turn !== this.turn) {
      this.turn = turn;
      this.endsAt = now + TURN_MS;
    }
    return now < this.endsAt && this.isEmpty;
  }

  /**
   * Adds one whose work may start in a later turn. `goesOn`: work of it has been done a moment ago. One that has been added
   * already keeps its place.
   */
  add(consumer: T, goesOn: boolean): void {
    if (consumer.isQueued) return;
    consumer.isQueued = true;
    (goesOn ? this.going : this.fresh).push(consumer);
    this.schedule();
  }

  private get isEmpty(): boolean {
    return this.fresh.length === 0 && this.going.length === 0;
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(this.letOthersRun);
  }

  /** A whole turn for the others: what they do in it may be sent at its end, before handlers keep the loop again. */
  private readonly letOthersRun = (): void => {
    setImmediate(this.run);
  };

  /** In an async context of its own: that of the frame which has made it necessary is not that of what is started. */
  private readonly run = AsyncResource.bind((): void => {
    this.turn = this.node.turn;
    this.endsAt = performance.now() + TURN_MS;
    // Every other turn is for those who go on, so that they do go on, however many others come.
    this.hadFresh = this.fresh.length > 0 && (!this.hadFresh || this.going.length === 0);
    const queue = this.hadFresh ? this.fresh : this.going;
    do {
      const consumer = queue.shift();
      if (!consumer) break;
      consumer.isQueued = false;
      try {
        this.start(consumer);
      } catch (error) {
        // The turns of the others go on.
        this.node.reportDefect(error, 'worker.turn');
      }
      if (consumer.canStart) this.add(consumer, true);
    } while (performance.now() < this.endsAt);
    this.isScheduled = false;
    if (!this.isEmpty) this.schedule();
  });
}
