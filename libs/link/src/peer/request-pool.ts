import { randomInt } from 'node:crypto';
import { DeadlineWheel } from '../common/deadline-wheel.js';

/** Requests of a node that may wait at a time. */
const MAX_WAITING = 1 << 20;
/** Series have 31 bits, which V8 keeps without a box. */
const MAX_SERIES = 2 ** 31 - 1;

/** What the request tables of a node share: one timer, one bound, and the numbers of their series. */
export class RequestPool {
  /** Requests that wait now, for all peers together. */
  size = 0;
  /** How many may wait at a time. */
  limit = MAX_WAITING;
  readonly wheel = new DeadlineWheel(undefined, error => this.reportDefect(error));
  /** Begins anywhere, so that answers of an earlier boot of the node name no series of this one. */
  private series = randomInt(MAX_SERIES);

  /** `reportDefect` is told what a request throws when it ends. */
  constructor(readonly reportDefect: (error: unknown) => void) {}

  /** A number that no other series of this boot has. */
  nextSeries(): number {
    this.series = (this.series % MAX_SERIES) + 1;
    return this.series;
  }

  /** Ends the timer. */
  close(): void {
    this.wheel.stop();
  }
}
