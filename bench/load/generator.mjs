/** The process that makes load. It does what its parent asks for, and reports what came of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { cpuTimes } from '../harness/process-meter.mjs';
import { ChurnWorkload } from './churn-workload.mjs';
import { Crowd } from './crowd.mjs';
import { EchoWorkload } from './echo-workload.mjs';
import { FanoutWorkload } from './fanout-workload.mjs';
import { IdleWorkload } from './idle-workload.mjs';
import { StormWorkload } from './storm-workload.mjs';
import { StreamWorkload } from './stream-workload.mjs';

/**
 * @typedef {object} LoadPlan
 * @property {import('./crowd.mjs').CrowdPlan} crowd
 * @property {import('./echo-workload.mjs').EchoPlan} [echo]
 * @property {import('./fanout-workload.mjs').FanoutPlan} [fanout]
 * @property {import('./churn-workload.mjs').ChurnPlan} [churn]
 * @property {import('./storm-workload.mjs').StormPlan} [storm]
 * @property {import('./stream-workload.mjs').StreamPlan} [stream]
 */

/**
 * What was measured in one process.
 * @typedef {import('./tally.mjs').TallyReport & MeasuredTimes} LoadReport
 */

/**
 * @typedef {object} MeasuredTimes
 * @property {number} elapsedMs
 * @property {number} serverBusyMs CPU time of the processes that were asked about
 * @property {number} ownBusyMs CPU time of the generator
 * @property {number} ownWaitMs time in which the generator was ready and had no CPU
 * @property {number} lost connections that ended by themselves
 * @property {string} firstLoss
 */

/** @typedef {EchoWorkload | FanoutWorkload | ChurnWorkload | StormWorkload | StreamWorkload | IdleWorkload} Workload */

/** How long answers are waited for that are still on their way at the end, in milliseconds. */
const SETTLE_MS = 2_000;

/** One crowd and what it does, from its opening to its end. */
class Generator {
  constructor() {
    /** @private @type {Crowd | undefined} */
    this.crowd = undefined;
    /** @private @type {Workload} */
    this.workload = new IdleWorkload();
  }

  /** @param {LoadPlan} plan */
  async open(plan) {
    const crowd = (this.crowd = new Crowd(plan.crowd));
    await crowd.open();
    if (plan.echo) this.workload = new EchoWorkload(crowd, plan.echo);
    else if (plan.fanout) this.workload = new FanoutWorkload(crowd, plan.fanout);
    else if (plan.churn) this.workload = new ChurnWorkload(crowd, plan.churn);
    else if (plan.storm) this.workload = new StormWorkload(crowd, plan.storm);
    else if (plan.stream) this.workload = new StreamWorkload(crowd, plan.stream);
    await this.workload.prepare();
  }

  async start() {
    this.workload.start();
  }

  /** @param {{ ms: number, pids: readonly number[] }} options @returns {Promise<LoadReport>} */
  async measure({ ms, pids }) {
    return this.during(pids, () => delay(ms));
  }

  /** @param {{ pids: readonly number[] }} options @returns {Promise<LoadReport & { refused: number }>} */
  async storm({ pids }) {
    const { workload } = this;
    if (!(workload instanceof StormWorkload)) throw new Error('The plan has no storm');
    const report = await this.during(pids, () => workload.cutAll());
    return { ...report, refused: workload.refused };
  }

  /**
   * Measures as long as something takes.
   * @private
   * @param {readonly number[]} pids
   * @param {() => Promise<unknown>} act
   * @returns {Promise<LoadReport>}
   */
  async during(pids, act) {
    this.workload.tally.clear();
    const own = ownTimes();
    const server = cpuTimes(pids);
    const startedAt = performance.now();
    await act();
    // First what was counted and the time, then what takes a while to read.
    const report = this.workload.tally.report();
    const elapsedMs = performance.now() - startedAt;
    const serverBusyMs = cpuTimes(pids).busyMs - server.busyMs;
    const ended = ownTimes();
    return {
      ...report,
      elapsedMs,
      serverBusyMs,
      ownBusyMs: ended.busyMs - own.busyMs,
      ownWaitMs: ended.waitMs - own.waitMs,
      lost: this.crowd?.lost ?? 0,
      firstLoss: this.crowd?.firstLoss ?? '',
    };
  }

  /** Messages so far, or since the last measurement began. */
  async count() {
    return this.workload.tally.messages;
  }

  /** Ends the load, and tells how many requests never got an answer. */
  async stop() {
    this.workload.stop();
    const end = Date.now() + SETTLE_MS;
    while (this.workload.unanswered > 0 && Date.now() < end) await delay(5);
    const { unanswered } = this.workload;
    this.crowd?.end();
    return unanswered;
  }
}

function ownTimes() {
  const { user, system } = process.cpuUsage();
  return { busyMs: (user + system) / 1_000, waitMs: cpuTimes([process.pid]).waitMs };
}

/**
 * What a parent asks for.
 * @typedef {object} Order
 * @property {number} id that of the answer
 * @property {'open' | 'start' | 'measure' | 'storm' | 'count' | 'stop'} name
 * @property {never} argument of the method of that name
 */

const generator = new Generator();
process.on('message', async (/** @type {Order} */ { id, name, argument }) => {
  try {
    process.send?.({ id, result: await generator[name](argument) });
  } catch (error) {
    process.send?.({ id, failure: error instanceof Error ? error.message : String(error) });
  }
});
process.on('disconnect', () => process.exit());
