/**
 * The unit tests and a smoke set of the end-to-end tests on each version of Node that is supported, or on those that the arguments
 * name: `npm run test:versions -- 24 26`.
 */
import { spawnSync } from 'node:child_process';
import { dirname, delimiter, join } from 'node:path';
import { ensureTools } from './ensure-tools.mjs';
import { NODE_VERSIONS, nodeOf, SMOKE_PATTERN, versionOf } from './node-versions.mjs';

const RUNS = [
  { project: 'unit', patterns: [] },
  { project: 'e2e', patterns: [SMOKE_PATTERN] },
];
const wanted = process.argv.slice(2);
let failed = 0;

ensureTools();
for (const version of wanted.length > 0 ? wanted : NODE_VERSIONS) {
  const program = nodeOf(version);
  for (const { project, patterns } of RUNS) {
    const started = Date.now();
    const args = [
      join('node_modules', 'jest', 'bin', 'jest.js'),
      '--selectProjects',
      project,
      '--maxWorkers=2',
      '--silent',
    ];
    const { status, stdout, stderr } = spawnSync(program, [...args, ...patterns], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      env: {
        ...process.env,
        NODE_OPTIONS: '--experimental-vm-modules --no-warnings',
        // What the tests start by name is of this version too.
        PATH: `${dirname(program)}${delimiter}${process.env.PATH}`,
      },
    });
    const ok = status === 0;
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`${ok ? 'ok  ' : 'FAIL'} Node ${versionOf(program)}: ${project} (${seconds} s)`);
    if (!ok) {
      failed++;
      console.log(`${stdout}${stderr}`);
    }
  }
}
process.exitCode = failed > 0 ? 1 : 0;
