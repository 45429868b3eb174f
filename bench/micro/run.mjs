/** Measures hot files, and compares them with another commit: `npm run bench:micro -- --against <ref>`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Cores } from '../harness/cores.mjs';
import { ManagedProcess } from '../harness/managed-process.mjs';
import { versionOf } from '../harness/options.mjs';
import { median } from '../harness/summary.mjs';
import { columns, number } from '../harness/table-text.mjs';
import { ReferenceTree } from './reference-tree.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CASES = fileURLToPath(new URL('./cases/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./measure.mjs', import.meta.url));
const ROUNDS = 5;
const MAX_ROUNDS = 50;
/** How long one file may take, in milliseconds. */
const FILE_MS = 180_000;
/** Counts are the same in each round. */
const COUNTED = new Set(['copies']);

/** @typedef {import('./target.mjs').Figures} Figures */

/**
 * Measures the cases of a file in a fresh process.
 * @param {string} program Node
 * @param {string} root
 * @param {string} file
 * @returns {Promise<Record<string, Figures> | string>} figures by the name of the case, or why there are none
 */
async function measure(program, root, file) {
  const args = [MEASURE, root, join(CASES, file)];
  const child = new ManagedProcess({ name: file, program, args, core: new Cores().server });
  try {
    const [found] = await child.whenPrinted(/^\{.*\}$/m, FILE_MS);
    return JSON.parse(found);
  } catch (error) {
    return /^.*Error.*: .*$/m.exec(child.output)?.[0] ?? String(error);
  } finally {
    await child.end();
  }
}

/**
 * The medians of all rounds.
 * @param {readonly Figures[]} rounds
 * @returns {Figures}
 */
function mediansOf(rounds) {
  const names = new Set(rounds.flatMap(figures => Object.keys(figures)));
  return Object.fromEntries(
    [...names].map(name => [name, median(rounds.map(figures => figures[name]).filter(Number.isFinite))]),
  );
}

/** @param {number | undefined} value */
const short = value => number(value, value === undefined || value >= 1_000 ? 0 : value >= 100 ? 1 : 2);

/**
 * The lines of cases that have the same columns; the first line is the head.
 * @param {readonly [name: string, now: Figures, before: Figures | undefined][]} rows
 * @returns {string[][]}
 */
function linesOf(rows) {
  const hasBefore = rows.some(([, , before]) => before !== undefined);
  const heads = Object.keys(rows[0][1]);
  if (heads.length === 1 && heads[0] === 'ns') {
    if (!hasBefore) return [['', 'ns', '/s'], ...rows.map(([name, { ns }]) => [name, number(ns), number(1e9 / ns)])];
    return [
      ['', 'ns', 'ns before', 'before/now'],
      ...rows.map(([name, { ns }, before]) => [
        name,
        number(ns),
        number(before?.ns),
        number((before?.ns ?? NaN) / ns, 2),
      ]),
    ];
  }
  return [
    ['', ...heads.flatMap(head => (hasBefore ? [head, 'before'] : [head]))],
    ...rows.map(([name, now, before]) => [
      name,
      ...heads.flatMap(head => (hasBefore ? [short(now[head]), short(before?.[head])] : [short(now[head])])),
    ]),
  ];
}

/**
 * @param {string} name of the file, without its ending
 * @param {readonly string[]} roots the working tree, and what it is compared with
 * @param {number} rounds
 * @param {string} program Node
 */
async function table(name, roots, rounds, program) {
  /** @type {Map<string, Figures[][]>} by the name of the case, one list for each root */
  const found = new Map();
  /** @type {Set<string>} */
  const notes = new Set();
  for (let round = 0; round < rounds; round++) {
    // A and B take turns at going first.
    const order = round % 2 === 0 ? [...roots.keys()] : [...roots.keys()].toReversed();
    for (const index of order) {
      const result = await measure(program, roots[index], `${name}.mjs`);
      if (typeof result === 'string') {
        notes.add(`${index === 0 ? 'now' : 'before'}: ${result}`);
        continue;
      }
      for (const [micro, figures] of Object.entries(result)) {
        const lists = found.get(micro) ?? roots.map(() => []);
        lists[index].push(figures);
        found.set(micro, lists);
      }
    }
  }
  /** @type {[string, Figures, Figures | undefined][]} */
  const rows = [...found].map(([micro, [now, before]]) => [micro, mediansOf(now), before && mediansOf(before)]);
  const text = rows.length > 0 ? columns(linesOf(rows)) : '  nothing';
  return [name, text, ...[...notes].map(note => `  ! ${note}`)].join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: {
      against: { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string' },
      node: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) throw new Error(`--rounds: 1 to ${MAX_ROUNDS}`);
  const all = readdirSync(CASES).map(file => file.replace('.mjs', ''));
  const names = values.only?.split(',') ?? all;
  const unknown = names.filter(name => !all.includes(name));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')} is not allowed; allowed: ${all.join(', ')}`);
  const { against, node: program = process.execPath } = values;
  const version = versionOf(program);
  const reference = against === undefined ? undefined : new ReferenceTree(ROOT, against);
  process.once('exit', () => reference?.remove());
  const roots = reference ? [ROOT, reference.root] : [ROOT];
  const what = reference ? `, in turns with ${against}: more before/now is faster now` : '';
  console.log(`Medians of ${rounds} fresh processes of Node ${version}${what}.`);
  for (const name of names) {
    const text = await table(name, roots, COUNTED.has(name) ? 1 : rounds, program);
    console.log(`\n${text}`);
  }
}

// Exit handlers end what was started, and remove what was built. The signal may come again meanwhile.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
