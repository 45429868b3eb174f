import { COMPARED, CONTENDERS, ONE_PROCESS, REFERENCE } from './contenders.mjs';
import { INVALID } from './result.mjs';

/** @param {readonly number[]} values @returns {number} NaN for none */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @type {readonly Figure[]} */
const FIGURES = [
  'perCpuSecond',
  'perSecond',
  'p50',
  'p99',
  'bytesPerConnection',
  'backMs',
  'stallMs',
  'refused',
  'serverShare',
  'generatorShare',
];

/**
 * @typedef {'perCpuSecond' | 'perSecond' | 'p50' | 'p99' | 'bytesPerConnection' | 'backMs' | 'stallMs' | 'refused'
 *   | 'serverShare' | 'generatorShare'} Figure
 */

/**
 * All rounds of one contender under one workload.
 * @typedef {object} Row
 * @property {string} contender
 * @property {Readonly<Partial<Record<Figure, number>>>} medians
 * @property {number | undefined} ratio to the reference: of messages per CPU second, or of bytes per connection
 * @property {Readonly<Record<string, number>>} ratios to others, by their names, where they were measured
 * @property {readonly number[]} values of all rounds, what the ratio is of
 * @property {readonly string[]} notes
 */

/**
 * @typedef {object} Table
 * @property {string} workload
 * @property {Figure} figure what the ratio is of
 * @property {readonly string[]} compared what there are ratios to besides the reference
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

/** What rows are compared with besides the reference. A link between processes is compared with one process. */
const BESIDES = [...COMPARED, ONE_PROCESS];
const LINKED = new Set(
  CONTENDERS.filter(({ name, dialect, variantOf }) => dialect === 'gate' && (variantOf ?? name) !== ONE_PROCESS).map(
    ({ name }) => name,
  ),
);

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
    const valueOf = (/** @type {string} */ name) =>
      median(valuesOf(validOf(ofWorkload.filter(({ contender }) => contender === name)), figure));
    const reference = valueOf(REFERENCE);
    const others = BESIDES.map(name => ({ name, value: valueOf(name) })).filter(({ value }) => Number.isFinite(value));
    const rows = [...new Set(ofWorkload.map(({ contender }) => contender))].map(contender => {
      const own = ofWorkload.filter(result => result.contender === contender);
      const valid = validOf(own);
      // Figures of what is not valid are shown, but compared with nothing.
      const shown = valid.length > 0 ? valid : own;
      const medians = Object.fromEntries(FIGURES.map(name => [name, median(valuesOf(shown, name))]));
      const value = median(valuesOf(valid, figure));
      const ratio = value / reference;
      const ratios = others
        .filter(({ name }) => Number.isFinite(value) && (name !== ONE_PROCESS || LINKED.has(contender)))
        .map(other => [other.name, value / other.value]);
      return {
        contender,
        medians,
        ratio: Number.isFinite(ratio) ? ratio : undefined,
        ratios: Object.fromEntries(ratios),
        values: valuesOf(own, figure),
        notes: [...new Set(own.flatMap(({ notes }) => notes))],
      };
    });
    const compared = BESIDES.filter(name => rows.some(({ contender, ratios }) => contender !== name && name in ratios));
    return { workload, figure, compared, rows };
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
