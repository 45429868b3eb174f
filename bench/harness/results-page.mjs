import { CONTENDERS } from './contenders.mjs';
import { SERIES } from './growth.mjs';
import { growthLinesOf, linesOf, notesOf, number } from './table-text.mjs';
import { WORKLOADS } from './workloads.mjs';

/**
 * All that a run has found.
 * @typedef {object} Run
 * @property {string} date
 * @property {string} machine
 * @property {string} commit
 * @property {string} command
 * @property {string} pinning
 * @property {number} rounds
 * @property {number} seconds of each measurement
 * @property {readonly import('./summary.mjs').Table[]} tables
 * @property {readonly import('./summary.mjs').GrowthTable[]} growth
 * @property {readonly string[]} charts names of files
 */

/** @param {readonly (readonly string[])[]} lines the first one is the head */
function markdownTable([head, ...rows]) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** @param {readonly string[]} notes */
const list = notes => (notes.length > 0 ? `\n\n${notes.map(note => `- ${note}`).join('\n')}` : '');

/**
 * Adds what each round has found.
 * @param {string[][]} lines
 * @param {readonly { values: readonly number[] }[]} rows
 * @param {number} [digits] behind the point
 */
function withRounds([head, ...lines], rows, digits) {
  const rounds = rows.map(({ values }) => values.map(value => number(value, digits)).join(' '));
  return [head.concat('all rounds'), ...lines.map((cells, index) => cells.concat(rounds[index]))];
}

/** @param {import('./summary.mjs').Table} table */
function tableSection(table) {
  const about = WORKLOADS.find(({ name }) => name === table.workload)?.about ?? '';
  const lines = withRounds(linesOf(table), table.rows);
  const notes = notesOf(table.rows.map(({ contender, notes: own }) => ({ name: contender, notes: own })));
  return `### ${table.workload}\n\n${about}.\n\n${markdownTable(lines)}${list(notes)}`;
}

/** @param {import('./summary.mjs').GrowthTable} table */
function growthSection(table) {
  const about = SERIES.find(({ name }) => name === table.series)?.about ?? '';
  const lines = withRounds(growthLinesOf(table), table.rows, 1);
  const notes = notesOf(table.rows.map(({ point, notes: own }) => ({ name: number(point), notes: own })));
  return `### ${table.series}: ${table.contender}\n\n${about}.\n\n${markdownTable(lines)}${list(notes)}`;
}

/** The page of a run. @param {Run} run */
export function resultsPage(run) {
  const { date, machine, commit, command, pinning, rounds, seconds, tables, growth, charts } = run;
  return `# Results

Written by \`${command}\`, and overwritten by the next full run. How to read it is in [README.md](README.md).

- ${date}, commit ${commit}
- ${machine}
- ${pinning}
- medians of ${rounds}, each of ${seconds} s, in fresh processes; **ratios are to \`ws\`** of the same run

${charts.map(chart => `![${chart.replace('.svg', '')}](charts/${chart})`).join('\n\n')}

${markdownTable([['', 'what it is'], ...CONTENDERS.map(({ name, about }) => [name, about])])}

## Comparison

${tables.map(tableSection).join('\n\n')}
${growth.length > 0 ? `\n## Growth\n\n${growth.map(growthSection).join('\n\n')}\n` : ''}`;
}
