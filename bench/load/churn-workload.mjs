import { setTimeout as delay } from 'node:timers/promises';
import { Asker } from './asker.mjs';
import { NUMBER_MARK } from './frame-template.mjs';
import { Tally } from './tally.mjs';

/** Interval of the check for clients that are due, in milliseconds. */
const TICK_MS = 10;
const ROOMS = 20;
/** They come back: a gate remembers users for a while, and that is no leak. */
const USERS = 1_000;
const SAYS = 3;
/** Between two things that a client says, in milliseconds. */
const PAUSE_MS = 100;
/** Each such client leaves without a word. */
const RUDE = 5;
/** Places for clients: one is free again long before its turn comes. */
const PLACES = 20_000;

/**
 * @typedef {object} ChurnPlan
 * @property {number} perSecond clients that come each second; as many leave
 */

/** Clients that come, log in, join a room, talk, leave it and go, at a steady rate. A whole stay is one message of its tally. */
export class ChurnWorkload {
  /**
   * @param {import('./crowd.mjs').Crowd} crowd an empty one
   * @param {ChurnPlan} plan
   */
  constructor(crowd, { perSecond }) {
    /** @readonly */
    this.tally = new Tally();
    /** Clients that are here. */
    this.unanswered = 0;
    /** @private @readonly */
    this.crowd = crowd;
    /** @private @readonly */
    this.perSecond = perSecond;
    /** @private @readonly */
    this.asker = new Asker();
    /** @private */
    this.came = 0;
    /** @private */
    this.isRunning = false;
  }

  async prepare() {
    this.crowd.listener = this.asker;
    const client = await this.crowd.openAt(this.came++);
    await this.asker.askUntilReady(client, this.crowd.dialect.echo);
    client.close();
  }

  start() {
    this.isRunning = true;
    const startedAt = performance.now();
    const first = this.came;
    const timer = setInterval(() => {
      if (!this.isRunning) {
        clearInterval(timer);
        return;
      }
      const due = ((performance.now() - startedAt) / 1_000) * this.perSecond;
      while (this.came - first < due) void this.stay(this.came++);
    }, TICK_MS);
  }

  stop() {
    this.isRunning = false;
  }

  /** @private @param {number} visitor */
  async stay(visitor) {
    const place = visitor % PLACES;
    const room = `"room":"room-${visitor % ROOMS}"`;
    const startedAt = performance.now();
    this.unanswered++;
    try {
      const client = await this.crowd.openAt(place);
      await this.asker.ask(client, request('chat/login', `"name":"visitor-${visitor % USERS}"`));
      await this.asker.ask(client, request('chat/join', room));
      for (let i = 0; i < SAYS; i++) {
        await delay(PAUSE_MS);
        await this.asker.ask(client, request('chat/say', `${room},"text":"hello"`));
      }
      if (visitor % RUDE === 0) {
        client.end();
      } else {
        await this.asker.ask(client, request('chat/leave', room));
        client.close();
      }
      this.tally.add(performance.now() - startedAt);
    } catch (error) {
      this.tally.fail(String(error));
    } finally {
      this.unanswered--;
      this.crowd.forget(place);
    }
  }
}

/** @param {string} topic @param {string} fields of the body */
function request(topic, fields) {
  return `{"topic":"${topic}","body":{${fields}},"id":${NUMBER_MARK}}`;
}
