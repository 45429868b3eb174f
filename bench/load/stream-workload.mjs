import { Asker } from './asker.mjs';
import { FIRST_NUMBER, FrameTemplate, NUMBERS } from './frame-template.mjs';
import { Tally } from './tally.mjs';

const LETTER_E = 0x65;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * @typedef {object} StreamPlan
 * @property {number} [active] how many clients read; all unless told otherwise
 */

/** Each client reads a stream, and asks for the next one at its end. Items are counted; the latency is that of the first item. */
export class StreamWorkload {
  /**
   * @param {import('./crowd.mjs').Crowd} crowd
   * @param {StreamPlan} plan
   */
  constructor(crowd, plan) {
    /** @readonly */
    this.tally = new Tally();
    /** @private @readonly */
    this.crowd = crowd;
    /** @private @readonly */
    this.active = crowd.clients.slice(0, plan.active);
    /** @private @readonly */
    this.template = new FrameTemplate(crowd.dialect.stream);
    /** @private when the stream of a client was asked for; 0 when its first item has come */
    this.askedAt = new Float64Array(crowd.clients.length);
    /** @private streams that have not ended */
    this.open = 0;
    /** @private */
    this.sequence = 0;
    /** @private */
    this.isRunning = false;
  }

  async prepare() {
    const asker = new Asker();
    this.crowd.listener = asker;
    await asker.askUntilReady(this.active[0], this.crowd.dialect.join('group-0'));
    this.crowd.listener = this;
  }

  start() {
    this.isRunning = true;
    for (const client of this.active) {
      this.begin(client);
      client.flush();
    }
  }

  stop() {
    this.isRunning = false;
  }

  get unanswered() {
    return this.open;
  }

  /** @param {import('./load-client.mjs').LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(client, bytes, from, to) {
    // `…,"item":7}` and `…,"end":true}`; with socket.io a bracket follows.
    const last = bytes[to - 1] === 0x5d ? bytes[to - 3] : bytes[to - 2];
    if (last >= ZERO && last <= NINE) {
      const askedAt = this.askedAt[client.index];
      this.tally.messages++;
      if (askedAt === 0) return;
      this.tally.latency.add(performance.now() - askedAt);
      this.askedAt[client.index] = 0;
    } else if (last === LETTER_E) {
      this.open--;
      // Written when all that was read is handled.
      if (this.isRunning) this.begin(client);
    } else {
      this.tally.fail(bytes.toString('latin1', from, to));
    }
  }

  /** @private @param {import('./load-client.mjs').LoadClient} client */
  begin(client) {
    this.open++;
    this.askedAt[client.index] = performance.now();
    client.put(this.template, FIRST_NUMBER + (this.sequence++ % NUMBERS));
  }
}
