import { Asker } from './asker.mjs';
import { FIRST_NUMBER, FrameTemplate } from './frame-template.mjs';
import { isError, NumberReader } from './number-reader.mjs';
import { Tally } from './tally.mjs';

/** Broadcasts that are told apart. */
const PLACES = 1024;
/** Joins that may be unanswered at a time. */
const JOINING = 64;

/**
 * @typedef {object} FanoutPlan
 * @property {number} inFlight broadcasts that are on their way at a time
 * @property {number} groups
 * @property {number} perGroup members of each group
 */

/** One client broadcasts to groups of the others; a broadcast is done when the last member has it. */
export class FanoutWorkload {
  /**
   * @param {import('./crowd.mjs').Crowd} crowd its last client is the sender
   * @param {FanoutPlan} plan
   */
  constructor(crowd, plan) {
    /** @readonly */
    this.tally = new Tally();
    /** @private @readonly */
    this.crowd = crowd;
    /** @private @readonly */
    this.plan = plan;
    /** @private @readonly */
    this.sender = crowd.clients[crowd.clients.length - 1];
    /** @private @readonly */
    this.templates = Array.from(
      { length: plan.groups },
      (_, group) => new FrameTemplate(crowd.dialect.broadcast(`group-${group}`)),
    );
    /** @private @readonly */
    this.reader = new NumberReader();
    /** @private members that do not have the broadcast yet, by its place */
    this.missing = new Int32Array(PLACES);
    /** @private */
    this.sentAt = new Float64Array(PLACES);
    /** @private */
    this.sequence = 0;
    /** @private */
    this.isRunning = false;
    /** @private */
    this.isFlushDue = false;
  }

  /** All members join. Group `g` has the clients from `g * perGroup` on, around and around. */
  async prepare() {
    const asker = new Asker();
    this.crowd.listener = asker;
    const { groups, perGroup } = this.plan;
    const members = this.crowd.clients.slice(0, -1);
    await asker.askUntilReady(members[0], this.crowd.dialect.join('group-0'));
    let next = 1;
    const lane = async () => {
      while (next < groups * perGroup) {
        const join = next++;
        const text = this.crowd.dialect.join(`group-${Math.floor(join / perGroup)}`);
        await asker.ask(members[join % members.length], text);
      }
    };
    await Promise.all(Array.from({ length: JOINING }, lane));
    this.crowd.listener = this;
  }

  start() {
    this.isRunning = true;
    for (let i = 0; i < this.plan.inFlight; i++) this.broadcast();
  }

  stop() {
    this.isRunning = false;
  }

  /** Deliveries that have not come yet. */
  get unanswered() {
    return this.missing.reduce((sum, count) => sum + count, 0);
  }

  /** @param {import('./load-client.mjs').LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(client, bytes, from, to) {
    let number = this.reader.read(bytes, from, to);
    if (number < 0) number = this.readSlowly(bytes.toString('latin1', from, to));
    const place = (number - FIRST_NUMBER) % PLACES;
    if (number < 0 || client === this.sender || this.missing[place] <= 0) {
      this.tally.strays++;
      return;
    }
    this.tally.add(performance.now() - this.sentAt[place]);
    if (--this.missing[place] === 0 && this.isRunning) this.broadcast();
  }

  /** @private @param {string} text */
  readSlowly(text) {
    if (isError(text)) this.tally.fail(text);
    return this.reader.learn(text, number => this.missing[(number - FIRST_NUMBER) % PLACES] > 0);
  }

  /** @private */
  broadcast() {
    const sequence = this.sequence++;
    const place = sequence % PLACES;
    this.missing[place] = this.plan.perGroup;
    this.sentAt[place] = performance.now();
    this.sender.put(this.templates[sequence % this.plan.groups], FIRST_NUMBER + (sequence % PLACES));
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    // What one read has completed leaves as one write.
    process.nextTick(() => {
      this.isFlushDue = false;
      this.sender.flush();
    });
  }
}
