import { SERIES } from './growth.mjs';
import { WORKLOADS } from './workloads.mjs';

/** @param {number | undefined} value @param {number} digits behind the point */
export function number(value, digits = 0) {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/**
 * Cells in columns: the first one to the left, numbers to the right.
 * @param {readonly (readonly string[])[]} lines the first one is the head
 */
export function columns(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map(line => line[column].length)));
  return lines
    .map(line => {
      const cells = line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])));
      return `  ${cells.join('  ')}`.trimEnd();
    })
    .join('\n');
}

/**
 * What may be wrong with which rows.
 * @param {readonly { name: string, notes: readonly string[] }[]} rows
 * @returns {string[]}
 */
export function notesOf(rows) {
  return [...new Set(rows.flatMap(({ notes }) => notes))].map(note => {
    const names = rows.filter(({ notes }) => notes.includes(note)).map(({ name }) => name);
    return `${note}: ${names.length === rows.length && names.length > 1 ? 'all' : names.join(', ')}`;
  });
}

/**
 * A column: its head, and what it shows of a row.
 * @typedef {readonly [head: string, cellOf: (row: import('./summary.mjs').Row) => string]} Column
 */

const US_PER_SECOND = 1e6;

/** @param {string} head @param {import('./summary.mjs').Figure} figure @param {number} [digits] @returns {Column} */
const shows = (head, figure, digits) => [head, ({ medians }) => number(medians[figure], digits)];

/** @type {readonly Column[]} */
const LATENCIES = [shows('p50 ms', 'p50', 2), shows('p99 ms', 'p99', 2)];
/** @type {readonly Column[]} */
const SHARES = [shows('cores', 'serverShare', 2), shows('generator', 'generatorShare', 2)];
/** @type {Column} */
const CPU_PER_MESSAGE = ['CPU µs/msg', ({ medians }) => number(US_PER_SECOND / (medians.perCpuSecond ?? NaN), 1)];
/** @type {readonly Column[]} */
const STORM = [
  shows('clients/s', 'perSecond'),
  ['all back s', ({ medians }) => number((medians.backMs ?? NaN) / 1_000, 2)],
  shows('stall ms', 'stallMs'),
  shows('refused', 'refused'),
];

/**
 * The columns of a workload. What the ratio is of comes first.
 * @param {import('./summary.mjs').Table} table
 * @returns {Column[]}
 */
function columnsOf({ workload, figure, compared }) {
  /** @type {Column[]} */
  const ratios = [
    ['ratio', ({ ratio }) => number(ratio, 2)],
    ...compared.map(name => /** @type {Column} */ ([`to ${name}`, ({ ratios: own }) => number(own[name], 2)])),
  ];
  if (figure === 'bytesPerConnection') return [shows('bytes/connection', figure), ...ratios];
  const known = WORKLOADS.find(({ name }) => name === workload);
  if (known?.shape === 'storm') return [shows('clients/CPU-s', figure), ...ratios, ...STORM, ...LATENCIES, ...SHARES];
  const paced = known?.rate === undefined ? [] : [CPU_PER_MESSAGE];
  return [shows('msgs/CPU-s', figure), ...ratios, ...paced, shows('msgs/s', 'perSecond'), ...LATENCIES, ...SHARES];
}

/** A workload in lines of cells; the first line is the head. @param {import('./summary.mjs').Table} table */
export function linesOf(table) {
  const shown = columnsOf(table);
  return [
    ['', ...shown.map(([head]) => head)],
    ...table.rows.map(row => [row.contender, ...shown.map(([, cellOf]) => cellOf(row))]),
  ];
}

/** The columns of a series. @param {import('./summary.mjs').GrowthTable} table */
export function growthLinesOf({ series, rows }) {
  const unit = SERIES.find(({ name }) => name === series)?.unit ?? '';
  return [
    [unit, 'CPU µs/message', 'to the first', 'cores without load'],
    ...rows.map(({ point, microseconds, ratio, idleShare }) => [
      number(point),
      number(microseconds, 1),
      number(ratio, 2),
      number(idleShare, 2),
    ]),
  ];
}

/** A series for a terminal. @param {import('./summary.mjs').GrowthTable} table */
export function growthText(table) {
  const notes = notesOf(table.rows.map(({ point, notes: own }) => ({ name: number(point), notes: own })));
  const title = `growth, ${table.series}: ${table.contender}`;
  return [title, columns(growthLinesOf(table)), ...notes.map(note => `  ! ${note}`)].join('\n');
}

/** A table for a terminal. @param {import('./summary.mjs').Table} table */
export function tableText(table) {
  const notes = notesOf(table.rows.map(({ contender, notes: own }) => ({ name: contender, notes: own })));
  return [table.workload, columns(linesOf(table)), ...notes.map(note => `  ! ${note}`)].join('\n');
}
