/** Measures hot files, and compares them with another commit: `npm run bench:micro -- --against <ref>`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Cores } from '../harness/cores.mjs';
import { ManagedProcess } from '../harness/managed-process.mjs';
import { median } from '../harness/summary.mjs';
import { columns, number } from '../harness/table-text.mjs';
import { ReferenceTree } from './reference-tree.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CASES = fileURLToPath(new URL('./cases/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./measure.mjs', import.meta.url));
const ROUNDS = 5;
const MAX_ROUNDS = 50;

/**
 * Measures the cases of a file in a fresh process.
 * @param {string} root
 * @param {string} file
 * @returns {Promise<Record<string, number> | string>} nanoseconds by name, or why there are none
 */
async function measure(root, file) {
  const args = [MEASURE, root, join(CASES, file)];
  const child = new ManagedProcess({ name: file, program: process.execPath, args, core: new Cores().server });
  try {
    const [found] = await child.whenPrinted(/^\{.*\}$/m);
    return JSON.parse(found);
  } catch (error) {
    return /^.*Error.*: .*$/m.exec(child.output)?.[0] ?? String(error);
  } finally {
    await child.end();
  }
}

/**
 * @param {string} name of the file, without its ending
 * @param {readonly string[]} roots the working tree, and what it is compared with
 * @param {number} rounds
 */
async function table(name, roots, rounds) {
  /** @type {Map<string, number[][]>} nanoseconds by the name of the case, one list for each root */
  const found = new Map();
  /** @type {Set<string>} */
  const notes = new Set();
  for (let round = 0; round < rounds; round++) {
    // A and B take turns at going first.
    const order = round % 2 === 0 ? [...roots.keys()] : [...roots.keys()].toReversed();
    for (const index of order) {
      const result = await measure(roots[index], `${name}.mjs`);
      if (typeof result === 'string') {
        notes.add(`${index === 0 ? 'now' : 'before'}: ${result}`);
        continue;
      }
      for (const [micro, nanoseconds] of Object.entries(result)) {
        const lists = found.get(micro) ?? roots.map(() => []);
        lists[index].push(nanoseconds);
        found.set(micro, lists);
      }
    }
  }
  const head = roots.length > 1 ? ['', 'ns', 'ns before', 'before/now'] : ['', 'ns', '/s'];
  const lines = [...found].map(([micro, lists]) => {
    const [now, before] = lists.map(median);
    if (roots.length > 1) return [micro, number(now), number(before), number(before / now, 2)];
    return [micro, number(now), number(1e9 / now)];
  });
  return [name, columns([head, ...lines]), ...[...notes].map(note => `  ! ${note}`)].join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: { against: { type: 'string' }, only: { type: 'string' }, rounds: { type: 'string' } },
  });
  const rounds = Number(values.rounds ?? ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) throw new Error(`--rounds: 1 to ${MAX_ROUNDS}`);
  const all = readdirSync(CASES).map(file => file.replace('.mjs', ''));
  const names = values.only?.split(',') ?? all;
  const unknown = names.filter(name => !all.includes(name));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')} is not allowed; allowed: ${all.join(', ')}`);
  const { against } = values;
  const reference = against === undefined ? undefined : new ReferenceTree(ROOT, against);
  process.once('exit', () => reference?.remove());
  const roots = reference ? [ROOT, reference.root] : [ROOT];
  const what = reference ? `, in turns with ${against}: more before/now is faster now` : '';
  console.log(`Medians of ${rounds} fresh processes${what}.`);
  for (const name of names) console.log(`\n${await table(name, roots, rounds)}`);
}

// Exit handlers end what was started, and remove what was built. The signal may come again meanwhile.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
