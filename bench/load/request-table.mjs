import { FIRST_NUMBER, NUMBERS } from './frame-template.mjs';

/** Which requests of which client are unanswered, and when each was due. */
export class RequestTable {
  /**
   * @param {number} clients
   * @param {number} perClient requests of one client that may be unanswered
   */
  constructor(clients, perClient) {
    /** @private @readonly */
    this.perClient = perClient;
    /** @private numbers of a place, one after another, stay apart */
    this.turns = Math.floor(NUMBERS / perClient) * perClient;
    /** @private the number that is unanswered in a place, 0 for none */
    this.numbers = new Int32Array(clients * perClient);
    /** @private */
    this.dueAt = new Float64Array(clients * perClient);
    /** @private the place that a client's next request gets */
    this.next = new Int32Array(clients);
  }

  /**
   * Takes the next place of a client, and returns the number of the request; -1 when that place is still taken.
   * @param {number} client
   * @param {number} dueAt
   */
  issue(client, dueAt) {
    const sequence = this.next[client];
    const place = client * this.perClient + (sequence % this.perClient);
    if (this.numbers[place] !== 0) return -1;
    this.next[client] = sequence + 1 === this.turns ? 0 : sequence + 1;
    this.dueAt[place] = dueAt;
    return (this.numbers[place] = FIRST_NUMBER + sequence);
  }

  /**
   * Takes the place of an answered request again.
   * @param {number} client
   * @param {number} number of the answered request
   * @param {number} dueAt
   */
  reissue(client, number, dueAt) {
    const answered = number - FIRST_NUMBER;
    const sequence = answered + this.perClient < this.turns ? answered + this.perClient : answered % this.perClient;
    const place = client * this.perClient + (answered % this.perClient);
    this.dueAt[place] = dueAt;
    return (this.numbers[place] = FIRST_NUMBER + sequence);
  }

  /**
   * Gives up the place of a request, and returns when it was due; -1 when no such request is unanswered.
   * @param {number} client
   * @param {number} number
   */
  settle(client, number) {
    const place = client * this.perClient + ((number - FIRST_NUMBER) % this.perClient);
    if (number < FIRST_NUMBER || this.numbers[place] !== number) return -1;
    this.numbers[place] = 0;
    return this.dueAt[place];
  }

  /** Requests that are unanswered. */
  get unanswered() {
    return this.numbers.reduce((count, number) => count + (number === 0 ? 0 : 1), 0);
  }
}
