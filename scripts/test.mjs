/**
 * All checks and tests, in one command. Each step prints one line and, when it fails, what it said, for tests what failed in
 * them; all steps run, so that one run shows everything. The last lines name the tests that failed, and count.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { nodeOf, SMOKE_PATTERN, USUAL_NODE, versionOf } from './node-versions.mjs';
import { ensureTools } from './ensure-tools.mjs';

const run = promisify(execFile);
const bin = name => join('node_modules', '.bin', name);
const scratch = mkdtempSync(join(tmpdir(), 'nestgate-test-'));
const totals = { passed: 0, failed: 0 };
/** The names of the tests that failed. */
const failures = [];
let failedSteps = 0;
/**
 * A step that takes so many times as long as on two cores with nothing else to do hangs. A slow or busy machine must not end it: what
 * has to be done in time is bounded in the tests themselves.
 */
const HANGS_AFTER = 8;
/** What a step takes there that does not say more, in minutes. */
const USUAL_MINUTES = 1.5;

/** `minutes`: what the step takes on two idle cores. `shorten` says what failed, from what the step said, where that is shorter. */
async function step(name, command, args, { env = {}, minutes = USUAL_MINUTES, shorten = said => said } = {}) {
  const started = Date.now();
  const timeout = HANGS_AFTER * minutes * 60_000;
  const failure = await run(command, args, {
    timeout,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  }).then(
    () => undefined,
    error => error,
  );
  console.log(`${failure ? 'FAIL' : 'ok  '} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  if (failure) {
    failedSteps++;
    const { stdout = '', stderr = '', killed, message } = failure;
    console.log(shorten(`${stdout}${stderr}${killed ? `Ended after ${timeout / 60_000} min` : ''}` || message));
  }
  return !failure;
}

/**
 * Projects that run together, in this order, and how many files at a time. End-to-end tests mostly wait, for heartbeats and
 * deadlines: six; unit tests and repeated specs fill what they leave of the two cores. Faults start several processes, which
 * take most of both cores: three. Tests that measure take both cores: one.
 */
const RUNS = [
  { projects: ['unit', 'e2e', 'network', 'streams'], workers: 6, minutes: 6 },
  { projects: ['faults'], workers: 3, minutes: 4 },
  { projects: ['faults-alone'], workers: 1 },
];
/** These run beside each other, one file at a time each: a browser, and installs and compilers. */
const BESIDE = [
  { projects: ['browser'], workers: 1 },
  { projects: ['outside'], workers: 1 },
];

/** Runs projects, on another Node and only some of their files when that is wanted. */
async function jest(
  { projects, workers, minutes },
  { node = process.execPath, patterns = [], name = projects.join(', ') } = {},
) {
  const report = join(scratch, `${name.replace(/\W+/g, '-')}.json`);
  const args = [
    join('node_modules', 'jest', 'bin', 'jest.js'),
    ...patterns,
    '--selectProjects',
    ...projects,
    '--json',
    `--outputFile=${report}`,
    `--maxWorkers=${workers}`,
    // Modules of earlier files stay in the memory of a worker, which slows it down: then it is replaced.
    '--workerIdleMemoryLimit=500MB',
    '--silent',
  ];
  await step(`jest: ${name}`, node, args, {
    // What tests start by name is of the same version.
    env: {
      NODE_OPTIONS: '--experimental-vm-modules --no-warnings',
      PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
    },
    minutes,
    shorten: said => explain(readReport(report)) || said,
  });
  const counts = readReport(report);
  totals.passed += counts?.numPassedTests ?? 0;
  totals.failed += counts ? counts.numFailedTests + counts.numRuntimeErrorTestSuites : 1;
}

/** What Jest has written; nothing when it has not come so far. */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** What failed, all names first: each test, and each file that could not be run. All else that Jest says is of what passed. */
function explain(report) {
  const told = [];
  for (const { name, status, message, assertionResults } of report?.testResults ?? []) {
    const failed = assertionResults.filter(test => test.status === 'failed');
    const file = relative(process.cwd(), name);
    for (const { fullName, failureMessages } of failed) told.push([`${file}: ${fullName}`, failureMessages.join('\n')]);
    if (status === 'failed' && failed.length === 0) told.push([file, message]);
  }
  const titles = told.map(([title]) => title);
  failures.push(...titles);
  return [...titles, ...told.map(([title, message]) => `\n${title}\n${readable(message)}`)].join('\n');
}

/** A message without colours and without the steps of Jest itself. */
function readable(message) {
  return stripVTControlCharacters(message).replace(/^ +at .*node_modules\/jest-.*\n?/gm, '');
}

try {
  ensureTools();
  if (await step('build', bin('tsc'), ['-b'])) {
    // The first tests wait for a good part of their time.
    const checks = Promise.all([
      step('types of the tests', bin('tsc'), ['-p', 'tsconfig.test.json']),
      step('types of the benchmarks', bin('tsc'), ['-p', 'bench/tsconfig.json']),
      step('lint', bin('oxlint'), ['--type-aware', '--deny-warnings']),
      step('imports', bin('depcruise'), ['--config', '.dependency-cruiser.cjs', 'libs', 'apps', 'test']),
      step('exported surface', process.execPath, ['scripts/api-surface.mjs']),
      step('format', bin('prettier'), ['--check', '.']),
      step('words', process.execPath, ['scripts/check-words.mjs']),
    ]);
    const [first, ...others] = RUNS;
    await Promise.all([checks, jest(first)]);
    for (const each of others) await jest(each);
    const node = nodeOf(USUAL_NODE);
    await Promise.all([
      ...BESIDE.map(each => jest(each)),
      jest(
        { projects: ['e2e'], workers: 2 },
        { node, patterns: [SMOKE_PATTERN], name: `e2e, some of them on Node ${versionOf(node)}` },
      ),
    ]);
  }
} catch (error) {
  failedSteps++;
  console.error(error.message);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
for (const each of failures) console.log(`failed: ${each}`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = failedSteps > 0 || totals.failed > 0 || totals.passed === 0 ? 1 : 0;
