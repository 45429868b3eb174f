import { SERIES } from './growth.mjs';

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

/** The columns of a workload. @param {import('./summary.mjs').Table} table */
export function linesOf({ figure, rows }) {
  if (figure === 'bytesPerConnection') {
    return [
      ['', 'bytes/connection', 'ratio'],
      ...rows.map(({ contender, medians, ratio }) => [contender, number(medians.bytesPerConnection), number(ratio, 2)]),
    ];
  }
  return [
    ['', 'msgs/CPU-s', 'ratio', 'msgs/s', 'p50 ms', 'p99 ms', 'cores', 'generator'],
    ...rows.map(({ contender, medians, ratio }) => [
      contender,
      number(medians.perCpuSecond),
      number(ratio, 2),
      number(medians.perSecond),
      number(medians.p50, 2),
      number(medians.p99, 2),
      number(medians.serverShare, 2),
      number(medians.generatorShare, 2),
    ]),
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
