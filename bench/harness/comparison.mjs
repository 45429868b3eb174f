import { setTimeout as delay } from 'node:timers/promises';
import { figuresOf, stormFiguresOf } from './result.mjs';

/** How long idle connections settle before their memory is read, in milliseconds. */
const IDLE_SETTLE_MS = 1_500;
/** Groups that the clients of a storm are in, one each. */
const STORM_GROUPS = 50;

/** @typedef {import('./result.mjs').Result} Result */
/** @typedef {import('./workloads.mjs').Workload} Workload */

/**
 * What is measured on the same processes.
 * @typedef {object} Comparison
 * @property {import('./contenders.mjs').Contender} contender
 * @property {readonly Workload[]} workloads one after another
 * @property {import('./bench.mjs').LoadTimes} times
 * @property {number} coldMs how long a fresh process is under load before its first measurement
 */

/**
 * Measures one contender, under one workload after another.
 * @param {import('./bench.mjs').Bench} bench
 * @param {Comparison} comparison
 * @param {(workload: Workload) => void} onStart
 * @param {(result: Result) => void} onResult
 */
export function compare(bench, { contender, workloads, times, coldMs }, onStart, onResult) {
  return bench.withContender(contender, 1, async (stage, endpoints) => {
    let warmMs = coldMs;
    for (const workload of workloads) {
      onStart(workload);
      const plan = planOf(contender, endpoints, workload);
      const found = await measure(bench, stage, plan, workload, { ...times, warmMs });
      onResult({ contender: contender.name, workload: workload.name, ...found });
      ({ warmMs } = times);
    }
  });
}

/**
 * @param {import('./contenders.mjs').Contender} contender
 * @param {import('./contenders.mjs').Endpoints} endpoints
 * @param {Workload} workload
 * @returns {import('../load/generator.mjs').LoadPlan}
 */
function planOf({ dialect }, endpoints, { shape, clients, inFlight, rate = 0, bytes }) {
  const base = { ...endpoints, dialect, bytes, first: 0, count: clients };
  if (shape === 'fanout') {
    const crowd = /** @type {const} */ ({ ...base, purpose: 'fan', count: clients + 1 });
    return { crowd, fanout: { inFlight, groups: 1, perGroup: clients } };
  }
  if (shape === 'storm') return { crowd: { ...base, purpose: 'fan' }, storm: { groups: STORM_GROUPS } };
  if (shape === 'stream') return { crowd: { ...base, purpose: 'fan' }, stream: {} };
  const crowd = /** @type {const} */ ({ ...base, purpose: bytes === undefined ? 'echo' : 'json' });
  return shape === 'idle' ? { crowd } : { crowd, echo: { inFlight, rate } };
}

/**
 * @param {import('./bench.mjs').Bench} bench
 * @param {import('./stage.mjs').Stage} stage
 * @param {import('../load/generator.mjs').LoadPlan} plan
 * @param {Workload} workload
 * @param {import('./bench.mjs').LoadTimes} times
 */
async function measure(bench, stage, plan, { shape, clients, rate }, times) {
  // A broadcast is done when all members have it, and a storm when all clients are back: only one process can know.
  const processes = shape === 'fanout' || shape === 'storm' ? 1 : bench.cores.generators;
  const before = await stage.used();
  return bench.withClients(plan, processes, async driver => {
    if (shape === 'storm') return stormFiguresOf(await bench.storm(stage, driver));
    if (shape !== 'idle') return figuresOf(await bench.load(stage, driver, times), rate);
    await delay(IDLE_SETTLE_MS);
    const after = await stage.used();
    return { bytesPerConnection: (after.rss - before.rss) / clients, notes: [] };
  });
}
