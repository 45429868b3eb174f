import { REFERENCE } from './contenders.mjs';
import { INVALID } from './result.mjs';

/** @param {readonly number[]} values @returns {number} NaN for none */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @typedef {'perCpuSecond' | 'perSecond' | 'p50' | 'p99' | 'bytesPerConnection' | 'serverShare' | 'generatorShare'} Figure */

/**
 * All rounds of one contender under one workload.
 * @typedef {object} Row
 * @property {string} contender
 * @property {Readonly<Partial<Record<Figure, number>>>} medians
 * @property {number | undefined} ratio to the reference: of messages per CPU second, or of bytes per connection
 * @property {readonly number[]} values of all rounds, what the ratio is of
 * @property {readonly string[]} notes
 */

/**
 * @typedef {object} Table
 * @property {string} workload
 * @property {Figure} figure what the ratio is of
 * @property {readonly Row[]} rows
 */

/** @param {readonly import('./result.mjs').Result[]} results */
const validOf = results => results.filter(({ notes }) => !notes.some(note => note.startsWith(INVALID)));

/**
 * @param {readonly import('./result.mjs').Result[]} results
 * @param {Figure} figure
 */
function valuesOf(results, figure) {
  return results.map(result => result[figure]).filter(value => value !== undefined);
}

/** @type {readonly Figure[]} */
const FIGURES = ['perCpuSecond', 'perSecond', 'p50', 'p99', 'bytesPerConnection', 'serverShare', 'generatorShare'];

/**
 * Medians of all valid rounds, and their ratios to the reference of the same run.
 * @param {readonly import('./result.mjs').Result[]} results
 * @returns {Table[]} in the order in which workloads and contenders first came
 */
export function tablesOf(results) {
  return [...new Set(results.map(({ workload }) => workload))].map(workload => {
    const ofWorkload = results.filter(result => result.workload === workload);
    /** @type {Figure} */
    const figure = ofWorkload.some(result => result.bytesPerConnection !== undefined)
      ? 'bytesPerConnection'
      : 'perCpuSecond';
    const ofReference = ofWorkload.filter(({ contender }) => contender === REFERENCE);
    const reference = median(valuesOf(validOf(ofReference), figure));
    const rows = [...new Set(ofWorkload.map(({ contender }) => contender))].map(contender => {
      const own = ofWorkload.filter(result => result.contender === contender);
      const valid = validOf(own);
      // Figures of what is not valid are shown, but compared with nothing.
      const shown = valid.length > 0 ? valid : own;
      const medians = Object.fromEntries(FIGURES.map(name => [name, median(valuesOf(shown, name))]));
      const ratio = median(valuesOf(valid, figure)) / reference;
      return {
        contender,
        medians,
        ratio: Number.isFinite(ratio) ? ratio : undefined,
        values: valuesOf(own, figure),
        notes: [...new Set(own.flatMap(({ notes }) => notes))],
      };
    });
    return { workload, figure, rows };
  });
}

/**
 * Costs of one contender along one series.
 * @typedef {object} GrowthTable
 * @property {string} contender
 * @property {string} series
 * @property {readonly GrowthRow[]} rows
 */

/**
 * @typedef {object} GrowthRow
 * @property {number} point
 * @property {number} microseconds median
 * @property {number} ratio to the first point
 * @property {number} idleShare median
 * @property {readonly number[]} values of all rounds
 * @property {readonly string[]} notes
 */

/**
 * Medians of all rounds at each point, and their ratios to the first point.
 * @param {readonly import('./growth.mjs').GrowthResult[]} results
 * @returns {GrowthTable[]}
 */
export function growthTablesOf(results) {
  const keys = new Set(results.map(({ contender, series }) => JSON.stringify([series, contender])));
  return [...keys].map(key => {
    const [series, contender] = JSON.parse(key);
    const own = results.filter(result => result.contender === contender && result.series === series);
    const points = [...new Set(own.map(({ point }) => point))].sort((a, b) => a - b);
    let first = NaN;
    const rows = points.map(point => {
      const ofPoint = own.filter(result => result.point === point);
      const values = ofPoint.map(({ microseconds }) => microseconds).filter(value => value !== undefined);
      const idle = ofPoint.map(({ idleShare }) => idleShare).filter(value => value !== undefined);
      const microseconds = median(values);
      if (point === points[0]) first = microseconds;
      const notes = [...new Set(ofPoint.flatMap(result => result.notes))];
      return { point, microseconds, ratio: microseconds / first, idleShare: median(idle), values, notes };
    });
    return { contender, series, rows };
  });
}
