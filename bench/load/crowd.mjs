import { setTimeout as delay } from 'node:timers/promises';
import { dialectOf } from './dialects.mjs';
import { LoadClient } from './load-client.mjs';

/** Clients that may be connecting at the same time. */
const RAMP = 64;
/**
 * How long to leave a server alone that takes no more connections for now, in milliseconds: as long as its `Retry-After` says.
 * What clients leave behind that come again at once would be counted as memory of those that stay.
 */
export const REFUSED_PAUSE_MS = 1_000;
/** Why a client cannot connect to a server that admits so many connections per second. */
export const REFUSED_FOR_NOW = 'refused with 503';
/** How often one client may be refused for now. */
const MAX_REFUSALS = 100;
/** Clients that come from one address: with more, the system searches long for a free port. */
const CLIENTS_PER_ADDRESS = 250;
const ADDRESSES_PER_NET = 250;

/**
 * The clients to open.
 * @typedef {object} CrowdPlan
 * @property {import('./dialects.mjs').DialectName} dialect
 * @property {'echo' | 'json' | 'fan'} purpose `json` is an echo that is parsed and written again, whatever the server is
 * @property {number} [bytes] of the text in each message; the fillers of the dialect without it
 * @property {readonly number[]} ports they are spread over these
 * @property {number} first the number of the first one, among those of all generators
 * @property {number} count
 * @property {number} [senderPort] where the last one connects to, when not to one of the ports
 */

/**
 * Takes what clients get once they may send.
 * @typedef {object} FrameListener
 * @property {(client: LoadClient, bytes: Buffer, from: number, to: number) => void} onFrame
 */

/** Clients of one server. */
export class Crowd {
  /** @param {CrowdPlan} plan */
  constructor(plan) {
    /** @readonly */
    this.plan = plan;
    /** @readonly */
    this.dialect = dialectOf(plan.dialect, plan.bytes);
    /** @readonly @type {LoadClient[]} */
    this.clients = [];
    /** @type {FrameListener | undefined} */
    this.listener = undefined;
    /** Connections that ended by themselves. */
    this.lost = 0;
    this.firstLoss = '';
    /** @private what happens when a client may send, or cannot connect @type {Map<LoadClient, (failure?: string) => void>} */
    this.opening = new Map();
    /** @private */
    this.pausedUntil = 0;
  }

  /** Opens all clients. @throws {Error} when one cannot connect */
  async open() {
    let next = 0;
    const { count } = this.plan;
    const lane = async () => {
      while (next < count) await this.openAt(next++);
    };
    await Promise.all(Array.from({ length: Math.min(RAMP, count) }, lane));
  }

  /** Ends the client in a place, and leaves the place empty. @param {number} index */
  forget(index) {
    this.clients[index]?.end();
    Reflect.deleteProperty(this.clients, index);
  }

  end() {
    this.listener = undefined;
    // There may be gaps.
    for (const client of this.clients) client?.end();
    this.clients.length = 0;
  }

  /**
   * Opens one client, in the place that is `index`.
   * @param {number} index
   * @returns {Promise<LoadClient>}
   * @throws {Error} when it cannot connect
   */
  async openAt(index) {
    for (let refusals = 0; ; refusals++) {
      const pause = this.pausedUntil - Date.now();
      if (pause > 0) await delay(pause);
      const failure = await this.tryOpen(index);
      if (failure === undefined) return this.clients[index];
      if (failure !== REFUSED_FOR_NOW || refusals === MAX_REFUSALS) throw new Error(`Client ${index}: ${failure}`);
      this.pausedUntil = Date.now() + REFUSED_PAUSE_MS;
    }
  }

  /** Tries once to open a client, in the place that is `index`. @param {number} index @returns {Promise<string | undefined>} why it failed */
  tryOpen(index) {
    const { ports, senderPort, first, count, purpose } = this.plan;
    const number = first + index;
    const isSender = senderPort !== undefined && index === count - 1;
    const target = {
      host: '127.0.0.1',
      port: isSender ? senderPort : ports[number % ports.length],
      path: this.dialect.paths[purpose],
      subprotocol: this.dialect.subprotocol,
      localAddress: process.platform === 'linux' ? addressOf(number) : undefined,
    };
    return new Promise(resolve => {
      const client = new LoadClient(index, target, {
        onOpen: opened => {
          const { greeting, opening } = this.dialect;
          if (opening) opened.send(opening);
          if (greeting === 'none') this.opening.get(opened)?.();
        },
        onFrame: (from, bytes, start, end) => this.onFrame(from, bytes, start, end),
        onGone: (gone, why) => this.onGone(gone, why),
      });
      this.opening.set(client, failure => {
        this.opening.delete(client);
        if (failure === undefined) this.clients[index] = client;
        resolve(failure);
      });
    });
  }

  /** @private @param {LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  onFrame(client, bytes, from, to) {
    if (this.opening.size > 0 && this.opening.has(client)) this.greet(client, bytes, from, to);
    else if (to - from === 1 && this.dialect.greeting === 'socket.io') client.send('3');
    else if (this.dialect.ackEvery && !this.isCounted(client, bytes, from)) return;
    else this.listener?.onFrame(client, bytes, from, to);
  }

  /**
   * False for a frame of the gate itself. Those that count are acknowledged as the gate asks for.
   * @private
   * @param {LoadClient} client
   * @param {Buffer} bytes
   * @param {number} from
   */
  isCounted(client, bytes, from) {
    // {"topic":"$gate/…
    if (bytes[from + 10] === 0x24 && bytes[from + 2] === 0x74) return false;
    // Written with what the client says to this read.
    if (++client.seen % (this.dialect.ackEvery ?? 0) === 0)
      client.append(`{"topic":"$gate/ack","body":${client.seen}}`);
    return true;
  }

  /** @private @param {LoadClient} client @param {Buffer} bytes @param {number} from @param {number} to */
  greet(client, bytes, from, to) {
    const text = bytes.toString('latin1', from, to);
    if (this.dialect.greeting === 'frame' || text.startsWith('40')) this.opening.get(client)?.();
    else if (text.startsWith('0')) client.send('40');
  }

  /** @private @param {LoadClient} client @param {string} why */
  onGone(client, why) {
    const opening = this.opening.get(client);
    if (opening) {
      opening(why);
      return;
    }
    this.lost++;
    this.firstLoss ||= why;
  }
}

/** Where a client comes from: all of 127.0.0.0/8 is this machine. @param {number} client */
function addressOf(client) {
  const address = Math.floor(client / CLIENTS_PER_ADDRESS);
  return `127.0.${Math.floor(address / ADDRESSES_PER_NET)}.${2 + (address % ADDRESSES_PER_NET)}`;
}
