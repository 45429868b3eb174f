import { compare } from './comparison.mjs';
import { CONTENDERS, REFERENCE } from './contenders.mjs';
import { measurePoint, SERIES } from './growth.mjs';
import { QUICK_CLIENTS, WORKLOADS } from './workloads.mjs';

/** How long processes take to start, to warm up and to end, about, in milliseconds. */
const START_MS = 2_300;
/** How long opening one client takes, about, in milliseconds: gates of older commits admit 1000 connections per second. */
const OPEN_MS = 1;
const IDLE_MS = 1_500;
/** How long clients of a storm take to be back beside connecting, about, in milliseconds. */
const STORM_MS = 5_000;
/** Many clients that have just come cost more for a while, in milliseconds. */
const GROWTH_WARM_MS = 2_000;
/** Families that need processes of their own. @type {ReadonlySet<string>} */
const FRESH = new Set(['idle', 'storm']);
/** What costs must not grow with. The other links share all but the link with these. */
const GROWING = new Set(['nestgate-tcp', 'nestgate-nats']);

/**
 * What was found so far.
 * @typedef {object} Findings
 * @property {import('./result.mjs').Result[]} results
 * @property {import('./growth.mjs').GrowthResult[]} growth
 */

/**
 * One contender in fresh processes.
 * @typedef {object} Step
 * @property {string} name
 * @property {number} estimateMs how long it takes, about
 * @property {(bench: import('./bench.mjs').Bench, findings: Findings, onStart: (what: string) => void) => Promise<void>} run
 * @property {(why: string) => Findings} fail what to note when it fails
 */

/** @typedef {import('./options.mjs').BenchOptions} BenchOptions */

/**
 * All that is measured, in order: contenders take turns, and each round starts with another one, so that what the machine does
 * beside the bench meets all of them.
 * @param {BenchOptions} options
 * @returns {Step[]}
 */
export function scheduleOf(options) {
  const steps = [];
  for (let round = 1; round <= options.rounds; round++) {
    const label = options.rounds > 1 ? `round ${round} of ${options.rounds}, ` : '';
    steps.push(...comparisons(options, round, label));
    // A trend over several points shows by itself what is noise: once is enough.
    if (round === 1) steps.push(...growths(options, label));
  }
  return steps;
}

/** @param {BenchOptions} options @param {number} round @param {string} label */
function comparisons({ quick, parts, peers, areNamed, measureMs, warmMs, coldMs }, round, label) {
  const contenders = CONTENDERS.filter(
    ({ name, variantOf = name }) => name === REFERENCE || peers.includes(name) || peers.includes(variantOf),
  );
  const isMeasured = (/** @type {import('./workloads.mjs').Workload} */ { family, quick: when }) =>
    parts.has(family) && (!quick || areNamed || when !== 'named');
  const workloads = WORKLOADS.filter(isMeasured).map(workload =>
    quick && (workload.shape === 'idle' || workload.shape === 'storm')
      ? Object.assign({}, workload, { clients: QUICK_CLIENTS[workload.shape] })
      : workload,
  );
  const first = (round - 1) % contenders.length;
  const order = [...contenders.slice(first), ...contenders.slice(0, first)];
  return familiesOf(workloads, quick).flatMap(family =>
    order.flatMap(contender => {
      const isMain = contender.name === REFERENCE || contender.dialect === 'gate';
      const fitting = family.filter(
        ({ family: kind, quick: when }) => contender.families.includes(kind) && (!quick || isMain || when !== 'main'),
      );
      return fitting.length > 0 ? [comparison(contender, fitting, { measureMs, warmMs }, coldMs, label)] : [];
    }),
  );
}

/**
 * What is measured on the same processes. Memory counts from a fresh process on, and so do storms; for more of those a quick run
 * has no time.
 * @param {readonly import('./workloads.mjs').Workload[]} workloads
 * @param {boolean} quick
 */
function familiesOf(workloads, quick) {
  const keyOf = (/** @type {import('./workloads.mjs').Workload} */ { family }) =>
    quick && !FRESH.has(family) ? 'quick' : family;
  return [...new Set(workloads.map(keyOf))].map(key => workloads.filter(workload => keyOf(workload) === key));
}

/**
 * @param {import('./contenders.mjs').Contender} contender
 * @param {readonly import('./workloads.mjs').Workload[]} workloads
 * @param {import('./bench.mjs').LoadTimes} times
 * @param {number} coldMs
 * @param {string} label
 * @returns {Step}
 */
function comparison(contender, workloads, times, coldMs, label) {
  const { name } = contender;
  const each = workloads.map(({ shape, clients }) => {
    if (shape === 'idle') return clients * OPEN_MS + IDLE_MS;
    if (shape === 'storm') return 2 * clients * OPEN_MS + STORM_MS;
    return clients * OPEN_MS + times.warmMs + times.measureMs;
  });
  /** @type {Set<string>} */
  const done = new Set();
  return {
    name: `${label}${name}`,
    estimateMs: each.reduce((sum, ms) => sum + ms, START_MS + coldMs),
    run: (bench, { results }, onStart) =>
      compare(
        bench,
        { contender, workloads, times, coldMs },
        workload => onStart(workload.name),
        result => {
          done.add(result.workload);
          results.push(result);
        },
      ),
    fail: why => ({
      results: workloads
        .filter(workload => !done.has(workload.name))
        .map(workload => ({ contender: name, workload: workload.name, notes: [`FAILED: ${why}`] })),
      growth: [],
    }),
  };
}

/** @param {BenchOptions} options @param {string} label @returns {Step[]} */
function growths({ quick, parts, peers, measureMs }, label) {
  if (!parts.has('growth')) return [];
  const growing = CONTENDERS.filter(({ name }) => GROWING.has(name) && peers.includes(name));
  const contenders = growing.slice(0, quick ? 1 : undefined);
  const times = { measureMs, warmMs: GROWTH_WARM_MS };
  return SERIES.flatMap(series =>
    (quick ? (series.quickPoints ?? []) : series.points).flatMap(point =>
      contenders.map(contender => {
        const { gates, clients } = series.at(point);
        const ofPoint = { contender: contender.name, series: series.name, point };
        return {
          name: `${label}${contender.name}, growth: ${point} ${series.unit}`,
          estimateMs: START_MS + (clients / gates) * OPEN_MS + GROWTH_WARM_MS + IDLE_MS + measureMs,
          run: async (/** @type {import('./bench.mjs').Bench} */ bench, /** @type {Findings} */ { growth }) => {
            growth.push(await measurePoint(bench, contender, series, point, times));
          },
          fail: (/** @type {string} */ why) => ({ results: [], growth: [{ ...ofPoint, notes: [`FAILED: ${why}`] }] }),
        };
      }),
    ),
  );
}
