/** Measures the cases of one file on one tree, in a process of its own: `measure.mjs <root> <file>`. */
import 'reflect-metadata';
import { pathToFileURL } from 'node:url';
import { Target } from './target.mjs';

const WARM_MS = 300;
const BATCH_MS = 60;
const BATCHES = 9;

/**
 * Runs for a while.
 * @param {import('./target.mjs').TimedCase} micro
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
/** @param {import('./target.mjs').TimedCase} micro */
async function time(micro) {
  await run(micro, WARM_MS);
  const batches = [];
  for (let i = 0; i < BATCHES; i++) batches.push(await run(micro, BATCH_MS));
  // The least disturbed one: nothing makes code faster than it is.
  return { ns: Math.min(...batches) };
}

/** @type {Record<string, import('./target.mjs').Figures>} */
const found = {};
for (const micro of await cases(new Target(root))) {
  found[micro.name] = 'measure' in micro ? await micro.measure() : await time(micro);
}
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
