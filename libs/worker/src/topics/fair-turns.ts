import { AsyncResource } from 'node:async_hooks';
import { Fifo, type LinkNode } from '@nestgate/link';

/**
 * How long handlers may be started one after another before the event loop goes on, in milliseconds. A handler that runs is
 * not interrupted: a turn lasts as long as this and its last handler.
 */
export const TURN_MS = 10;

/** Work that is done one piece after another, and shares the event loop with that of others: the frames of a client. */
export interface TurnTaker {
  /** Kept by {@link FairTurns}: true while it waits for its turn. */
  isQueued: boolean;
  /** True when it has a piece that may be started. */
  readonly canStart: boolean;
}

/**
 * Shares the event loop between handlers and everything else. When handlers have been started for {@link TURN_MS}, the rest
 * waits for a later turn of the loop, so that sockets are read and heartbeats are sent in between. Those who wait take turns,
 * one piece of work each: a client that sends many frames at once delays its own frames, and not those of others.
 */
export class FairTurns<T extends TurnTaker> {
  private readonly queue = new Fifo<T>();
  private turn = -1;
  private endsAt = 0;
  private isScheduled = false;

  /** `start` starts the next piece of work of one. */
  constructor(
    private readonly node: Pick<LinkNode, 'turn'>,
    private readonly start: (taker: T) => void,
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
    return now < this.endsAt && this.queue.length === 0;
  }

  /** Adds one whose work may start in a later turn. One that has been added already keeps its place. */
  add(taker: T): void {
    if (taker.isQueued) return;
    taker.isQueued = true;
    this.queue.push(taker);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(this.run);
  }

  /** In an async context of its own: that of the frame which has made it necessary is not that of what is started. */
  private readonly run = AsyncResource.bind((): void => {
    this.turn = this.node.turn;
    this.endsAt = performance.now() + TURN_MS;
    // What is added meanwhile is taken in this run, or by the one scheduled at its end.
    do {
      const taker = this.queue.shift();
      if (!taker) break;
      taker.isQueued = false;
      this.start(taker);
      if (taker.canStart) this.add(taker);
    } while (performance.now() < this.endsAt);
    this.isScheduled = false;
    if (this.queue.length > 0) this.schedule();
  });
}
