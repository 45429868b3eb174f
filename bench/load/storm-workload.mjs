import { setTimeout as delay } from 'node:timers/promises';
import { Asker } from './asker.mjs';
import { REFUSED_FOR_NOW, REFUSED_PAUSE_MS } from './crowd.mjs';
import { Tally } from './tally.mjs';

/**
 * Clients that may be connecting at the same time: fewer than a server lets wait to be accepted (511 by default in Node). With more,
 * the operating system drops what is too much, and comes again after a second, whatever the server does.
 */
const DIALING = 400;
/** Clients that may be logging in before the storm. */
const SETTLING = 64;
/** How often one client may be refused for now. */
const MAX_REFUSALS = 100;
/** Refused clients come again over so long, so that they are not refused together each time. */
const JITTER_MS = 500;

/**
 * @typedef {object} StormPlan
 * @property {number} groups that the clients join, one each
 */

/** Clients that are all cut at once, and come back: they connect, log in where the server has that, and join a group. */
export class StormWorkload {
  /**
   * @param {import('./crowd.mjs').Crowd} crowd
   * @param {StormPlan} plan
   */
  constructor(crowd, { groups }) {
    /** @readonly */
    this.tally = new Tally();
    /** Clients that are not back. */
    this.unanswered = 0;
    /** How often a client was told to come again later. */
    this.refused = 0;
    /** @private @readonly */
    this.crowd = crowd;
    /** @private @readonly */
    this.groups = groups;
    /** @private @readonly */
    this.asker = new Asker();
    /** @private */
    this.dialing = 0;
    /** Those that wait for a place among {@link DIALING}. @private @type {(() => void)[]} */
    this.queue = [];
  }

  async prepare() {
    const { crowd } = this;
    const { count } = crowd.plan;
    crowd.listener = this.asker;
    await this.asker.askUntilReady(crowd.clients[0], crowd.dialect.join(this.groupOf(0)));
    let next = 0;
    const lane = async () => {
      while (next < count) await this.enter(next++);
    };
    await Promise.all(Array.from({ length: SETTLING }, lane));
  }

  start() {}

  stop() {}

  /** Ends all connections, and waits until each client is back or has given up. */
  async cutAll() {
    const { crowd } = this;
    const { count } = crowd.plan;
    const cutAt = performance.now();
    for (let index = 0; index < count; index++) crowd.forget(index);
    this.unanswered = count;
    await Promise.all(Array.from({ length: count }, (_, index) => this.comeBack(index, cutAt)));
  }

  /** @private @param {number} index @param {number} cutAt */
  async comeBack(index, cutAt) {
    try {
      await this.connect(index);
      await this.enter(index);
      this.tally.add(performance.now() - cutAt);
      this.unanswered--;
    } catch (error) {
      this.tally.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** @private @param {number} index */
  async connect(index) {
    for (let refusals = 0; refusals < MAX_REFUSALS; refusals++) {
      await this.beginDialing();
      const failure = await this.crowd.tryOpen(index);
      this.endDialing();
      if (failure === undefined) return;
      if (failure !== REFUSED_FOR_NOW) throw new Error(`Client ${index}: ${failure}`);
      this.refused++;
      await delay(REFUSED_PAUSE_MS + (JITTER_MS * index) / this.crowd.plan.count);
    }
    throw new Error(`Client ${index}: refused ${MAX_REFUSALS} times`);
  }

  /** @private @returns {Promise<void>} */
  async beginDialing() {
    if (this.dialing < DIALING) {
      this.dialing++;
      return;
    }
    // The place is handed over.
    await new Promise(resolve => this.queue.push(() => resolve(undefined)));
  }

  /** @private */
  endDialing() {
    const next = this.queue.shift();
    if (next) next();
    else this.dialing--;
  }

  /** Logs in and joins. @private @param {number} index */
  async enter(index) {
    const { clients, dialect } = this.crowd;
    if (dialect.login) await this.asker.ask(clients[index], dialect.login(`user-${index}`));
    await this.asker.ask(clients[index], dialect.join(this.groupOf(index)));
  }

  /** @private @param {number} index */
  groupOf(index) {
    return `group-${index % this.groups}`;
  }
}
