/** Runs nestgate and its peers in turns, and prints medians and ratios. `npm run bench -- --help` tells what can be chosen. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bench } from './harness/bench.mjs';
import { chartsOf } from './harness/charts.mjs';
import { Cores } from './harness/cores.mjs';
import { CONTENDERS, SOAKED } from './harness/contenders.mjs';
import { commitOf, machine } from './harness/machine.mjs';
import { hasProc } from './harness/process-meter.mjs';
import { readOptions, USAGE } from './harness/options.mjs';
import { Progress } from './harness/progress.mjs';
import { resultsPage } from './harness/results-page.mjs';
import { scheduleOf } from './harness/schedule.mjs';
import { Soak } from './harness/soak.mjs';
import { growthTablesOf, tablesOf } from './harness/summary.mjs';
import { growthText, tableText } from './harness/table-text.mjs';

// Exit handlers end all processes that were started. The signal may come again meanwhile.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

/** @param {number} ms */
function estimateText(ms) {
  return ms < 120_000 ? `${Math.ceil(ms / 1_000)} seconds` : `${Math.ceil(ms / 60_000)} minutes`;
}

/**
 * Runs all steps. One that fails is noted, and the others go on.
 * @param {import('./harness/options.mjs').BenchOptions} options
 * @param {Cores} cores
 */
async function runAll(options, cores) {
  const steps = scheduleOf(options);
  const totalMs = steps.reduce((sum, { estimateMs }) => sum + estimateMs, 0);
  console.log(`${steps.length} steps, about ${estimateText(Math.min(totalMs, options.budgetMs))}.`);
  const progress = new Progress(totalMs);
  const bench = new Bench(cores, options.program);
  const deadline = Date.now() + options.budgetMs;
  /** @type {import('./harness/schedule.mjs').Findings} */
  const findings = { results: [], growth: [] };
  let failed = 0;
  let leftOut = 0;
  for (const step of steps) {
    progress.now(step.name);
    if (Date.now() + step.estimateMs > deadline) {
      leftOut++;
      continue;
    }
    try {
      await step.run(bench, findings, what => progress.now(`${step.name}, ${what}`));
    } catch (error) {
      failed++;
      const { results, growth } = step.fail(error instanceof Error ? error.message : String(error));
      findings.results.push(...results);
      findings.growth.push(...growth);
    }
    progress.done(step.estimateMs);
  }
  progress.end();
  return { ...findings, failed, leftOut };
}

/**
 * Writes the page and the charts of a run.
 * @param {string} directory
 * @param {import('./harness/options.mjs').BenchOptions} options
 * @param {Pick<import('./harness/results-page.mjs').Run, 'pinning' | 'tables' | 'growth'>} found
 */
function keep(directory, { rounds, measureMs, nodeVersion }, found) {
  const args = process.argv.slice(2);
  const charts = chartsOf(found.tables, found.growth);
  rmSync(join(directory, 'charts'), { recursive: true, force: true });
  mkdirSync(join(directory, 'charts'), { recursive: true });
  for (const [file, svg] of charts) writeFileSync(join(directory, 'charts', file), svg);
  const page = resultsPage({
    ...found,
    rounds,
    seconds: measureMs / 1_000,
    date: new Date().toISOString().slice(0, 10),
    machine: machine(nodeVersion),
    commit: commitOf(),
    command: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    charts: [...charts.keys()],
  });
  writeFileSync(join(directory, 'RESULTS.md'), page);
  console.log(`\nWritten: ${join(directory, 'RESULTS.md')} and charts`);
}

/** @param {import('./harness/options.mjs').BenchOptions} options @param {Cores} cores */
async function soak({ peers, soakSeconds, arePeersNamed, program }, cores) {
  // The clients of a soak chat, and only nestgate's apps know how to.
  const names = arePeersNamed ? peers : [SOAKED];
  for (const contender of CONTENDERS.filter(({ name, dialect }) => dialect === 'gate' && names.includes(name))) {
    if (!(await new Soak(cores, program).run(contender, soakSeconds))) process.exitCode = 1;
  }
}

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    console.log(USAGE);
    return;
  }
  const options = readOptions(args);
  const cores = new Cores();
  cores.leaveServers();
  if (options.soakSeconds > 0) {
    await soak(options, cores);
    return;
  }
  if (options.nodeVersion !== process.version) {
    console.log(`Servers run on Node ${options.nodeVersion}, the generator on ${process.version}.`);
  }
  console.log(`${cores.describe()} Medians of ${options.rounds}, ratios to ws of the same run.`);
  if (!hasProc())
    console.log('This system does not tell what processes use: they are asked, and brokers are not counted.');
  const { results, growth, failed, leftOut } = await runAll(options, cores);
  const tables = tablesOf(results);
  const growthTables = growthTablesOf(growth);
  for (const table of tables) console.log(`\n${tableText(table)}`);
  for (const table of growthTables) console.log(`\n${growthText(table)}`);
  const directory = options.out ?? (options.isWhole ? fileURLToPath(new URL('.', import.meta.url)) : undefined);
  if (directory !== undefined) keep(directory, options, { pinning: cores.describe(), tables, growth: growthTables });
  if (leftOut > 0) console.log(`\nThere was no time for ${leftOut} of the measurements.`);
  if (failed > 0) {
    console.error(`\n${failed} measurements failed`);
    process.exitCode = 1;
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
