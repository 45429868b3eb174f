import { Histogram } from './histogram.mjs';

/**
 * What a workload has seen in the time that is measured.
 * @typedef {object} TallyReport
 * @property {number} messages answers or deliveries
 * @property {readonly (readonly [number, number])[]} latencies a {@link Histogram} as pairs
 * @property {readonly (readonly [number, number])[]} lateness how late requests were sent, where they have a time
 * @property {number} errors answers that were errors, of the whole run
 * @property {number} strays frames that answer nothing, of the whole run
 * @property {string} firstError
 */

/** Counts what comes back. */
export class Tally {
  constructor() {
    this.messages = 0;
    this.errors = 0;
    this.strays = 0;
    this.firstError = '';
    /** @readonly */
    this.latency = new Histogram();
    /** @readonly */
    this.lateness = new Histogram();
  }

  /** @param {number} latencyMs */
  add(latencyMs) {
    this.messages++;
    this.latency.add(latencyMs);
  }

  /** @param {string} text */
  fail(text) {
    this.errors++;
    this.firstError ||= text.slice(0, 200);
  }

  /** Starts what is measured. Errors and strays stay: a run with any is no good. */
  clear() {
    this.messages = 0;
    this.latency.clear();
    this.lateness.clear();
  }

  /** @returns {TallyReport} */
  report() {
    const { messages, errors, strays, firstError } = this;
    const latencies = this.latency.toPairs();
    return { messages, latencies, lateness: this.lateness.toPairs(), errors, strays, firstError };
  }
}
