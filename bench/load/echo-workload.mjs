import { Asker } from './asker.mjs';
import { FrameTemplate } from './frame-template.mjs';
import { isError, NumberReader } from './number-reader.mjs';
import { RequestTable } from './request-table.mjs';
import { Tally } from './tally.mjs';

/** How long the generator sleeps at a time while nothing is due, in milliseconds, and what it sleeps on. */
const NAP_MS = 0.1;
const PILLOW = new Int32Array(new SharedArrayBuffer(4));
/** Requests of one client that an open loop lets be unanswered. */
const MAX_UNANSWERED = 1024;

/**
 * @typedef {object} EchoPlan
 * @property {number} inFlight requests that each client keeps unanswered; 0 for an open loop
 * @property {number} rate requests per second of all clients of this process, for an open loop
 * @property {number} [active] how many clients send anything; all unless told otherwise
 */

/** Requests that are answered with what they say, in a closed loop or at a fixed rate. */
export class EchoWorkload {
  /**
   * @param {import('./crowd.mjs').Crowd} crowd
   * @param {EchoPlan} plan
   */
  constructor(crowd, plan) {
    /** @readonly */
    this.tally = new Tally();
    /** @private @readonly */
    this.crowd = crowd;
    /** @private @readonly */
    this.plan = plan;
    /** @private @readonly */
    this.active = crowd.clients.slice(0, plan.active);
    /** @private @readonly */
    this.template = new FrameTemplate(crowd.dialect.echo);
    /** @private @readonly */
    this.table = new RequestTable(crowd.clients.length, plan.inFlight || MAX_UNANSWERED);
    /** @private @readonly */
    this.reader = new NumberReader();
    /** @private */
    this.isRunning = false;
  }

  async prepare() {
    const asker = new Asker();
    this.crowd.listener = asker;
    for (const client of this.oneClientPerPort()) await asker.askUntilReady(client, this.crowd.dialect.echo);
    this.crowd.listener = this;
  }

  start() {
    this.isRunning = true;
    if (this.plan.inFlight === 0) {
      this.pace();
      return;
    }
    for (const client of this.active) {
      for (let i = 0; i < this.plan.inFlight; i++) {
        client.put(this.template, this.table.issue(client.index, performance.now()));
      }
      client.flush();
    }
  }

  stop() {
    this.isRunning = false;
  }

  /** Requests that have no answer yet. */
  get unanswered() {
    return this.table.unanswered;
  }

  /** @param {import('./load-client.mjs').LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(client, bytes, from, to) {
    let number = this.reader.read(bytes, from, to);
    if (number < 0) number = this.readSlowly(bytes.toString('latin1', from, to));
    const dueAt = number < 0 ? -1 : this.table.settle(client.index, number);
    if (dueAt < 0) {
      this.tally.strays++;
      return;
    }
    const now = performance.now();
    this.tally.add(now - dueAt);
    if (this.isRunning && this.plan.inFlight > 0) {
      // Written when all that was read is handled.
      client.put(this.template, this.table.reissue(client.index, number, now));
    }
  }

  /** @private @param {string} text */
  readSlowly(text) {
    if (isError(text)) this.tally.fail(text);
    return this.reader.learn(text, () => true);
  }

  /**
   * Sends what is due, as close to its time as can be: it looks at the clock, and for something to read, all the time, but
   * for short naps. Who never sleeps is made to wait, by the system, when something else wants the core. What is late is late
   * for its answer too: latency counts from when a request was due.
   * @private
   */
  pace() {
    const stepMs = 1_000 / this.plan.rate;
    let dueAt = performance.now();
    let turn = 0;
    const tick = () => {
      if (!this.isRunning) return;
      const now = performance.now();
      for (; dueAt <= now; dueAt += stepMs) {
        const client = this.active[turn++ % this.active.length];
        const number = this.table.issue(client.index, dueAt);
        if (number < 0) {
          this.tally.fail(`${MAX_UNANSWERED} requests of one client are unanswered`);
          continue;
        }
        client.put(this.template, number);
        client.flush();
        this.tally.lateness.add(now - dueAt);
      }
      Atomics.wait(PILLOW, 0, 0, Math.min(NAP_MS, dueAt - now));
      setImmediate(tick);
    };
    tick();
  }

  /** @private the first clients are spread over all ports */
  oneClientPerPort() {
    return this.crowd.clients.slice(0, this.crowd.plan.ports.length);
  }
}
