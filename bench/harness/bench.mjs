import { setTimeout as delay } from 'node:timers/promises';
import { LoadDriver } from './load-driver.mjs';
import { hasProc } from './process-meter.mjs';
import { Stage } from './stage.mjs';

/**
 * What came of a load.
 * @typedef {object} Load
 * @property {readonly import('./load-driver.mjs').LoadReport[]} reports of all generators
 * @property {number} serverBusyMs CPU of all servers and brokers in the measured time
 * @property {number} idleBusyMs what they would have used without load, when that was asked for
 * @property {number} unanswered requests that never got an answer
 */

/**
 * @typedef {object} LoadTimes
 * @property {number} warmMs
 * @property {number} measureMs
 * @property {boolean} [withIdle] whether what the servers use without load is measured too
 */

/**
 * What came of a storm.
 * @typedef {Load & { stallMs: number, refused: number }} StormLoad
 */

/** How long clients stay before they are cut, in milliseconds. */
const STORM_SETTLE_MS = 1_500;
/** How long servers are watched that have nothing to do, at most, in milliseconds. */
const IDLE_MS = 1_000;

/** Runs contenders in fresh processes, and loads them. */
export class Bench {
  /**
   * @param {import('./cores.mjs').Cores} cores
   * @param {string} program Node for the servers
   */
  constructor(cores, program) {
    /** @readonly */
    this.cores = cores;
    /** @private @readonly */
    this.program = program;
  }

  /**
   * Starts a contender, and ends it after use.
   * @template T
   * @param {import('./contenders.mjs').Contender} contender
   * @param {number} gates
   * @param {(stage: Stage, endpoints: import('./contenders.mjs').Endpoints) => Promise<T>} use
   * @returns {Promise<T>}
   */
  async withContender(contender, gates, use) {
    const stage = new Stage({ core: this.cores.server, program: this.program, preloads: contender.preloads });
    try {
      return await use(stage, await contender.start(stage, gates));
    } finally {
      await stage.end();
    }
  }

  /**
   * Opens clients, and ends them after use.
   * @template T
   * @param {import('../load/generator.mjs').LoadPlan} plan
   * @param {number} processes that make load
   * @param {(driver: LoadDriver) => Promise<T>} use
   * @returns {Promise<T>}
   */
  async withClients(plan, processes, use) {
    const driver = new LoadDriver(this.cores, processes);
    try {
      await driver.open(plan);
      return await use(driver);
    } finally {
      await driver.end();
    }
  }

  /**
   * Warms up, and measures.
   * @param {Stage} stage
   * @param {LoadDriver} driver
   * @param {LoadTimes} times
   * @returns {Promise<Load>}
   */
  async load(stage, driver, { warmMs, measureMs, withIdle = false }) {
    const idleMs = Math.min(IDLE_MS, measureMs);
    const idle = withIdle ? await measure(stage, driver, idleMs) : undefined;
    await driver.start();
    await delay(warmMs);
    const busy = await measure(stage, driver, measureMs);
    const idleBusyMs = ((idle?.serverBusyMs ?? 0) * measureMs) / idleMs;
    return { ...busy, idleBusyMs, unanswered: await driver.stop() };
  }

  /**
   * Cuts all clients, and measures until all are back.
   * @param {Stage} stage
   * @param {LoadDriver} driver of one process
   * @returns {Promise<StormLoad>}
   */
  async storm(stage, driver) {
    await delay(STORM_SETTLE_MS);
    await stage.watchLoops();
    const before = await stage.used();
    const report = await driver.storm(hasProc() ? stage.pids : []);
    const serverBusyMs = hasProc() ? report.serverBusyMs : (await stage.used()).busyMs - before.busyMs;
    const stallMs = await stage.longestStall();
    const unanswered = await driver.stop();
    return { reports: [report], serverBusyMs, idleBusyMs: 0, unanswered, stallMs, refused: report.refused };
  }
}

/** @param {Stage} stage @param {LoadDriver} driver @param {number} ms */
async function measure(stage, driver, ms) {
  if (hasProc()) {
    const reports = await driver.measure(ms, stage.pids);
    return { reports, serverBusyMs: reports.reduce((sum, report) => sum + report.serverBusyMs, 0) };
  }
  const before = await stage.used();
  const reports = await driver.measure(ms, []);
  const after = await stage.used();
  return { reports, serverBusyMs: after.busyMs - before.busyMs };
}
