/** Measures the cases of one file on one tree, in a process of its own: `measure.mjs <root> <file>`. */
import 'reflect-metadata';
import { pathToFileURL } from 'node:url';
import { Target } from './target.mjs';

const WARM_MS = 300;
const BATCH_MS = 60;
const BATCHES = 9;

/**
 * Runs for a while.
 * @param {import('./target.mjs').MicroCase} micro
 * @param {number} ms
 * @returns {Promise<number>} nanoseconds for one operation
 */
async function run(micro, ms) {
  const startedAt = performance.now();
  let runs = 0;
  let elapsed = 0;
  while (elapsed < ms) {
    const result = micro.run();
    if (result instanceof Promise) await result;
    runs++;
    elapsed = performance.now() - startedAt;
  }
  return (elapsed * 1e6) / (runs * micro.operations);
}

const [root, file] = process.argv.slice(2);
/** @type {{ cases: (target: Target) => Promise<import('./target.mjs').MicroCase[]> }} */
const { cases } = await import(pathToFileURL(file).href);
/** @type {Record<string, number>} */
const found = {};
for (const micro of await cases(new Target(root))) {
  await run(micro, WARM_MS);
  const batches = [];
  for (let i = 0; i < BATCHES; i++) batches.push(await run(micro, BATCH_MS));
  // The least disturbed one: nothing makes code faster than it is.
  found[micro.name] = Math.min(...batches);
}
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
