import { Histogram } from '../load/histogram.mjs';

/** How notes start that take a measurement out of the comparison. */
export const INVALID = 'INVALID';
/** A generator that used more of its core than this may have been what was measured. */
const SATURATED = 0.9;
/** Servers that used as much of their core had work all the time. */
const FULL = 0.95;
/** A generator that waited longer than this for a CPU shares its core with something else. */
const SHARED_CPU = 0.1;
/** An open loop that sends later than this is none, in milliseconds at p99. */
const LATE_MS = 1;
/** Servers that answer less than this share of what they are asked fall behind more and more. */
const KEPT_RATE = 0.95;

/**
 * What one measurement has found.
 * @typedef {object} Result
 * @property {string} contender
 * @property {string} workload
 * @property {number} [perCpuSecond] messages per second of server CPU
 * @property {number} [perSecond] messages per second
 * @property {number} [p50] milliseconds
 * @property {number} [p99] milliseconds
 * @property {number} [bytesPerConnection]
 * @property {number} [backMs] until all clients of a storm were back
 * @property {number} [stallMs] the longest standstill of a server's event loop in a storm
 * @property {number} [refused] connections of a storm that were told to come again later
 * @property {number} [serverShare] CPU of all servers, in cores
 * @property {number} [generatorShare] CPU of the busiest generator, in cores
 * @property {readonly string[]} notes why the figures may be wrong
 */

/** @typedef {import('./bench.mjs').Load} Load */

/**
 * Whether the generator or the machine spoiled a measurement.
 * @param {Load} load
 * @param {boolean} isOpenLoop
 */
export function notesOf({ reports, unanswered, serverBusyMs }, isOpenLoop) {
  /** @type {Set<string>} */
  const notes = new Set();
  const lateness = new Histogram();
  for (const report of reports) {
    lateness.addPairs(report.lateness);
    // An open loop looks at the clock all the time: when it cannot keep up, it is late.
    if (!isOpenLoop && report.ownBusyMs > SATURATED * report.elapsedMs) {
      const isFull = serverBusyMs > FULL * report.elapsedMs;
      notes.add(isFull ? 'generator saturated, but so were the servers' : `${INVALID}: generator saturated`);
    }
    if (report.ownWaitMs > SHARED_CPU * report.elapsedMs) notes.add('something else ran on the core of the generator');
    if (report.errors > 0) notes.add(`${INVALID}: errors, such as ${report.firstError}`);
    if (report.strays > 0) notes.add(`${INVALID}: frames that answer nothing`);
    if (report.lost > 0) notes.add(`${INVALID}: connections lost, ${report.firstLoss}`);
  }
  if (lateness.quantile(0.99) > LATE_MS) notes.add(`${INVALID}: sent more than ${LATE_MS} ms late at p99`);
  if (unanswered > 0) notes.add(`${INVALID}: requests without an answer`);
  return [...notes];
}

/**
 * @param {Load} load
 * @param {number} [rate] requests per second of an open loop
 */
export function figuresOf(load, rate) {
  const { reports, serverBusyMs } = load;
  const latency = new Histogram();
  for (const report of reports) latency.addPairs(report.latencies);
  const { elapsedMs } = reports[0];
  const messages = reports.reduce((sum, report) => sum + report.messages, 0);
  const notes = notesOf(load, rate !== undefined);
  if (rate !== undefined && messages < KEPT_RATE * rate * (elapsedMs / 1_000)) {
    notes.push(`${INVALID}: fewer answers than requests, the servers cannot keep the rate`);
  }
  return {
    perCpuSecond: serverBusyMs > 0 ? (messages / serverBusyMs) * 1_000 : undefined,
    perSecond: (messages / elapsedMs) * 1_000,
    p50: latency.quantile(0.5),
    p99: latency.quantile(0.99),
    serverShare: serverBusyMs / elapsedMs,
    generatorShare: Math.max(...reports.map(report => report.ownBusyMs / report.elapsedMs)),
    notes,
  };
}

/**
 * What a storm has found: its messages are clients that are back.
 * @param {import('./bench.mjs').StormLoad} load
 */
export function stormFiguresOf(load) {
  return {
    ...figuresOf(load),
    backMs: load.reports[0].elapsedMs,
    stallMs: load.stallMs,
    refused: load.refused,
  };
}
