/**
 * Other versions of Node for the tests. npm has them as packages, so that nothing else needs to be downloaded. They are kept in
 * the user's cache folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The oldest version that is supported, and the newest ones of what people run. */
export const NODE_VERSIONS = ['20.19.0', '22', '24', '26'];

/** The version that most people run; it need not be the one that runs the tests. */
export const USUAL_NODE = '24';

/** End-to-end tests that touch what differs between versions of Node: sockets, streams, timers, links, closing, clients. */
export const SMOKE_SPECS = ['chat', 'protocol', 'order', 'tcp-stream', 'split', 'protocol-close', 'client-node'];

const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'nestgate', 'node');

/** The path of this version's program, which is installed unless it is there. */
export function nodeOf(version) {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const folder = join(CACHE, version);
  const program = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
    const { status } = spawnSync('npm', [...args, `${name}@${version}`], { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`npm could not install ${name}@${version}`);
  }
  return program;
}

/** The version that a program says it is, such as `v24.1.0`. */
export function versionOf(program) {
  return spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.trim();
}

/** What selects the smoke specs for Jest. */
export const SMOKE_PATTERN = `/test/e2e/[a-z-]+/(${SMOKE_SPECS.join('|')})\\.`;
