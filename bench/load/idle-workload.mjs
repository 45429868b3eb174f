import { Tally } from './tally.mjs';

/** Clients that do nothing. */
export class IdleWorkload {
  constructor() {
    /** @readonly */
    this.tally = new Tally();
    this.unanswered = 0;
  }

  async prepare() {}

  start() {}

  stop() {}
}
