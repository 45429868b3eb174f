import { spawnSync } from 'node:child_process';
import { cpus, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BYTES_PER_GIB = 2 ** 30;

/** @param {readonly string[]} args */
function git(args) {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The commit that is measured. */
export function commitOf() {
  const commit = git(['rev-parse', '--short=12', 'HEAD']);
  if (commit === undefined) return 'unknown';
  // Results are written by the bench itself.
  const changes = git(['status', '--porcelain', '--', '.', ':!bench/RESULTS.md', ':!bench/charts']);
  return changes === '' ? commit : `${commit} with changes`;
}

/** What it is measured on. @param {string} [nodeVersion] that of the servers */
export function machine(nodeVersion = process.version) {
  const model = cpus()[0]?.model ?? 'unknown CPU';
  const memory = (totalmem() / BYTES_PER_GIB).toFixed(0);
  return `${cpus().length} × ${model}, ${memory} GiB, ${type()}, Node ${nodeVersion}`;
}
